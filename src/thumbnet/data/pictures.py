"""One picture file to one upright 8-bit RGB picture, or one line that says why not.

Knows file formats; knows nothing of sizes that networks want.
"""

import contextlib
import ctypes
import logging
import threading
import warnings
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, _imaging

from thumbnet.data.colour import colour_profile, to_srgb
from thumbnet.errors import LargePictureError, PictureError, UnknownPictureError

MINIMUM_SIDE = 2
MAXIMUM_PIXELS = 178_000_000  # just below where Pillow itself refuses
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
# Only what the suffixes promise: Pillow would hand a PostScript file to an interpreter, whatever its name is.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_ORIENTATION = 0x0112


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureLimits:
    """How large a picture may be; a larger one is refused before it is decoded.

    Attributes:
        pixels: Most of them.
        side: Longest side, px; by default any.
    """

    pixels: int = MAXIMUM_PIXELS
    side: int | None = None


NO_BOMBS = PictureLimits()


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureFacts:
    """What a file says of its picture.

    Attributes:
        width: As stored, px.
        height: As stored, px.
        orientation: EXIF's, 1 (upright) to 8.
        colour_profile: Name of the profile within, if there is one.
    """

    width: int
    height: int
    orientation: int
    colour_profile: str | None


def read_picture(source: Path | str | bytes, at_least: int | None = None) -> Image.Image:
    """Reads a picture as upright 8-bit RGB.

    EXIF rotation is applied, colours are converted to sRGB by the profile within the file, 16-bit grey is scaled to 8
    bits, CMYK and palettes are converted, an animation gives its first frame, transparency is dropped (as torchvision
    and timm do).

    Args:
        source: A file's path, or its bytes.
        at_least: Decode a JPEG at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size that has this many pixels along
            both sides: several times faster, and nearly what resizing the whole would give. By default at full size.

    Returns:
        An RGB picture, fully decoded, its file closed.

    Raises:
        PictureError: If the file is missing, empty, no picture, truncated, damaged, smaller than 2 pixels a side, or
            larger than 178 megapixels.
    """
    return read_picture_and_facts(source, at_least)[0]


def read_picture_and_facts(
    source: Path | str | bytes, at_least: int | None = None, limits: PictureLimits = NO_BOMBS
) -> tuple[Image.Image, PictureFacts]:
    """`read_picture` within limits, and what the file says of it."""
    try:
        if isinstance(source, bytes):
            return _decode(BytesIO(source), len(source), at_least, limits)
        with open(source, "rb") as file:
            size_bytes = Path(source).stat().st_size
            return _decode(file, size_bytes, at_least, limits)
    except PictureError:
        raise
    except FileNotFoundError as error:
        raise PictureError("no such file") from error
    except IsADirectoryError as error:
        raise PictureError("a folder, not a picture") from error
    except PermissionError as error:
        raise PictureError("no permission to read it") from error
    except UnidentifiedImageError as error:
        raise UnknownPictureError("not a picture in a known format, or damaged at its start") from error
    except Exception as error:
        # Pillow's decoders answer damaged bytes with almost any exception.
        if isinstance(error, OSError) and error.strerror:
            raise PictureError(f"cannot be read ({error.strerror})") from error
        reason = str(error).splitlines()[0] if str(error).strip() else type(error).__name__
        raise PictureError(f"damaged or truncated ({reason})") from error


def size_bytes(file: Path | bytes) -> int:
    """Size of a picture's file as it is stored."""
    return len(file) if isinstance(file, bytes) else file.stat().st_size


def upright_rgb(picture: Image.Image) -> Image.Image:
    """An opened Pillow picture as upright 8-bit RGB; see `read_picture`.

    Raises:
        PictureError: If it is smaller than 2 pixels a side, too large, or holds floating-point pixels.
    """
    _check_size(picture)
    picture.load()
    if _orientation(picture) != 1:
        with contextlib.suppress(Exception):  # damaged metadata: the pixels are whole, only their rotation is unknown
            picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F":
        raise PictureError("floating-point pixels have no known range; save it with 8 or 16 bits")
    if picture.mode.startswith("I"):
        wide = np.asarray(picture).astype(np.int64).clip(0, 65535)
        return Image.fromarray(np.round(wide / 257).astype(np.uint8)).convert("RGB")
    return to_srgb(picture).convert("RGB")


def facts_of(picture: Image.Image) -> PictureFacts:
    """What a picture says of itself once it is loaded."""
    return PictureFacts(
        width=picture.width,
        height=picture.height,
        orientation=_orientation(picture),
        colour_profile=colour_profile(picture),
    )


def _orientation(picture: Image.Image) -> int:
    try:
        orientation = int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata is answered with almost any exception
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def _decode(
    file: object, size_bytes: int, at_least: int | None, limits: PictureLimits
) -> tuple[Image.Image, PictureFacts]:
    if size_bytes == 0:
        raise PictureError("the file is empty (0 bytes)")
    with _SILENCE:
        try:
            with Image.open(file, formats=_FORMATS) as picture:  # type: ignore[arg-type]
                _check_size(picture, limits)
                size = picture.size
                if at_least is not None:
                    picture.draft(None, (at_least, at_least))
                upright = upright_rgb(picture)
                return upright, replace(facts_of(picture), width=size[0], height=size[1])
        except Image.DecompressionBombError as error:
            limit = f"more than {MAXIMUM_PIXELS // 10**6} megapixels"
            raise LargePictureError(f"{limit}, taken for a decompression bomb") from error


def _check_size(picture: Image.Image, limits: PictureLimits = NO_BOMBS) -> None:
    width, height = picture.size
    if min(width, height) < MINIMUM_SIDE:
        raise PictureError(f"{width}×{height} pixels hold no picture")
    if width * height > MAXIMUM_PIXELS:
        megapixels = f"{width}×{height} pixels, more than {MAXIMUM_PIXELS // 10**6} megapixels"
        raise LargePictureError(f"{megapixels}, taken for a decompression bomb")
    if width * height > limits.pixels:
        raise LargePictureError(f"{width}×{height} pixels, more than {limits.pixels:,} pixels")
    if limits.side is not None and max(width, height) > limits.side:
        raise LargePictureError(f"{width}×{height} pixels, a side of more than {limits.side:,}")


class _Silence:
    """Python's warnings are off while any thread is inside.

    Damaged metadata and large pictures warn; size is checked here and metadata does not reach the classifier.
    `warnings.catch_warnings` alone leaks when threads leave it in another order than they came.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._caught = warnings.catch_warnings(action="ignore")

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._caught = warnings.catch_warnings(action="ignore")
                self._caught.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._caught.__exit__(None, None, None)


_SILENCE = _Silence()

# What they print to the terminal stands beside an exception that says the same.
logging.getLogger("PIL").addHandler(logging.NullHandler())
with contextlib.suppress(OSError, AttributeError):  # not where Pillow has libtiff within itself
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)
