"""Drawings become a folder of classes: on white, each once, of usual sizes, and classes of enough of them."""

from pathlib import Path

import pytest
from PIL import Image

from benchmark_scripts import script


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """`animals` has three drawings, one of them twice and one too small; `tools` has one; `special` is no subject."""
    see_through = Image.new("RGBA", (400, 600), (0, 0, 0, 0))
    see_through.paste((255, 0, 0, 255), (0, 0, 200, 600))
    drawings = {
        "animals/cats/tom.png": see_through,
        "animals/copy.png": see_through,
        "animals/blue.png": Image.new("RGBA", (100, 300), (0, 0, 255, 255)),
        "animals/icon.png": Image.new("RGBA", (95, 300), (0, 255, 0, 255)),
        "tools/saw.png": Image.new("RGBA", (100, 100), (9, 9, 9, 255)),
        "special/one.png": Image.new("RGBA", (100, 100), (1, 1, 1, 255)),
        "special/two.png": Image.new("RGBA", (100, 100), (2, 2, 2, 255)),
    }
    for name, drawing in drawings.items():
        (tmp_path / "png" / name).parent.mkdir(parents=True, exist_ok=True)
        drawing.save(tmp_path / "png" / name)
    return tmp_path / "png"


def test_drawings_become_a_folder_of_classes(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clipart_pictures = script("clipart_pictures")
    monkeypatch.setattr(clipart_pictures, "FEWEST", 2)
    output = tmp_path / "clipart"
    monkeypatch.setattr("sys.argv", ["clipart_pictures.py", str(library), "--output", str(output)])
    clipart_pictures.main()
    written = {file.relative_to(output).as_posix() for file in output.rglob("*.png")}
    twice = {"animals/cats-tom.png", "animals/copy.png"}
    assert len(written & twice) == 1
    assert written - twice == {"animals/blue.png"}
    assert "too few" in capsys.readouterr().out


def test_what_is_transparent_is_white_and_the_shorter_side_at_most_256_px(library: Path) -> None:
    drawing = script("clipart_pictures").on_white(library / "animals" / "cats" / "tom.png")
    assert (drawing.mode, drawing.size) == ("RGB", (256, 384))
    assert (drawing.getpixel((20, 20)), drawing.getpixel((250, 20))) == ((255, 0, 0), (255, 255, 255))


def test_a_drawing_of_too_many_pixels_is_left_out(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clipart_pictures = script("clipart_pictures")
    monkeypatch.setattr(clipart_pictures, "MOST_PIXELS", 239_999)
    assert clipart_pictures.on_white(library / "animals" / "cats" / "tom.png") is None
