"""Pictures for the benchmarks of archives, made from a folder of real ones; used by the scripts beside it."""

import itertools
import os
import platform
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from PIL import Image

from thumbnet.data.pictures import PICTURE_SUFFIXES
from thumbnet.devices import available_cores

RESULTS = Path(__file__).parent / "results"
TILE, COLUMNS, ROWS = 224, 6, 5


def head(command: str) -> dict[str, Any]:
    """What every JSON begins with."""
    return {
        "command": f"python benchmarks/{command}",
        "hardware": f"{available_cores()} CPU cores, {platform.machine()}",
        "date": datetime.now(UTC).date().isoformat(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {
            name: installed(name) for name in ("torch", "pillow", "pyvips", "torchvision", "ray", "onnxruntime")
        },
    }


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def pictures_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)


def make_small(data: Path, folder: Path, count: int, size: tuple[int, int] = (500, 375)) -> None:
    """Real pictures, resized; `count` of them in ten folders."""
    files = list(itertools.islice(itertools.cycle(random.Random(0).sample(pictures_below(data), 500)), count))
    _in_processes(_small, [(file, _place(folder, number), size) for number, file in enumerate(files)])


def make_large(data: Path, folder: Path, count: int) -> None:
    """Mosaics of real pictures with 12 megapixels."""
    files, draw = pictures_below(data), random.Random(0)
    _in_processes(_large, [(draw.sample(files, COLUMNS * ROWS), _place(folder, number)) for number in range(count)])


def _place(folder: Path, number: int) -> Path:
    return folder / f"{number % 10}" / f"{number:06d}.jpg"


def _in_processes(make: Callable[[Any], None], jobs: list[Any]) -> None:
    with ProcessPoolExecutor(available_cores()) as pool:
        list(pool.map(make, jobs, chunksize=8))


def _small(job: tuple[Path, Path, tuple[int, int]]) -> None:
    source, target, size = job
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as picture:
        picture.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(target, quality=90)


def _large(job: tuple[list[Path], Path]) -> None:
    tiles, target = job
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = Image.new("RGB", (TILE * COLUMNS, TILE * ROWS))
    for place, tile in enumerate(tiles):
        with Image.open(tile) as picture:
            corner = (place % COLUMNS * TILE, place // COLUMNS * TILE)
            whole.paste(picture.convert("RGB").resize((TILE, TILE)), corner)
    whole.resize((4000, 3000), Image.Resampling.BICUBIC).save(target, quality=88)


def chunks(files: list[Path], size: int) -> Iterator[list[Path]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]
