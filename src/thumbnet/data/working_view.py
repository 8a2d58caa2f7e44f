"""The working size: how a classifier wants its pictures, and the part of a picture that it sees at evaluation.

Knows pictures as Pillow and numpy hold them. Imports no torch, so that a runtime without torch sees what training saw.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thumbnet.config import Fit
from thumbnet.data.pictures import NO_BOMBS, PictureFacts, PictureLimits, facts_of, read_picture_and_facts, upright_rgb
from thumbnet.errors import ConfigError, PictureError

Pixels = NDArray[np.uint8]
PictureSource = Image.Image | NDArray[Any] | Path | str | bytes
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
    def filter(self) -> Image.Resampling:
        """The resize filter as Pillow names it; torchvision's has the same value as `interpolation`."""
        return Image.Resampling[self.interpolation.upper()]

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
        size = (resize_side, resize_side)
    elif preprocessing.crop_mode == "border":
        scale = max(picture.size) / resize_side
        size = (max(1, round(picture.width / scale)), max(1, round(picture.height / scale)))
    else:
        picture = _without_ends(picture)
        short = min(picture.size)
        size = (int(resize_side * picture.width / short), int(resize_side * picture.height / short))
    resized = _resized(picture, size, preprocessing)
    if preprocessing.crop_mode == "border":
        return _centre(resized, side, side, tuple(round(255 * value) for value in preprocessing.mean))
    return _centre(resized, side, side)


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
    return _resized(picture, (width, height), preprocessing)


def open_picture(
    source: PictureSource, preprocessing: Preprocessing, fit: Fit = "crop", limits: PictureLimits = NO_BOMBS
) -> tuple[Image.Image, PictureFacts]:
    """A picture as upright 8-bit RGB in sRGB, and what its file says.

    A large JPEG file is decoded at the smallest size that still has more pixels than the working view; an opened
    picture and an array are taken with all their pixels; `limits` are for files.

    Raises:
        PictureError: If it cannot be read, or is too small or too large to be a picture.
    """
    if isinstance(source, np.ndarray):
        source = _of_pixels(source)
    if isinstance(source, Image.Image):
        upright = upright_rgb(source)
        return upright, facts_of(source)
    at_least: int | None = preprocessing.resize_side
    if fit == "short-side":
        at_least = preprocessing.image_side
    elif preprocessing.crop_mode == "border":
        at_least = None  # a border is left where the long side fits, so the short side may need any number of pixels
    return read_picture_and_facts(source, at_least, limits)


def view_of(picture: Image.Image, preprocessing: Preprocessing, ratio: int, fit: Fit = "crop") -> Pixels:
    """The pixels that the downscaler takes of a picture that `open_picture` gave, `[height, width, 3]`.

    Raises:
        PictureError: If the whole is asked for of a picture too long to keep.
    """
    if fit == "crop":
        return np.array(working_view(picture, preprocessing))
    return np.array(whole_view(picture, preprocessing, ratio))


def _of_pixels(levels: NDArray[Any]) -> Image.Image:
    if levels.dtype != np.uint8 or levels.ndim != 3 or levels.shape[2] != 3:
        found = f"an array of {levels.dtype} with shape {levels.shape}"
        raise PictureError(f"{found} is no picture; give uint8 of height × width × 3, RGB")
    return Image.fromarray(np.ascontiguousarray(levels))


def _resized(picture: Image.Image, size: tuple[int, int], preprocessing: Preprocessing) -> Image.Image:
    return picture if size == picture.size else picture.resize(size, preprocessing.filter)


def _without_ends(picture: Image.Image) -> Image.Image:
    longest = LONGEST_ASPECT * min(picture.size)
    if max(picture.size) <= longest:
        return picture
    return _centre(picture, min(picture.width, longest), min(picture.height, longest))


def _centre(picture: Image.Image, width: int, height: int, fill: tuple[int, ...] = (0, 0, 0)) -> Image.Image:
    """The middle, filled up where the picture is smaller; the odd pixel of the filling is on the right and below."""
    across, down = max(0, width - picture.width), max(0, height - picture.height)
    if across or down:
        filled = Image.new("RGB", (picture.width + across, picture.height + down), fill)
        filled.paste(picture, (across // 2, down // 2))
        picture = filled
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
    if picture.size == (width, height):
        return picture
    return picture.crop((left, top, left + width, top + height))
