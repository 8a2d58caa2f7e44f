"""Pixel matching, of thumbnails and of what a detail decoder reads in them."""

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from loss_inputs import doubles, seeds
from thumbnet import losses
from thumbnet.config import LossSettings
from thumbnet.networks.downscaler import FixedDownscaler
from thumbnet.networks.filters import filter_value
from thumbnet.objective import Objective, StepTensors, paper_terms


def slow_bicubic(image: Tensor, ratio: int) -> Tensor:
    """Each new pixel as its weighted mean, one axis after the other, taps beyond the border left out."""
    for axis in (2, 3):
        side = image.shape[axis]
        rows = []
        for place in range(side // ratio):
            centre = (place + 0.5) * ratio - 0.5
            weights = torch.tensor([filter_value("bicubic", (tap - centre) / ratio) for tap in range(side)])
            weights = (weights / weights.sum()).to(image.dtype)
            rows.append(torch.tensordot(image.movedim(axis, -1), weights, dims=1))
        image = torch.stack(rows, dim=axis)
    return image.clamp(0, 1)


def test_by_hand_on_plain_colours() -> None:
    image, picture = torch.full((1, 3, 8, 8), 0.5), torch.full((1, 3, 2, 2), 0.5)
    picture[0, 0] = 0.8
    assert losses.pixel_matching(picture, image).item() == pytest.approx(0.3**2 / 3)


def test_it_is_zero_at_the_bicubic_thumbnail_and_at_the_image_itself() -> None:
    image = torch.rand(2, 3, 16, 16)
    assert losses.pixel_matching(FixedDownscaler(4, "bicubic")(image), image).item() == pytest.approx(0, abs=1e-9)
    assert losses.pixel_matching(image, image).item() == pytest.approx(0, abs=1e-9)


@given(seed=seeds)
@settings(max_examples=10)
def test_it_agrees_with_a_slow_transcription(seed: int) -> None:
    image, picture = doubles(seed, 2, 3, 12, 8), doubles(seed + 1, 2, 3, 3, 2)
    wanted = (picture - slow_bicubic(image, 4)).square().mean().item()
    assert losses.pixel_matching(picture, image).item() == pytest.approx(wanted, rel=1e-5)


def test_its_gradient_is_that_of_the_picture_alone() -> None:
    picture, image = doubles(0, 1, 3, 2, 2).requires_grad_(), doubles(1, 1, 3, 8, 8).requires_grad_()
    assert torch.autograd.gradcheck(lambda own: losses.pixel_matching(own, image), (picture,))
    losses.pixel_matching(picture, image).backward()  # type: ignore[no-untyped-call]
    assert image.grad is None


def test_detail_and_thumbnail_are_matched_with_their_own_weights() -> None:
    torch.manual_seed(0)
    image, thumbnail, detail = (torch.rand(2, 3, side, side) for side in (16, 4, 8))
    nothing = {"student_features": {}, "decoded_features": {}, "teacher_features": {}}
    step = StepTensors(
        image=image,
        thumbnail=thumbnail,
        label=torch.zeros(2, dtype=torch.int64),
        student_logits=torch.rand(2, 3),
        teacher_logits=None,
        detail=detail,
        **nothing,  # type: ignore[arg-type]
    )
    chosen = LossSettings(mm=0.0, cl=0.0, kd=0.0, fm=0.0, em=0.0, dm=3.0, pm=0.5)
    total, values = Objective(paper_terms(chosen, detail_decoder=True))(step)
    expected = {"dm": losses.pixel_matching(detail, image), "pm": losses.pixel_matching(thumbnail, image)}
    assert values == expected
    assert total.item() == pytest.approx(3 * expected["dm"].item() + 0.5 * expected["pm"].item())
    assert not Objective(paper_terms(chosen, detail_decoder=True)).needs_teacher
