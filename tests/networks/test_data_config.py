"""The makers' own data configuration, taken over to the last pixel."""

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.models import get_pretrained_cfg
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import InterpolationMode

from thumbnet.config import TrainSettings, ViewSettings
from thumbnet.data.preprocessing import Preprocessing, normalise, picture_to_image, working_view
from thumbnet.errors import NetworkError
from thumbnet.networks.architectures import Classifier
from thumbnet.networks.assembly import fit_preprocessing
from thumbnet.networks.data_config import at_side, makers_test, timm_preprocessing, torchvision_preprocessing

# Portrait, landscape, square, smaller than the side, odd, one with a side of a few pixels, one long strip.
SIZES = ((300, 401), (401, 300), (256, 256), (97, 61), (61, 97), (333, 5), (900, 77))


def with_config(**config: Any) -> nn.Module:
    network = nn.Identity()
    network.pretrained_cfg = config  # type: ignore[assignment]
    return network


def every_timm_config() -> Iterator[dict[str, Any]]:
    for name in timm.list_models(pretrained=True):
        yield get_pretrained_cfg(name).to_dict()


def picture(width: int, height: int) -> Image.Image:
    levels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def seen_by_classifier(picture: Image.Image, preprocessing: Preprocessing) -> Tensor:
    image = picture_to_image(working_view(picture, preprocessing)).unsqueeze(0)
    return normalise(image, preprocessing.mean, preprocessing.std)[0]


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**{"teacher": "timm/some", "data": "photos", "output": "runs/some", **changes})


# timm.


def test_every_configuration_of_timm_is_taken_over_whole() -> None:
    found = 0
    for config in every_timm_config():
        expected = resolve_data_config(pretrained_cfg=config)
        preprocessing = timm_preprocessing(with_config(**config))
        assert preprocessing is not None
        _, height, width = expected["input_size"]
        transform = create_transform(**expected, is_training=False)
        assert preprocessing.image_side == width
        assert preprocessing.resize_side == math.floor(width / expected["crop_pct"])
        assert preprocessing.crop_mode == expected["crop_mode"]
        assert preprocessing.interpolation == expected["interpolation"]
        assert (preprocessing.mean, preprocessing.std) == (tuple(expected["mean"]), tuple(expected["std"]))
        resize = transform.transforms[0].size
        if height == width:
            assert set(np.atleast_1d(resize)) == {preprocessing.resize_side}
        found += 1
    assert found > 1000


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "config",
    [
        {"crop_mode": "center", "crop_pct": 0.875, "interpolation": "bicubic"},
        {"crop_mode": "center", "crop_pct": 0.95, "interpolation": "bilinear"},
        {"crop_mode": "center", "crop_pct": 1.0, "interpolation": "lanczos"},
        {"crop_mode": "center", "crop_pct": 1.15, "interpolation": "bicubic"},
        {"crop_mode": "squash", "crop_pct": 1.0, "interpolation": "bicubic"},
        {"crop_mode": "squash", "crop_pct": 0.9, "interpolation": "hamming"},
        {"crop_mode": "border", "crop_pct": 1.0, "interpolation": "bicubic"},
        {"crop_mode": "border", "crop_pct": 0.9, "interpolation": "box"},
        {"crop_mode": "border", "crop_pct": 1.15, "interpolation": "nearest"},
    ],
    ids=lambda config: "-".join(str(value) for value in config.values()),
)
def test_a_classifier_sees_what_timm_shows_it(size: tuple[int, int], config: dict[str, Any]) -> None:
    config = {"input_size": (3, 97, 97), "mean": (0.48, 0.45, 0.4), "std": (0.2, 0.22, 0.225), **config}
    preprocessing = timm_preprocessing(with_config(**config))
    assert preprocessing is not None
    shown = picture(*size)
    expected = create_transform(**resolve_data_config(pretrained_cfg=config), is_training=False)(shown)
    torch.testing.assert_close(seen_by_classifier(shown, preprocessing), expected, rtol=0, atol=1e-6)


def test_what_a_configuration_leaves_out_is_timms_own_default() -> None:
    expected = resolve_data_config(pretrained_cfg={"input_size": (3, 64, 64)})
    preprocessing = timm_preprocessing(with_config(input_size=(3, 64, 64)))
    assert preprocessing is not None
    assert preprocessing.crop_share == expected["crop_pct"]
    assert preprocessing.interpolation == expected["interpolation"]
    assert (preprocessing.mean, preprocessing.std) == (expected["mean"], expected["std"])


def test_a_network_without_a_configuration_says_nothing() -> None:
    assert timm_preprocessing(nn.Identity()) is None


# torchvision.


def test_every_recipe_of_torchvision_is_taken_over_whole() -> None:
    found = 0
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            recipe = weights.transforms()
            preprocessing = torchvision_preprocessing(recipe)
            assert [preprocessing.image_side] == recipe.crop_size
            assert [preprocessing.resize_side] == recipe.resize_size, weights
            assert preprocessing.interpolation == recipe.interpolation.value
            assert (list(preprocessing.mean), list(preprocessing.std)) == (recipe.mean, recipe.std)
            found += 1
    assert found > 100


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "weights",
    [
        models.ResNet50_Weights.IMAGENET1K_V1,
        models.ResNet50_Weights.IMAGENET1K_V2,
        models.EfficientNet_B1_Weights.IMAGENET1K_V2,
        models.MaxVit_T_Weights.IMAGENET1K_V1,
    ],
    ids=str,
)
def test_a_classifier_sees_what_torchvision_shows_it(size: tuple[int, int], weights: Any) -> None:
    recipe = weights.transforms()
    shown = picture(*size)
    seen = seen_by_classifier(shown, torchvision_preprocessing(recipe))
    torch.testing.assert_close(seen, recipe(shown), rtol=0, atol=1e-6)


@pytest.mark.parametrize("crop", [7, 49, 161, 224, 233, 300])
def test_no_resize_side_is_lost_to_rounding(crop: int) -> None:
    for resize in range(crop, 2 * crop):
        recipe = SimpleNamespace(
            crop_size=[crop],
            resize_size=[resize],
            interpolation=InterpolationMode.BILINEAR,
            mean=[0.5, 0.5, 0.5],
            std=[0.2, 0.2, 0.2],
        )
        assert torchvision_preprocessing(recipe).resize_side == resize


# The side of the makers' test, and the user's.

TWO_SIDES = {"input_size": (3, 224, 224), "crop_pct": 0.95, "test_input_size": (3, 288, 288), "test_crop_pct": 1.0}


def test_a_teacher_works_at_the_side_that_it_was_trained_with() -> None:
    network = with_config(**TWO_SIDES)
    classifier = Classifier(network=network, preprocessing=timm_preprocessing(network))
    preprocessing = fit_preprocessing(classifier, settings())
    assert (preprocessing.image_side, preprocessing.crop_share) == (224, 0.95)


@pytest.mark.parametrize(("side", "share"), [(288, 1.0), (256, 0.95), (224, 0.95)])
def test_the_side_of_the_makers_test_brings_the_crop_of_that_test(side: int, share: float) -> None:
    network = with_config(**TWO_SIDES)
    classifier = Classifier(network=network, preprocessing=timm_preprocessing(network))
    preprocessing = fit_preprocessing(classifier, settings(image_side=side))
    assert (preprocessing.image_side, preprocessing.crop_share) == (side, share)


def test_what_the_makers_test_shows_is_what_timms_validate_uses() -> None:
    found = 0
    for config in every_timm_config():
        network = with_config(**config)
        trained_with = timm_preprocessing(network)
        assert trained_with is not None
        tested = makers_test(network, trained_with)
        expected = resolve_data_config(pretrained_cfg=config, use_test_size=True)
        shown = tested or trained_with
        assert (shown.image_side, shown.crop_share) == (expected["input_size"][-1], expected["crop_pct"])
        if tested is not None and tested.image_side != trained_with.image_side:
            assert tested == at_side(network, trained_with, tested.image_side)
            found += 1
    assert found > 100


def test_the_users_crop_share_goes_before_the_makers() -> None:
    network = with_config(**TWO_SIDES)
    classifier = Classifier(network=network, preprocessing=timm_preprocessing(network))
    changed = settings(image_side=288, views=ViewSettings(crop_share=0.8))
    assert fit_preprocessing(classifier, changed).crop_share == 0.8


def test_a_network_whose_input_is_not_square_asks_for_a_side() -> None:
    network = with_config(input_size=(3, 256, 128))
    classifier = Classifier(network=network, preprocessing=timm_preprocessing(network))
    with pytest.raises(NetworkError, match="256×128 px, and a working view is square; give --image-side"):
        fit_preprocessing(classifier, settings())
    assert fit_preprocessing(classifier, settings(image_side=128)).image_side == 128
