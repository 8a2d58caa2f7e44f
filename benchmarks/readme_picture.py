"""Draws photographs, and their thumbnails by trained bundles at the same display size.

    pip install scikit-image  # brings the photographs
    python benchmarks/readme_picture.py RUN --bicubic --output docs/pictures/pairs.png
    python benchmarks/readme_picture.py RUN RUN --bicubic --output docs/pictures/detail.png

The photographs are those that scikit-image ships: astronaut (NASA, public domain), chelsea (Stefan van der Walt, CC0),
coffee (Rachel Michetti and Pikolo Espresso Bar, CC0), rocket (NASA/SpaceX, public domain).
"""

import argparse
from io import BytesIO
from pathlib import Path

from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from thumbnet import ThumbNet
from thumbnet.data.preprocessing import working_view

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
SHOWN, GAP, CAPTION = 192, 12, 22


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--bicubic", action="store_true", help="a row of bicubic thumbnails, of the first run's side")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    bundles = {run.name.partition("-seed")[0]: ThumbNet.load(run, allow_code=True) for run in given.runs}
    if len(bundles) == 1:
        bundles = dict(zip(("thumbnail",), bundles.values(), strict=True))
    columns = [shown_of(Image.fromarray(getattr(data, name)()), bundles, given.bicubic) for name in PHOTOGRAPHS]
    sheet = draw(columns)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(given.output, optimize=True)
    print(given.output)


def shown_of(photograph: Image.Image, bundles: dict[str, ThumbNet], bicubic: bool) -> dict[str, Image.Image]:
    """The pictures of one column from top to bottom, by what they are."""
    image = working_view(photograph, next(iter(bundles.values())).description.preprocessing)
    thumbnails = {name: bundle.thumbnail(photograph) for name, bundle in bundles.items()}
    first = next(iter(thumbnails.values()))
    plain = {"bicubic": image.resize(first.size, Image.Resampling.BICUBIC)} if bicubic else {}
    return {"image": image, **plain, **thumbnails}


def draw(columns: list[dict[str, Image.Image]]) -> Image.Image:
    rows = len(columns[0])
    size = (len(columns) * (SHOWN + GAP) + GAP, rows * (SHOWN + CAPTION + GAP) + GAP)
    sheet = Image.new("RGB", size, "white")
    text, font = ImageDraw.Draw(sheet), ImageFont.truetype(findfont("DejaVu Sans"), 11)
    for column, pictures in enumerate(columns):
        left = GAP + column * (SHOWN + GAP)
        for row, (kind, picture) in enumerate(pictures.items()):
            top = GAP + row * (SHOWN + CAPTION + GAP)
            sheet.paste(picture.resize((SHOWN, SHOWN), Image.Resampling.NEAREST), (left, top))
            caption = f"{kind} {picture.width} px, {png_size(picture) / 1000:.1f} kB"
            text.text((left, top + SHOWN + 4), caption, "black", font)
    return sheet


def png_size(picture: Image.Image) -> int:
    buffer = BytesIO()
    picture.save(buffer, format="png")
    return len(buffer.getvalue())


if __name__ == "__main__":
    main()
