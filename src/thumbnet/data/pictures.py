"""One picture file to one upright 8-bit RGB picture, or one line that says why not.

Knows file formats; knows nothing of sizes that networks want.
"""

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from thumbnet.errors import PictureError

MINIMUM_SIDE = 2
MAXIMUM_PIXELS = 200_000_000
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


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
            larger than 200 megapixels.
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
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, KeyError, OverflowError, MemoryError) as error:
        # Pillow's decoders answer damaged bytes with any of these.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PictureError(f"damaged or truncated ({reason})") from error


def upright_rgb(picture: Image.Image) -> Image.Image:
    """An opened Pillow picture as upright 8-bit RGB; see `read_picture`.

    Raises:
        PictureError: If it is smaller than 2 pixels a side, too large, or holds floating-point pixels.
    """
    _check_size(picture)
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
    with warnings.catch_warnings():
        # Damaged metadata and large pictures warn; size is checked below and metadata does not reach the classifier.
        warnings.simplefilter("ignore")
        try:
            with Image.open(file) as picture:  # type: ignore[arg-type]
                _check_size(picture)
                picture.load()
                return upright_rgb(picture)
        except Image.DecompressionBombError as error:
            raise PictureError(f"more than {MAXIMUM_PIXELS // 10**6} megapixels, taken for a decompression bomb") from error


def _check_size(picture: Image.Image) -> None:
    width, height = picture.size
    if min(width, height) < MINIMUM_SIDE:
        raise PictureError(f"{width}×{height} pixels hold no picture")
    if width * height > MAXIMUM_PIXELS:
        megapixels = f"{width}×{height} pixels, more than {MAXIMUM_PIXELS // 10**6} megapixels"
        raise PictureError(f"{megapixels}, taken for a decompression bomb")
