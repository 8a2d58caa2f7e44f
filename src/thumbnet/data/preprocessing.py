"""The working size, and the value ranges: said once, here.

A *picture* is a Pillow image of any size. An *image* is a float tensor `[batch, 3, side, side]`, RGB in [0, 1], which
is what the downscaler takes. Only what enters a classifier is *normalised* with its mean and standard deviation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from thumbnet.errors import ConfigError

Interpolation = Literal["bicubic", "bilinear", "lanczos", "nearest"]
MAXIMUM_IMAGE_SIDE = 8192
# A longer strip is cut to this before the resize: only its middle is kept, and the whole could take all memory.
LONGEST_ASPECT = 300


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a classifier wants its pictures.

    Attributes:
        image_side: Side of its square input, px.
        crop_share: Share of the side that evaluation keeps after resizing, as timm's `crop_pct`.
        interpolation: Filter of the resize; always antialiased.
        mean: Per-channel mean for normalisation, RGB in [0, 1].
        std: Per-channel standard deviation for normalisation.
    """

    image_side: int
    crop_share: float = 0.875
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if not isinstance(self.image_side, int) or not 1 <= self.image_side <= MAXIMUM_IMAGE_SIDE:
            raise ConfigError(f"image_side is {self.image_side}, but must be a whole number up to {MAXIMUM_IMAGE_SIDE}")
        if not 0 < self.crop_share <= 1:
            raise ConfigError(f"crop_share is {self.crop_share}, but must be more than 0, at most 1")
        if self.interpolation not in get_args(Interpolation):
            known = ", ".join(get_args(Interpolation))
            raise ConfigError(f"interpolation is {self.interpolation}, but must be one of {known}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ConfigError(f"mean {self.mean} and std {self.std} must be three numbers each, std more than 0")

    @property
    def filter(self) -> InterpolationMode:
        """The resize filter as torchvision names it."""
        return InterpolationMode(self.interpolation)


def working_view(picture: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """The part of a picture that the classifier sees at evaluation: short side resized, then centre crop.

    Args:
        picture: RGB, any size.
        preprocessing: The classifier's.

    Returns:
        RGB picture of `image_side` × `image_side`.
    """
    longest = LONGEST_ASPECT * min(picture.size)
    if max(picture.size) > longest:
        picture = functional.center_crop(picture, [min(picture.height, longest), min(picture.width, longest)])
    resize_side = math.floor(preprocessing.image_side / preprocessing.crop_share)
    resized = functional.resize(picture, [resize_side], interpolation=preprocessing.filter)
    cropped: Image.Image = functional.center_crop(resized, [preprocessing.image_side])
    return cropped


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
    image: Float[Tensor, "batch 3 height width"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "batch 3 height width"]:
    """Image or thumbnail values in [0, 1] to what a classifier takes: `(image - mean) / std`."""
    shift = torch.tensor(mean, dtype=image.dtype, device=image.device).view(3, 1, 1)
    scale = torch.tensor(std, dtype=image.dtype, device=image.device).view(3, 1, 1)
    return (image - shift) / scale
