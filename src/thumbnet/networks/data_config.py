"""How a classifier's makers prepared its pictures, taken over from their own data configuration."""

from typing import Any, cast

from torch import nn

from thumbnet.data.preprocessing import Interpolation, Preprocessing


def timm_preprocessing(network: nn.Module) -> Preprocessing | None:
    """From timm's `pretrained_cfg`, which any network may carry; None where it has none."""
    config = getattr(network, "pretrained_cfg", None)
    if not isinstance(config, dict) or not config.get("input_size"):
        return None
    interpolation = config.get("interpolation", "bicubic")
    return Preprocessing(
        image_side=config["input_size"][-1],
        crop_share=config.get("crop_pct") or 0.875,
        interpolation=cast(Interpolation, interpolation if interpolation != "random" else "bicubic"),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def torchvision_preprocessing(recipe: Any) -> Preprocessing:
    """From the transforms that come with torchvision's weights."""
    return Preprocessing(
        image_side=recipe.crop_size[0],
        crop_share=min(1.0, recipe.crop_size[0] / recipe.resize_size[0]),
        interpolation=recipe.interpolation.value,
        mean=tuple(recipe.mean),
        std=tuple(recipe.std),
    )
