"""What an image processor of `transformers` does to a picture, as preprocessing.

It is read from the processor's configuration, and the processor itself is then asked whether that was all. What cannot
be shown as the makers show it is refused: a teacher that sees something else is only less accurate, and says nothing.
"""

import math
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from thumbnet.data.preprocessing import (
    CropMode,
    Interpolation,
    Preprocessing,
    normalise,
    picture_to_image,
    working_view,
)
from thumbnet.errors import NetworkError
from thumbnet.networks.data_config import share_of, timm_config_preprocessing

CONVNEXT, EFFICIENTNET, LEVIT = "ConvNextImageProcessor", "EfficientNetImageProcessor", "LevitImageProcessor"
MOBILEVIT, PERCEIVER, POOLFORMER = "MobileViTImageProcessor", "PerceiverImageProcessor", "PoolFormerImageProcessor"
# From this side on ConvNeXt's makers squash; below they keep the shape and cut.
CONVNEXT_SQUASHES = 384
LEVIT_ENLARGES = 256 / 224


def processor_preprocessing(processor: Any, name: str) -> Preprocessing:
    """What an image processor shows its network; a swap of the colours is left to the network's first layer.

    Args:
        processor: Of `transformers`.
        name: The network's, for messages.

    Raises:
        NetworkError: If a working view cannot show the same.
    """
    preprocessing = _read(processor.to_dict(), name)
    _require_same_view(processor, preprocessing, name)
    return preprocessing


def swaps_colours(processor: Any) -> bool:
    """Whether the network is shown blue, green, red."""
    config = processor.to_dict()
    return _kind(config) == MOBILEVIT and bool(config.get("do_flip_channel_order"))


def _read(config: dict[str, Any], name: str) -> Preprocessing:
    """A configuration as preprocessing. What is missing is off: `to_dict` leaves out what is None."""
    if "data_config" in config:
        of_timm = timm_config_preprocessing(config["data_config"])
        if of_timm is not None:
            return of_timm
    kind = _kind(config)
    if not config.get("do_resize"):
        raise _refusal(name, kind, "does not resize pictures")
    if kind == PERCEIVER and config.get("do_center_crop"):
        raise _refusal(name, kind, "cuts pictures before it resizes them")
    resize_side, mode = _resize(config, name)
    side = _cut(config, name, mode)
    said = float(config.get("crop_pct") or 0)
    exact = said > 0 and math.floor(side / said) == resize_side
    mean, std = _statistics(config, name)
    return Preprocessing(
        image_side=side,
        crop_share=said if exact else share_of(side, resize_side),
        crop_mode=mode,
        interpolation=_filter(config, name),
        mean=mean,
        std=std,
    )


def _resize(config: dict[str, Any], name: str) -> tuple[int, CropMode]:
    """To what a side is resized, px, and which: both, or the short one."""
    kind, size = _kind(config), _sides(config.get("size"))
    side = size.get("shortest_edge") or size.get("height")
    if side is None or set(size) not in ({"shortest_edge"}, {"height", "width"}) or size.get("width", side) != side:
        raise _refusal(name, kind, f"resizes to {_in_words(size)}, and a working view is square")
    squashes = "height" in size
    if kind == CONVNEXT and side < CONVNEXT_SQUASHES:
        return int(side / config["crop_pct"]), "center"
    if kind == CONVNEXT:
        return side, "squash"
    if kind == POOLFORMER and config.get("crop_pct"):
        return int(side / config["crop_pct"]), "center"
    if kind == LEVIT and not squashes:
        return int(LEVIT_ENLARGES * side), "center"
    return side, "squash" if squashes else "center"


def _cut(config: dict[str, Any], name: str, mode: CropMode) -> int:
    """The side of what is cut out of the middle, px."""
    kind, size, cut = _kind(config), _sides(config.get("size")), _sides(config.get("crop_size"))
    if config.get("do_center_crop"):
        if not cut or cut.get("height") != cut.get("width"):
            raise _refusal(name, kind, f"cuts to {_in_words(cut)}, and a working view is square")
        return cut["height"]
    if mode != "squash" and kind != CONVNEXT:
        raise _refusal(name, kind, "keeps the shape of pictures and cuts nothing off, and a working view is square")
    return size.get("shortest_edge") or size["height"]


def _statistics(config: dict[str, Any], name: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation by which `(image - mean) / std` is what the processor makes of the levels."""
    kind, rescales = _kind(config), config.get("do_rescale")
    scale = 255 * float(config["rescale_factor"]) if rescales else 255.0
    offset = 1.0 if kind == EFFICIENTNET and rescales and config.get("rescale_offset") else 0.0
    mean, std = [0.0] * 3, [1.0] * 3
    if config.get("do_normalize") and kind != MOBILEVIT:  # MobileViT's has no such step, whatever it says
        mean, std = _three(config["image_mean"], name, kind), _three(config["image_std"], name, kind)
    again = [1.0] * 3
    if kind == EFFICIENTNET and config.get("include_top"):
        again = _three(config["image_std"], name, kind)
    red, green, blue = ((offset + value) / scale for value in mean)
    red_std, green_std, blue_std = (first * second / scale for first, second in zip(std, again, strict=True))
    return (red, green, blue), (red_std, green_std, blue_std)


def _require_same_view(processor: Any, preprocessing: Preprocessing, name: str) -> None:
    """Shows both the same picture, so that a step nobody here knows of is found.

    The picture is made of slopes, on which a cut one pixel beside and another rounding are small, and all else is not.
    """
    across, down = np.meshgrid(np.linspace(0, 255, 320), np.linspace(0, 255, 192))
    picture = Image.fromarray(np.stack([across, down, 255 - across], axis=2).astype(np.uint8))
    kind = _kind(processor.to_dict())
    try:
        shown: Tensor = torch.as_tensor(processor(picture, return_tensors="pt")["pixel_values"])
    except Exception as error:  # it is any code of the library, with any values of a stranger's
        raise _refusal(name, kind, "shows no picture when it is asked to") from error
    image = picture_to_image(working_view(picture, preprocessing)).unsqueeze(0)
    ours = normalise(image, preprocessing.mean, preprocessing.std)
    theirs = shown.flip(1) if swaps_colours(processor) and shown.dim() == 4 else shown
    spread = torch.tensor(preprocessing.std).view(-1, 1, 1)
    if theirs.shape != ours.shape:
        raise _refusal(name, kind, f"gives {' × '.join(map(str, theirs.shape))} values for one picture")
    levels = 255 * float(((theirs - ours) * spread).abs().mean())
    if not levels <= 1 + 255 / preprocessing.image_side:
        raise _refusal(name, kind, f"shows pictures that differ by {levels:.0f} of 255 levels from what it says")


def _refusal(name: str, kind: str, what: str) -> NetworkError:
    advice = "change preprocessor_config.json in a copy of the model, or give a package.module:factory"
    return NetworkError(f"teacher: {name}'s {kind} {what}; {advice}")


def _kind(config: dict[str, Any]) -> str:
    """The processor's class, whichever library resizes in it."""
    return str(config.get("image_processor_type", "image processor")).removesuffix("Fast").removesuffix("Pil")


def _filter(config: dict[str, Any], name: str) -> Interpolation:
    number = config.get("resample", Image.Resampling.BILINEAR)
    known = {kind.value: kind.name.lower() for kind in Image.Resampling}
    if number not in known:
        raise _refusal(name, _kind(config), f"resizes by filter {number}, which Pillow does not know")
    return cast(Interpolation, known[number])


def _sides(size: Any) -> dict[str, int]:
    if isinstance(size, int):
        return {"height": size, "width": size}
    return {side: int(pixels) for side, pixels in dict(size or {}).items() if pixels}


def _in_words(size: dict[str, int]) -> str:
    return ", ".join(f"{side} {pixels}" for side, pixels in sorted(size.items())) or "no side that it says"


def _three(values: Any, name: str, kind: str) -> list[float]:
    numbers = [float(value) for value in (values if isinstance(values, list | tuple) else [values])]
    if len(numbers) not in (1, 3):
        raise _refusal(name, kind, f"normalises {len(numbers)} channels, and pictures have 3")
    return numbers * (3 // len(numbers))
