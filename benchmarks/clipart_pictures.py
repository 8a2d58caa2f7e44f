"""Drawings of the Open Clip Art Library as a folder of classes: a kind of pictures on which no setting was chosen.

    apt-get download openclipart-png && dpkg-deb -x openclipart-png_*.deb openclipart
    python benchmarks/clipart_pictures.py openclipart/usr/share/openclipart/png --output clipart

Debian's package openclipart-png (0.18, public domain) holds one folder a subject. Drawings are laid on white, because
most are transparent; those that come twice are kept once. Classes and pictures were chosen before any network saw them.
"""

import argparse
import hashlib
import random
from pathlib import Path

from PIL import Image

NOT_SUBJECTS = ("special", "unsorted")
FEWEST, MOST = 60, 500  # drawings a class
SMALLEST_SIDE, LARGEST_SHORT_SIDE = 96, 256
MOST_PIXELS = 50_000_000  # a few drawings have hundreds of millions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path, help="the folder of subjects")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    seen: set[str] = set()
    for subject in sorted(arguments.library.iterdir()):
        if subject.is_dir() and subject.name not in NOT_SUBJECTS:
            count = write_subject(subject, arguments.output / subject.name, seen)
            print(f"{subject.name:20} {count or 'too few'}")
    print(f"written to {arguments.output}")


def write_subject(subject: Path, folder: Path, seen: set[str]) -> int:
    """Writes a class, or nothing if it has too few drawings; returns how many."""
    files = sorted(subject.rglob("*.png"))
    random.Random(0).shuffle(files)
    drawings: list[tuple[str, Image.Image]] = []
    for file in files:
        if len(drawings) == MOST:
            break
        drawing = on_white(file)
        content = hashlib.sha256(drawing.tobytes()).hexdigest() if drawing else ""
        if drawing and content not in seen:
            seen.add(content)
            drawings.append(("-".join(file.relative_to(subject).parts), drawing))
    if len(drawings) < FEWEST:
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawing in drawings:
        drawing.save(folder / name)
    return len(drawings)


def on_white(file: Path) -> Image.Image | None:
    """The drawing in RGB, its shorter side at most 256 px; None if it is too small or too large."""
    try:
        opened = Image.open(file)
    except Image.DecompressionBombError:
        return None
    with opened:
        if min(opened.size) < SMALLEST_SIDE or opened.width * opened.height > MOST_PIXELS:
            return None
        drawing = opened.convert("RGBA")
    white = Image.new("RGBA", drawing.size, "white")
    white.alpha_composite(drawing)
    plain = white.convert("RGB")
    if (short := min(plain.size)) > LARGEST_SHORT_SIDE:
        scale = LARGEST_SHORT_SIDE / short
        size = (max(1, round(plain.width * scale)), max(1, round(plain.height * scale)))
        plain = plain.resize(size, Image.Resampling.LANCZOS)
    return plain


if __name__ == "__main__":
    main()
