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

from thumbnet.errors import ConfigError, PictureError

Interpolation = Literal["bicubic", "bilinear", "lanczos", "hamming", "box", "nearest"]
CropMode = Literal["center", "squash", "border"]
MAXIMUM_IMAGE_SIDE = 8192
MAXIMUM_CROP_SHARE = 2.0
# A longer strip is cut to this before the resize: only its middle is kept, and the whole could take all memory.
LONGEST_ASPECT = 300


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a classifier wants its pictures.

    Attributes:
        image_side: Side of its square input, px.
        crop_share: Share of the side that evaluation keeps after resizing, as timm's `crop_pct`; more than 1, at most
            2, resizes to less than the side and pads.
        crop_mode: What is resized before the centre crop, as timm's: the short side (`center`), each side by itself
            (`squash`), or the long side, with a border of the mean colour where the picture ends (`border`).
        interpolation: Filter of the resize; always antialiased, but for `nearest`.
        mean: Per-channel mean for normalisation, RGB in [0, 1].
        std: Per-channel standard deviation for normalisation.
    """

    image_side: int
    crop_share: float = 0.875
    crop_mode: CropMode = "center"
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if not isinstance(self.image_side, int) or not 1 <= self.image_side <= MAXIMUM_IMAGE_SIDE:
            raise ConfigError(f"image_side is {self.image_side}, but must be a whole number up to {MAXIMUM_IMAGE_SIDE}")
        if not 0 < self.crop_share <= MAXIMUM_CROP_SHARE:
            allowed = f"more than 0, at most {MAXIMUM_CROP_SHARE:g}"
            raise ConfigError(f"crop_share is {self.crop_share}, but must be {allowed}")
        for name, kinds in (("interpolation", get_args(Interpolation)), ("crop_mode", get_args(CropMode))):
            if getattr(self, name) not in kinds:
                raise ConfigError(f"{name} is {getattr(self, name)}, but must be one of {', '.join(kinds)}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ConfigError(f"mean {self.mean} and std {self.std} must be three numbers each, std more than 0")

    @property
    def filter(self) -> InterpolationMode:
        """The resize filter as torchvision names it."""
        return InterpolationMode(self.interpolation)

    @property
    def resize_side(self) -> int:
        """What evaluation resizes a side to before it cuts `image_side` out, px; rounded as timm does."""
        return math.floor(self.image_side / self.crop_share)

    @property
    def summary(self) -> str:
        """One phrase for messages, with everything in it."""
        mode = "" if self.crop_mode == "center" else f", {self.crop_mode}"
        crop = f"crop share {self.crop_share:.4g} (of {self.resize_side} px){mode}, {self.interpolation}"
        mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return f"{self.image_side} px, {crop}, mean ({mean}), std ({std})"


def working_view(picture: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """The part of a picture that the classifier sees at evaluation: resized by its crop mode, then centre crop.

    The pixels are those of timm's and torchvision's own transforms for evaluation.

    Args:
        picture: RGB, any size.
        preprocessing: The classifier's.

    Returns:
        RGB picture of `image_side` × `image_side`.
    """
    side, resize_side = preprocessing.image_side, preprocessing.resize_side
    if preprocessing.crop_mode == "squash":
        size = [resize_side, resize_side]
    elif preprocessing.crop_mode == "border":
        scale = max(picture.size) / resize_side
        size = [max(1, round(picture.height / scale)), max(1, round(picture.width / scale))]
    else:
        picture = _without_ends(picture)
        size = [resize_side]
    resized = functional.resize(picture, size, interpolation=preprocessing.filter)
    if preprocessing.crop_mode == "border":
        resized = _with_border(resized, side, preprocessing.mean)
    cropped: Image.Image = functional.center_crop(resized, [side])
    return cropped


def whole_view(picture: Image.Image, preprocessing: Preprocessing, ratio: int) -> Image.Image:
    """The whole picture with its short side at `image_side`, antialiased; nothing is cut off.

    Args:
        picture: RGB, any shape that is not longer than `LONGEST_ASPECT` times its width.
        preprocessing: The classifier's.
        ratio: Both sides are brought to multiples of it, which changes the shape by less than one part in a hundred.

    Raises:
        PictureError: If the picture is longer than that.
    """
    shortest, longest = min(picture.size), max(picture.size)
    if longest > LONGEST_ASPECT * shortest:
        raise PictureError(f"{picture.width}×{picture.height} pixels, more than {LONGEST_ASPECT} times as long as wide")
    # `image_side` is a multiple of the ratio.
    width, height = (round(preprocessing.image_side * side / shortest / ratio) * ratio for side in picture.size)
    resized: Image.Image = functional.resize(picture, [height, width], interpolation=preprocessing.filter)
    return resized


def _without_ends(picture: Image.Image) -> Image.Image:
    longest = LONGEST_ASPECT * min(picture.size)
    if max(picture.size) <= longest:
        return picture
    middle: Image.Image = functional.center_crop(picture, [min(picture.height, longest), min(picture.width, longest)])
    return middle


def _with_border(picture: Image.Image, side: int, mean: tuple[float, float, float]) -> Image.Image:
    """At least `side` × `side`, with the odd pixel on the right and below."""
    across, down = max(0, side - picture.width), max(0, side - picture.height)
    padding = [across // 2, down // 2, (across + 1) // 2, (down + 1) // 2]
    padded: Image.Image = functional.pad(picture, padding, fill=[round(255 * value) for value in mean])
    return padded


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
