from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from thumbnet.data.preprocessing import (
    Preprocessing,
    image_to_picture,
    normalise,
    picture_to_image,
    working_view,
)

MakePicture = Callable[..., Image.Image]


# Value ranges.


def test_an_image_is_exactly_the_level_over_255() -> None:
    levels = np.arange(256, dtype=np.uint8)
    image = picture_to_image(Image.fromarray(np.repeat(levels.reshape(16, 16, 1), 3, axis=2)))
    assert image.shape == (3, 16, 16)
    assert image.dtype == torch.float32
    for channel in image:
        assert torch.equal(channel.flatten(), torch.arange(256).float() / 255)


def test_an_image_has_its_channels_first_and_in_the_order_of_rgb() -> None:
    image = picture_to_image(Image.new("RGB", (2, 3), (255, 51, 0)))
    assert image.shape == (3, 3, 2)
    assert image[:, 0, 0].tolist() == pytest.approx([1.0, 0.2, 0.0])


def test_a_picture_becomes_an_image_and_comes_back_unchanged(make_picture: MakePicture) -> None:
    picture = make_picture(7, 5)
    assert image_to_picture(picture_to_image(picture)).tobytes() == picture.tobytes()


def test_an_image_becomes_the_nearest_levels_and_stays_in_range() -> None:
    image = torch.tensor([-0.1, 0.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.0, 1.1, 100.4 / 255]).expand(3, 1, 8)
    picture = image_to_picture(image)
    assert picture.mode == "RGB"
    assert np.asarray(picture)[0, :, 1].tolist() == [0, 0, 0, 1, 255, 255, 255, 100]


def test_normalising_subtracts_the_mean_and_divides_by_the_deviation_of_each_channel() -> None:
    image = torch.full((2, 3, 4, 5), 0.5, dtype=torch.float64)
    normalised = normalise(image, mean=(0.5, 0.25, 0.0), std=(1.0, 0.5, 0.25))
    assert normalised.dtype == torch.float64
    assert normalised.shape == image.shape
    for channel, value in enumerate((0.0, 0.5, 2.0)):
        assert torch.equal(normalised[:, channel], torch.full((2, 4, 5), value, dtype=torch.float64))


def test_normalising_passes_gradients_to_the_image() -> None:
    image = torch.rand(1, 3, 2, 2, requires_grad=True)
    normalise(image, (0.5, 0.5, 0.5), (0.5, 0.25, 0.125)).sum().backward()
    assert image.grad is not None
    assert image.grad[0, :, 0, 0].tolist() == [2.0, 4.0, 8.0]


# The working view.


@pytest.mark.parametrize("size", [(37, 53), (53, 37), (224, 224), (255, 100), (31, 31), (2, 2), (2, 500), (500, 2)])
@pytest.mark.parametrize(("side", "crop_share"), [(32, 0.875), (33, 0.9), (32, 1.0)])
def test_the_working_view_is_the_very_one_of_timm(
    size: tuple[int, int], side: int, crop_share: float, make_picture: MakePicture
) -> None:
    picture = make_picture(*size)
    transform = create_transform((3, side, side), interpolation="bicubic", crop_pct=crop_share, normalize=False)
    expected = transform(picture)
    view = working_view(picture, Preprocessing(image_side=side, crop_share=crop_share))
    assert view.size == (side, side)
    assert torch.equal(torch.from_numpy(np.array(view)).permute(2, 0, 1), expected)


def test_the_working_view_uses_the_filter_that_is_asked_for(make_picture: MakePicture) -> None:
    picture = make_picture(60, 60)
    views = {
        name: working_view(picture, Preprocessing(image_side=16, interpolation=name)).tobytes()
        for name in ("bicubic", "bilinear", "lanczos", "nearest")
    }
    assert len(set(views.values())) == 4


def test_the_working_view_of_a_picture_that_has_its_size_is_the_picture(make_picture: MakePicture) -> None:
    picture = make_picture(24, 24)
    assert working_view(picture, Preprocessing(image_side=24, crop_share=1.0)).tobytes() == picture.tobytes()


@pytest.mark.parametrize("upright", [False, True])
def test_the_working_view_of_a_very_long_strip_is_its_middle_and_takes_little_memory(upright: bool) -> None:
    # Resized whole, this strip would have 5 billion pixels.
    levels = np.zeros((2, 2_000_000, 3), dtype=np.uint8)
    levels[:, 999_900:1_000_100] = (10, 20, 30)
    strip = Image.fromarray(levels.swapaxes(0, 1) if upright else levels)
    view = working_view(strip, Preprocessing(image_side=64))
    assert view.size == (64, 64)
    assert (np.asarray(view) == (10, 20, 30)).all()
