"""The value ranges: said once, here. The working size is said in `working_view`.

A *picture* is a Pillow image of any size. An *image* is a float tensor `[batch, 3, side, side]`, RGB in [0, 1], which
is what the downscaler takes. Only what enters a classifier is *normalised* with its mean and standard deviation.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from thumbnet.data.working_view import (
    CropMode,
    Interpolation,
    Preprocessing,
    whole_view,
    working_view,
)

# How a picture becomes an image is asked for in one place, of whatever it is made.
__all__ = [
    "CropMode",
    "Interpolation",
    "Preprocessing",
    "denormalise",
    "image_to_picture",
    "levels_to_values",
    "normalise",
    "picture_to_image",
    "whole_view",
    "working_view",
]


def levels_to_values(levels: Tensor) -> Tensor:
    """8-bit levels, as floating-point numbers, to image values: exactly `levels / 255` on every device.

    CUDA divides by a Python number as a product with its reciprocal, which misses some levels by a rounding error; a
    tensor on the same device is divided by properly.
    """
    return levels / torch.full((), 255.0, dtype=levels.dtype, device=levels.device)


def picture_to_image(picture: Image.Image) -> Float[Tensor, "3 height width"]:
    """8-bit RGB picture to image values: exactly `uint8 / 255`."""
    pixels = torch.from_numpy(np.array(picture, dtype=np.uint8))
    return levels_to_values(pixels.permute(2, 0, 1).contiguous().float())


def image_to_picture(image: Float[Tensor, "3 height width"]) -> Image.Image:
    """Image values in [0, 1] to an 8-bit RGB picture, rounded to the nearest level."""
    pixels = image.detach().clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().contiguous().numpy())


def normalise(
    image: Float[Tensor, "batch channels height width"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "batch channels height width"]:
    """Image or thumbnail values in [0, 1] to what a classifier takes: `(image - mean) / std`, channel by channel."""
    shift = torch.tensor(mean, dtype=image.dtype, device=image.device).view(-1, 1, 1)
    scale = torch.tensor(std, dtype=image.dtype, device=image.device).view(-1, 1, 1)
    return (image - shift) / scale


def denormalise(
    normalised: Float[Tensor, "batch channels height width"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "batch channels height width"]:
    """What a classifier takes to image values: `normalised · std + mean`, channel by channel."""
    shift = torch.tensor(mean, dtype=normalised.dtype, device=normalised.device).view(-1, 1, 1)
    scale = torch.tensor(std, dtype=normalised.dtype, device=normalised.device).view(-1, 1, 1)
    return normalised * scale + shift
