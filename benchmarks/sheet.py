"""A sheet of originals beside bicubic and learned thumbnails at the same display size, as one PNG.

    python benchmarks/sheet.py RUN [RUN ...] --output sheet.png

A row is one of the pictures that the report samples, a column after the first two is one run's thumbnail. Runs on one
sheet must have been evaluated on the same pictures.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from thumbnet.run_folder import RunFolder

SHOWN, GAP, CAPTION = 192, 8, 36


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=8, help="how many rows at most")
    given = parser.parse_args(arguments)
    sheet = draw([RunFolder.open(run) for run in given.runs], given.pictures)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(given.output, optimize=True)
    print(given.output)


def draw(runs: Sequence[RunFolder], pictures: int) -> Image.Image:
    """The sheet; exits with one line where the runs have no samples, or not the same."""
    files = sorted(runs[0].samples.glob("*-image.png"))[:pictures]
    if not files:
        sys.exit(f"{runs[0].path} has no samples; thumbnet evaluate writes them")
    for run in runs[1:]:
        if any(_bytes(run.samples / file.name) != _bytes(file) for file in files):
            sys.exit(f"{run.path} was evaluated on other pictures than {runs[0].path}; give runs of the same data")
    columns = [("image", "image", runs[0]), ("bicubic", "bicubic", runs[0])]
    columns += [("thumbnail", run.path.resolve().name, run) for run in runs]
    size = (len(columns) * (SHOWN + GAP) + GAP, CAPTION + len(files) * (SHOWN + GAP) + GAP)
    sheet = Image.new("RGB", size, "white")
    text = ImageDraw.Draw(sheet)
    for column, (kind, title, run) in enumerate(columns):
        left = GAP + column * (SHOWN + GAP)
        for row, file in enumerate(files):
            with Image.open(run.samples / file.name.replace("image", kind)) as picture:
                shown = picture.convert("RGB").resize((SHOWN, SHOWN), Image.Resampling.NEAREST)
                side = picture.width
            sheet.paste(shown, (left, CAPTION + GAP + row * (SHOWN + GAP)))
        text.multiline_text((left, GAP), f"{title}\n{side} px", "black", _fitting(title), spacing=2)
    return sheet


def _fitting(title: str) -> ImageFont.FreeTypeFont:
    """The largest font, 6 to 12 px, with which a title is no wider than its column."""
    fonts = [ImageFont.truetype(findfont("DejaVu Sans"), size) for size in range(12, 5, -1)]
    return next((font for font in fonts if font.getlength(title) <= SHOWN), fonts[-1])


def _bytes(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


if __name__ == "__main__":
    main()
