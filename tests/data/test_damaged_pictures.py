"""Damaged pictures are pictures or one clear line, and nothing is said beside it."""

import logging
import random
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import ExifTags, Image

from thumbnet.data.pictures import read_picture
from thumbnet.errors import PictureError

MakePicture = Callable[..., Image.Image]
Encode = Callable[..., bytes]


def mutated(content: bytes, source: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(source.choice([1, 2, 5, 20])):
        # Half of the damage goes to the headers, which a random place would seldom meet.
        size = max(2, len(damaged) if source.random() < 0.5 else min(len(damaged), 100))
        first, second = source.randrange(size), source.randrange(size)
        if len(damaged) <= max(first, second):
            break
        match source.choice(["flip", "flip", "swap", "truncate", "overwrite"]):
            case "flip":
                damaged[first] ^= 1 << source.randrange(8)
            case "swap":
                damaged[first], damaged[second] = damaged[second], damaged[first]
            case "truncate":
                del damaged[second:]
            case "overwrite":
                damaged[first : first + 4] = source.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
    return bytes(damaged)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", range(10))
def test_damaged_bytes_give_a_picture_or_a_picture_error_and_never_a_warning(
    number: int, make_picture: MakePicture, encode: Encode, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = make_picture()
    grey16 = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    whole = [
        encode(picture, "PNG", exif=exif),
        encode(picture.convert("P"), "PNG", transparency=bytes(range(256))),
        encode(grey16, "PNG"),
        encode(picture, "JPEG", exif=exif),
        encode(picture, "JPEG", progressive=True),
        encode(picture.convert("CMYK"), "JPEG"),
        encode(picture, "WEBP", exif=exif),
        encode(picture, "WEBP", lossless=True),
        encode(picture, "GIF"),
        encode(picture, "BMP"),
        encode(picture, "TIFF"),
        encode(picture, "TIFF", compression="tiff_lzw"),
        encode(picture, "TIFF", compression="tiff_deflate"),
        encode(picture, "TIFF", compression="jpeg"),
        encode(picture, "PPM"),
    ]
    source = random.Random(number)
    outcomes = {"picture": 0, "error": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(30):
            content = mutated(source.choice(whole), source)
            try:
                assert read_picture(content).mode == "RGB"
                outcomes["picture"] += 1
            except PictureError as error:
                assert str(error).isprintable()
                outcomes["error"] += 1
    assert min(outcomes.values()) > 0, "the damage was all of one kind"
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_reading_in_threads_prints_no_warning_and_leaves_the_warning_filters_as_they_were(
    make_picture: MakePicture, encode: Encode
) -> None:
    slow = encode(make_picture(300, 300), "PNG")
    warns = encode(make_picture(64, 64).convert("P"), "PNG", transparency=bytes(range(256)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(read_picture, [warns, slow] * 100))
        assert warnings.filters == filters
    assert caught == []


def test_pillow_has_somewhere_to_log_that_is_not_the_terminal() -> None:
    assert logging.getLogger("PIL").handlers
