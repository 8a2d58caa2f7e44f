"""How a classifier's makers prepared its pictures, taken over from their own data configuration.

timm's networks have two such configurations: the one that they were trained with, which is what a teacher gets, and the
one that their makers test them with, often at a larger side. The second is taken where the user asks for its side.
"""

import math
from dataclasses import replace
from typing import Any, cast

from torch import nn

from thumbnet.data.preprocessing import CropMode, Interpolation, Preprocessing
from thumbnet.errors import NetworkError

# timm's own defaults where a configuration leaves something out.
DEFAULT_SHARE = 0.875
DEFAULT_MEAN, DEFAULT_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def timm_preprocessing(network: nn.Module) -> Preprocessing | None:
    """From timm's `pretrained_cfg`, which any network may carry; None where it has none."""
    return timm_config_preprocessing(_config(network))


def timm_config_preprocessing(config: dict[str, Any]) -> Preprocessing | None:
    """From a configuration as timm writes it; None where it says no side."""
    if not config.get("input_size"):
        return None
    interpolation = config.get("interpolation") or "bicubic"
    return Preprocessing(
        image_side=config["input_size"][-1],
        crop_share=config.get("crop_pct") or DEFAULT_SHARE,
        crop_mode=cast(CropMode, config.get("crop_mode") or "center"),
        interpolation=cast(Interpolation, interpolation if interpolation != "random" else "bicubic"),
        mean=tuple(config.get("mean") or DEFAULT_MEAN),
        std=tuple(config.get("std") or DEFAULT_STD),
    )


def torchvision_preprocessing(recipe: Any) -> Preprocessing:
    """From the transforms that come with torchvision's weights."""
    side, resize_side = recipe.crop_size[0], recipe.resize_size[0]
    return Preprocessing(
        image_side=side,
        crop_share=share_of(side, resize_side),
        interpolation=recipe.interpolation.value,
        mean=tuple(recipe.mean),
        std=tuple(recipe.std),
    )


def share_of(side: int, resize_side: int) -> float:
    """The crop share by which a side is resized to `resize_side` before `side` is cut out, both px."""
    share = side / resize_side
    # A share that is rounded up would give a resize of one pixel less.
    return share if math.floor(side / share) == resize_side else math.nextafter(share, 0)


def at_side(network: nn.Module, preprocessing: Preprocessing, side: int | None) -> Preprocessing:
    """The preprocessing at a side that the user gives; at the side of the makers' test, with the crop of that test.

    Raises:
        NetworkError: If the user gives none, and the network's own input is not square.
    """
    height, width = (_config(network).get("input_size") or (3, 0, 0))[-2:]
    if side is None:
        if height != width:
            raise NetworkError(
                f"teacher: its input is {height}×{width} px, and a working view is square; give --image-side"
            )
        return preprocessing
    tested = makers_test(network, preprocessing)
    if tested is not None and tested.image_side == side != preprocessing.image_side:
        return tested
    return replace(preprocessing, image_side=side)


def makers_test(network: nn.Module, preprocessing: Preprocessing) -> Preprocessing | None:
    """What timm's own `validate` shows the network, where that differs from what it was trained with.

    Args:
        network: Any; only timm's say how they are tested.
        preprocessing: What it was trained with.
    """
    config = _config(network)
    side = (config.get("test_input_size") or (preprocessing.image_side,))[-1]
    share = config.get("test_crop_pct") or preprocessing.crop_share
    tested = replace(preprocessing, image_side=side, crop_share=share)
    return None if tested == preprocessing else tested


def _config(network: nn.Module) -> dict[str, Any]:
    config = getattr(network, "pretrained_cfg", None)
    return config if isinstance(config, dict) else {}
