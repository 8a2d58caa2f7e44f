"""Colour profiles within files."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from thumbnet.data.colour import colour_profile, to_srgb
from thumbnet.data.pictures import read_picture, read_picture_and_facts

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped() -> bytes:
    """A profile whose red is sRGB's blue and whose blue is sRGB's red, by another name."""
    renamed = SRGB.replace("sRGB".encode("utf-16-be"), "Test".encode("utf-16-be"))
    return renamed.replace(b"rXYZ", b"_XYZ", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"_XYZ", b"bXYZ", 1)


def red(mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (8, 8), (200, 30, 60)).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_are_converted_by_the_profile(mode: str) -> None:
    picture = red().quantize() if mode == "P" else red(mode)
    picture.info["icc_profile"] = swapped()
    converted = np.asarray(to_srgb(picture))[0, 0]
    assert np.abs(converted.astype(int) - (60, 30, 200)).max() <= 2


def test_srgb_no_profile_and_a_damaged_one_change_nothing() -> None:
    for profile in (SRGB, b"", b"no profile", swapped()[:200]):
        picture = red()
        picture.info["icc_profile"] = profile
        assert to_srgb(picture) is picture
    assert to_srgb(red()).tobytes() == red().tobytes()


def test_a_profile_of_another_kind_of_picture_changes_nothing() -> None:
    picture = red("L")
    picture.info["icc_profile"] = swapped()
    assert to_srgb(picture) is picture


def test_the_name_of_a_profile() -> None:
    picture = red()
    assert colour_profile(picture) is None
    picture.info["icc_profile"] = swapped()
    assert "Test" in str(colour_profile(picture))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_every_way_of_reading_converts(kind: str) -> None:
    buffer = io.BytesIO()
    red().save(buffer, kind, icc_profile=swapped())
    picture, facts = read_picture_and_facts(buffer.getvalue())
    assert np.abs(np.asarray(picture)[0, 0].astype(int) - (60, 30, 200)).max() <= 12
    assert "Test" in str(facts.colour_profile)


@pytest.mark.parametrize(
    ("at_least", "size"), [(None, (640, 480)), (240, (320, 240)), (241, (640, 480)), (10, (80, 60))]
)
def test_a_jpeg_is_decoded_at_the_smallest_size_that_suffices(at_least: int | None, size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((640, 480)).convert("RGB").save(buffer, "JPEG")
    picture, facts = read_picture_and_facts(buffer.getvalue(), at_least)
    assert picture.size == size
    assert (facts.width, facts.height) == (640, 480)


def test_reduced_and_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((640, 480)).convert("RGB").save(buffer, "JPEG", exif=exif)
    picture, facts = read_picture_and_facts(buffer.getvalue(), 200)
    assert (picture.size, facts.orientation) == ((240, 320), 6)
    whole = read_picture(buffer.getvalue()).resize(picture.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(picture).astype(int) - np.asarray(whole)).mean() < 1
