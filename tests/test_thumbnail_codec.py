"""Formats that a thumbnail may be stored in: what comes back, at what size, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from thumbnet.errors import ConfigError
from thumbnet.thumbnail_codec import ThumbnailFormat, decode, encode, parse_format


@pytest.fixture
def picture() -> Image.Image:
    """A smooth red and blue one, so that colours at half the resolution show."""
    y, x = np.mgrid[0:1:40j, 0:1:48j]
    planes = np.stack([255 * (np.sin(9 * x) > 0), 255 * y, 255 * (np.cos(14 * y) > 0)], axis=2)
    return Image.fromarray(planes.astype(np.uint8))


def error(picture: Image.Image, stored_as: str) -> float:
    back = decode(encode(picture, parse_format(stored_as)))
    assert back.size == picture.size
    assert back.mode == "RGB"
    return float(np.abs(np.asarray(back, dtype=float) - np.asarray(picture, dtype=float)).mean())


@pytest.mark.parametrize("stored_as", ["png", "webp"])
def test_lossless_formats_give_the_picture_back(picture: Image.Image, stored_as: str) -> None:
    assert parse_format(stored_as).lossless
    assert error(picture, stored_as) == 0


@pytest.mark.parametrize("name", ["jpeg", "jpeg444", "webp"])
def test_lower_quality_is_smaller_and_further_from_the_picture(picture: Image.Image, name: str) -> None:
    sizes = [len(encode(picture, parse_format(f"{name}:{quality}"))) for quality in (90, 30)]
    assert sizes[0] > sizes[1]
    assert 0 < error(picture, f"{name}:90") < error(picture, f"{name}:30")


def test_full_colour_resolution_keeps_colours_better(picture: Image.Image) -> None:
    assert error(picture, "jpeg444:90") < 0.7 * error(picture, "jpeg:90")


def test_the_same_picture_gives_the_same_bytes(picture: Image.Image) -> None:
    for stored_as in ("png", "webp", "webp:60", "jpeg:60", "jpeg444:60"):
        assert encode(picture, parse_format(stored_as)) == encode(picture, parse_format(stored_as))


def test_a_format_is_written_as_it_is_read() -> None:
    for text in ("png", "webp", "webp:80", "jpeg:90", "jpeg444:50"):
        assert str(parse_format(text)) == text
    assert parse_format("jpeg:90") == ThumbnailFormat(name="jpeg", quality=90)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("gif", "format is gif, but must be one of png, webp, jpeg, jpeg444"),
        ("jpeg", "jpeg needs a quality from 1 to 100, e.g. jpeg:90"),
        ("jpeg:0", "quality is 0, but must be from 1 to 100"),
        ("webp:101", "quality is 101"),
        ("png:90", "png loses nothing; leave it out"),
        ("jpeg:high", "its quality must be a whole number"),
    ],
)
def test_what_is_no_format_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_format(text)
