"""One picture file to one upright 8-bit RGB picture, or one line that says why not.

Knows file formats; knows nothing of sizes that networks want.
"""

import contextlib
import ctypes
import logging
import threading
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, _imaging

from thumbnet.errors import PictureError

MINIMUM_SIDE = 2
MAXIMUM_PIXELS = 178_000_000  # just below where Pillow itself refuses
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
# Only what the suffixes promise: Pillow would hand a PostScript file to an interpreter, whatever its name is.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")


def read_picture(source: Path | str | bytes) -> Image.Image:
    """Reads a picture as upright 8-bit RGB.

    EXIF rotation is applied, 16-bit grey is scaled to 8 bits, CMYK and palettes are converted, an animation gives its
    first frame, transparency is dropped (as torchvision and timm do).

    Args:
        source: A file's path, or its bytes.

    Returns:
        An RGB picture, fully decoded, its file closed.

    Raises:
        PictureError: If the file is missing, empty, no picture, truncated, damaged, smaller than 2 pixels a side, or
            larger than 178 megapixels.
    """
    try:
        if isinstance(source, bytes):
            return _decode(BytesIO(source), len(source))
        with open(source, "rb") as file:
            size_bytes = Path(source).stat().st_size
            return _decode(file, size_bytes)
    except PictureError:
        raise
    except FileNotFoundError as error:
        raise PictureError("no such file") from error
    except IsADirectoryError as error:
        raise PictureError("a folder, not a picture") from error
    except PermissionError as error:
        raise PictureError("no permission to read it") from error
    except UnidentifiedImageError as error:
        raise PictureError("not a picture in a known format, or damaged at its start") from error
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
    with contextlib.suppress(Exception):  # damaged metadata: the pixels are whole, only their rotation is unknown
        picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F":
        raise PictureError("floating-point pixels have no known range; save it with 8 or 16 bits")
    if picture.mode.startswith("I"):
        wide = np.asarray(picture).astype(np.int64).clip(0, 65535)
        picture = Image.fromarray(np.round(wide / 257).astype(np.uint8))
    return picture.convert("RGB")


def _decode(file: object, size_bytes: int) -> Image.Image:
    if size_bytes == 0:
        raise PictureError("the file is empty (0 bytes)")
    with _SILENCE:
        try:
            with Image.open(file, formats=_FORMATS) as picture:  # type: ignore[arg-type]
                _check_size(picture)
                return upright_rgb(picture)
        except Image.DecompressionBombError as error:
            limit = f"more than {MAXIMUM_PIXELS // 10**6} megapixels"
            raise PictureError(f"{limit}, taken for a decompression bomb") from error


def _check_size(picture: Image.Image) -> None:
    width, height = picture.size
    if min(width, height) < MINIMUM_SIDE:
        raise PictureError(f"{width}×{height} pixels hold no picture")
    if width * height > MAXIMUM_PIXELS:
        megapixels = f"{width}×{height} pixels, more than {MAXIMUM_PIXELS // 10**6} megapixels"
        raise PictureError(f"{megapixels}, taken for a decompression bomb")


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
