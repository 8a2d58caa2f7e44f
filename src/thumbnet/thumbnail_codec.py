"""A picture to the bytes of a file and back: the formats that a thumbnail may be stored in.

Knows Pillow's encoders; knows nothing of tensors, and nothing of what is stored.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Literal, cast, get_args

from PIL import Image

from thumbnet.errors import ConfigError

FormatName = Literal["png", "webp", "jpeg", "jpeg444"]
DEFAULT_QUALITY = 90
_SUFFIXES = {"png": ".png", "webp": ".webp", "jpeg": ".jpg", "jpeg444": ".jpg"}
_SUBSAMPLING = {"jpeg": "4:2:0", "jpeg444": "4:4:4"}


@dataclass(frozen=True, kw_only=True)
class ThumbnailFormat:
    """How a picture is stored.

    Attributes:
        name: `png`; `webp`; `jpeg`, with colours at half the resolution (4:2:0), as most programs write it; or
            `jpeg444`, with colours at full resolution.
        quality: Of a lossy format, 1 to 100. PNG has none, and WebP without one loses nothing.

    Raises:
        ConfigError: If the quality is missing or out of range.
    """

    name: FormatName
    quality: int | None = None

    def __post_init__(self) -> None:
        if self.name == "png" and self.quality is not None:
            raise ConfigError(f"quality is {self.quality}, but png loses nothing; leave it out, or choose webp or jpeg")
        if self.name in _SUBSAMPLING and self.quality is None:
            raise ConfigError(f"{self.name} needs a quality from 1 to 100, e.g. {self.name}:{DEFAULT_QUALITY}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ConfigError(f"quality is {self.quality}, but must be from 1 to 100")

    @property
    def lossless(self) -> bool:
        """Whether a picture comes back as it was."""
        return self.quality is None

    @property
    def suffix(self) -> str:
        """How the name of such a file ends."""
        return _SUFFIXES[self.name]

    def __str__(self) -> str:
        return self.name if self.quality is None else f"{self.name}:{self.quality}"


def parse_format(text: str) -> ThumbnailFormat:
    """`png`, `webp` (lossless), `webp:80`, `jpeg:90` or `jpeg444:90` as a format.

    Raises:
        ConfigError: If it is none of these.
    """
    name, colon, quality = text.strip().partition(":")
    if colon and not quality.isdecimal():
        raise ConfigError(f"format is {text}, but its quality must be a whole number from 1 to 100, e.g. jpeg:90")
    if name not in get_args(FormatName):
        raise ConfigError(f"format is {name}, but must be one of {', '.join(get_args(FormatName))}")
    return ThumbnailFormat(name=cast(FormatName, name), quality=int(quality) if colon else None)


def chosen_format(name: str, quality: int | None) -> ThumbnailFormat:
    """A format by name and quality; JPEG has `DEFAULT_QUALITY` where none is given.

    Raises:
        ConfigError: If the name is unknown, or the quality is out of range or of a format that has none.
    """
    if name in _SUBSAMPLING and quality is None:
        quality = DEFAULT_QUALITY
    return parse_format(name if quality is None else f"{name}:{quality}")


def encode(picture: Image.Image, stored_as: ThumbnailFormat) -> bytes:
    """The bytes of the picture's file: 8-bit RGB, without metadata, as small as the encoder can make it.

    The same picture and format give the same bytes with the same version of Pillow.
    """
    buffer = BytesIO()
    if stored_as.name == "png":
        picture.save(buffer, format="png", optimize=True)
    elif stored_as.name == "webp":
        # Of a lossless WebP, quality is the effort: on thumbnails more of it takes 40 times as long and saves nothing.
        picture.save(buffer, format="webp", lossless=stored_as.lossless, quality=stored_as.quality or 50, method=4)
    else:
        subsampling = _SUBSAMPLING[stored_as.name]
        picture.save(buffer, format="jpeg", quality=stored_as.quality, subsampling=subsampling, optimize=True)
    return buffer.getvalue()


def decode(content: bytes) -> Image.Image:
    """The 8-bit RGB picture that `encode` stored; for files of a user's, see `data.pictures.read_picture`."""
    with Image.open(BytesIO(content)) as picture:
        return picture.convert("RGB")
