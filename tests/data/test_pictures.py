"""A file of any kind becomes an upright picture of 8-bit RGB, or one line that says why not."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from thumbnet.data.pictures import MAXIMUM_PIXELS, read_picture, upright_rgb
from thumbnet.errors import DataError, PictureError

MakePicture = Callable[..., Image.Image]
Encode = Callable[..., bytes]


def reason_of(source: Path | bytes) -> str:
    with pytest.raises(PictureError) as caught:
        read_picture(source)
    reason = str(caught.value)
    assert reason
    assert reason.isprintable(), "a reason is one line of text"
    return reason


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes) -> bytes:
    """A PNG file byte by byte, for what Pillow does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


# What is no picture.


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert reason_of(tmp_path / "gone.jpg") == "no such file"


def test_a_zero_byte_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    assert reason_of(path) == "the file is empty (0 bytes)"
    assert reason_of(b"") == "the file is empty (0 bytes)"


def test_a_text_file_named_jpg_says_so(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("buy milk\n")
    assert "not a picture" in reason_of(path)


def test_a_folder_says_so(tmp_path: Path) -> None:
    assert reason_of(tmp_path) == "a folder, not a picture"


def test_a_file_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("thumbnet.data.pictures.open", refuse, raising=False)
    assert reason_of(tmp_path / "secret.jpg") == "no permission to read it"


def test_a_file_where_a_folder_should_be_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert reason_of(tmp_path / "file" / "a.jpg") == "cannot be read (Not a directory)"


def test_a_failing_disk_is_not_called_a_damaged_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("thumbnet.data.pictures.open", fail, raising=False)
    assert reason_of(tmp_path / "a.jpg") == "cannot be read (Input/output error)"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_picture_says_so(kind: str, make_picture: MakePicture, encode: Encode) -> None:
    whole = encode(make_picture(64, 64), kind)
    assert "truncated" in reason_of(whole[: len(whole) // 2])


def test_a_corrupt_picture_says_so(make_picture: MakePicture, encode: Encode) -> None:
    whole = bytearray(encode(make_picture(64, 64), "PNG"))
    whole[len(whole) // 2] ^= 0xFF
    assert "damaged" in reason_of(bytes(whole))


def test_a_corrupt_header_says_so(make_picture: MakePicture, encode: Encode) -> None:
    assert "damaged at its start" in reason_of(b"\0\0\0\0" + encode(make_picture(), "PNG")[4:])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 50), (50, 1)])
def test_one_pixel_a_side_is_no_picture(width: int, height: int, make_picture: MakePicture, encode: Encode) -> None:
    assert reason_of(encode(make_picture(width, height), "PNG")) == f"{width}×{height} pixels hold no picture"


def test_two_pixels_a_side_are_a_picture(make_picture: MakePicture, encode: Encode) -> None:
    assert read_picture(encode(make_picture(2, 2), "PNG")).size == (2, 2)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (17_801, 10_000)])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(width: int, height: int) -> None:
    assert width * height > MAXIMUM_PIXELS
    reason = reason_of(png(width, height, 8, 2, b""))
    assert "more than 178 megapixels" in reason
    assert "decompression bomb" in reason


def test_every_picture_within_the_limit_is_within_the_limit_of_pillow_too() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert 2 * Image.MAX_IMAGE_PIXELS >= MAXIMUM_PIXELS


def test_floating_point_pixels_are_refused(encode: Encode) -> None:
    content = encode(Image.new("F", (8, 8), 0.5), "TIFF")
    assert reason_of(content) == "floating-point pixels have no known range; save it with 8 or 16 bits"


def test_a_program_in_a_picture_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise AssertionError("PostScript was handed to an interpreter")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", run)
    path = tmp_path / "drawing.jpg"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    assert "not a picture in a known format" in reason_of(path)


def test_an_unreadable_picture_is_a_data_error() -> None:
    assert issubclass(PictureError, DataError)


# What every picture becomes.


def assert_equal_pixels(picture: Image.Image, expected: np.ndarray) -> None:
    assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture), expected)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_an_rgb_picture_keeps_its_levels(kind: str, make_picture: MakePicture, encode: Encode, tmp_path: Path) -> None:
    picture = make_picture()
    content = encode(picture, kind)
    (tmp_path / "a").write_bytes(content)
    for source in (content, tmp_path / "a", str(tmp_path / "a")):
        assert_equal_pixels(read_picture(source), np.asarray(picture))


def test_an_8_bit_grey_picture_has_three_equal_channels(encode: Encode) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = read_picture(encode(Image.fromarray(levels), "PNG"))
    assert_equal_pixels(picture, np.repeat(levels[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_a_16_bit_grey_picture_is_scaled_to_8_bits(kind: str, encode: Encode) -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    picture = read_picture(encode(Image.fromarray(levels * 257), kind))
    assert_equal_pixels(picture, np.repeat(levels[..., None].astype(np.uint8), 3, axis=2))


def test_a_16_bit_level_is_rounded_to_the_nearest(encode: Encode) -> None:
    levels = np.array([[0, 128], [129, 65_535]], dtype=np.uint16)
    assert np.asarray(read_picture(encode(Image.fromarray(levels), "PNG")))[..., 0].tolist() == [[0, 0], [1, 255]]


def test_a_16_bit_rgb_picture_is_scaled_to_8_bits() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + (row * 257).astype(">u2").tobytes() for row in levels)
    assert_equal_pixels(read_picture(png(5, 4, 16, 2, rows)), levels.astype(np.uint8))


def test_a_cmyk_jpeg_shows_its_colours(encode: Encode) -> None:
    content = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    picture = read_picture(content)
    assert picture.mode == "RGB"
    red, green, blue = np.asarray(picture).reshape(-1, 3).mean(axis=0)
    assert red > 240
    assert max(green, blue) < 15


def test_a_palette_with_transparency_shows_its_colours(encode: Encode) -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], dtype=np.uint8)).convert("P")
    picture.putpalette([200, 10, 20, 5, 250, 100])
    content = encode(picture, "PNG", transparency=bytes([0, 128]))
    first, second = [200, 10, 20], [5, 250, 100]
    assert_equal_pixels(read_picture(content), np.array([[first, second], [second, first]]))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_dropped_and_the_colours_below_it_stay(
    mode: str, make_picture: MakePicture, encode: Encode
) -> None:
    opaque = make_picture().convert(mode[:-1])
    transparent = opaque.copy()
    transparent.putalpha(Image.new("L", opaque.size, 7))
    assert transparent.mode == mode
    assert_equal_pixels(read_picture(encode(transparent, "PNG")), np.asarray(opaque.convert("RGB")))


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True})])
def test_an_animation_gives_its_first_frame(kind: str, options: dict[str, Any], encode: Encode) -> None:
    first, second = Image.new("RGB", (8, 6), (255, 0, 0)), Image.new("RGB", (8, 6), (0, 0, 255))
    content = encode(first, kind, save_all=True, append_images=[second], **options)
    assert_equal_pixels(read_picture(content), np.asarray(first))


# Which edges of the upright picture the first row and the first column of the file show (EXIF 2.3, tag 274).
STORED_AS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_exif_rotation_is_applied(orientation: int, kind: str, make_picture: MakePicture, encode: Encode) -> None:
    upright = np.asarray(make_picture(5, 4))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED_AS[orientation](upright)))
    picture = read_picture(encode(stored, kind, exif=exif, lossless=True))
    assert_equal_pixels(picture, upright)
    assert_equal_pixels(upright_rgb(picture), upright)  # and is not applied twice


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_damaged_metadata_does_not_cost_the_picture(
    exif: bytes, kind: str, make_picture: MakePicture, encode: Encode
) -> None:
    picture = make_picture()
    assert_equal_pixels(read_picture(encode(picture, kind, exif=exif, lossless=True)), np.asarray(picture))
