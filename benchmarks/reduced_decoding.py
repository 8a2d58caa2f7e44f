"""What decoding a large JPEG at reduced size changes in its thumbnail, and what it saves.

    python benchmarks/reduced_decoding.py --bundle runs/photos --data photos/val --pictures 48

Large pictures are mosaics of the data's own, so that their detail is real, at three sizes. Writes
benchmarks/results/reduced_decoding.json.
"""

import argparse
import io
import platform
import random
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from thumbnet import ThumbNet
from thumbnet.data.pictures import PICTURE_SUFFIXES, read_picture
from thumbnet.devices import available_cores
from thumbnet.storage import write_json

RESULTS = Path(__file__).parent / "results"
SIZES = ((4000, 3000), (1600, 1200), (1000, 750))
COLUMNS, ROWS = 4, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--pictures", type=int, default=48)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    arguments = parser.parse_args()
    bundle = ThumbNet.load(arguments.bundle)
    files = sorted(path for path in arguments.data.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    draw = random.Random(0)
    drawn = [draw.sample(files, COLUMNS * ROWS) for _ in range(arguments.pictures)]
    rows = [compare(bundle, size, drawn) for size in SIZES]
    write_json(
        arguments.results / "reduced_decoding.json",
        {
            "command": f"python benchmarks/reduced_decoding.py --bundle RUN --data {arguments.data.name} "
            f"--pictures {arguments.pictures}",
            "hardware": f"{available_cores()} CPU cores, {platform.machine()}",
            "date": datetime.now(UTC).date().isoformat(),
            "pictures": arguments.pictures,
            "preprocessing": bundle.description.preprocessing.summary,
            "sizes": rows,
        },
    )


def compare(bundle: ThumbNet, size: tuple[int, int], drawn: list[list[Path]]) -> dict[str, object]:
    levels, worst, reduced_ms, full_ms = [], 0, [], []
    for tiles in drawn:
        content = mosaic(size, tiles)
        started = time.perf_counter()
        reduced = bundle.thumbnail(content)
        middle = time.perf_counter()
        full = bundle.thumbnail(read_picture(content))
        reduced_ms.append(1e3 * (middle - started))
        full_ms.append(1e3 * (time.perf_counter() - middle))
        difference = np.abs(np.asarray(reduced, dtype=int) - np.asarray(full, dtype=int))
        levels.append(float(difference.mean()))
        worst = max(worst, int(difference.max()))
    return {
        "size": list(size),
        "mean_difference_levels": statistics.mean(levels),
        "largest_difference_levels": worst,
        "reduced_ms": statistics.median(reduced_ms),
        "full_ms": statistics.median(full_ms),
    }


def mosaic(size: tuple[int, int], tiles: list[Path]) -> bytes:
    """A JPEG of pictures beside each other."""
    whole = Image.new("RGB", (224 * COLUMNS, 224 * ROWS))
    for place, tile in enumerate(tiles):
        with Image.open(tile) as opened:
            whole.paste(opened.convert("RGB").resize((224, 224)), ((place % COLUMNS) * 224, place // COLUMNS * 224))
    buffer = io.BytesIO()
    whole.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
