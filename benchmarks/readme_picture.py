"""Draws docs/pictures/pairs.png: photographs, and their thumbnails by a trained bundle at the same display size.

    pip install scikit-image  # brings the photographs
    python benchmarks/readme_picture.py RUN

The photographs are those that scikit-image ships: astronaut (NASA, public domain), chelsea (Stefan van der Walt, CC0),
coffee (Rachel Michetti and Pikolo Espresso Bar, CC0), rocket (NASA/SpaceX, public domain).
"""

import sys
from io import BytesIO
from pathlib import Path

from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from thumbnet import ThumbNet
from thumbnet.data.preprocessing import working_view

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
SHOWN, GAP, CAPTION = 192, 12, 22
OUTPUT = Path(__file__).parent.parent / "docs" / "pictures" / "pairs.png"


def main() -> None:
    bundle = ThumbNet.load(sys.argv[1], allow_code=True)
    columns = len(PHOTOGRAPHS)
    width, height = columns * (SHOWN + GAP) + GAP, 2 * (SHOWN + CAPTION + GAP) + GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(findfont("DejaVu Sans"), 12)
    for column, name in enumerate(PHOTOGRAPHS):
        photograph = Image.fromarray(getattr(data, name)())
        image = working_view(photograph, bundle.description.preprocessing)
        thumbnail = bundle.thumbnail(photograph)
        left = GAP + column * (SHOWN + GAP)
        for row, (picture, kind) in enumerate(((image, "image"), (thumbnail, "thumbnail"))):
            top = GAP + row * (SHOWN + CAPTION + GAP)
            sheet.paste(picture.resize((SHOWN, SHOWN), Image.Resampling.NEAREST), (left, top))
            side, kilobytes = picture.width, png_size(picture) / 1000
            draw.text((left, top + SHOWN + 4), f"{kind} {side}×{side} px, {kilobytes:.1f} kB", "black", font)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(OUTPUT, optimize=True)
    print(OUTPUT)


def png_size(picture: Image.Image) -> int:
    buffer = BytesIO()
    picture.save(buffer, format="png")
    return len(buffer.getvalue())


if __name__ == "__main__":
    main()
