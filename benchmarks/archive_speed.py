"""Pictures a second of `thumbnet thumbnail` beside the tools that make ordinary thumbnails, in one run.

    python benchmarks/archive_speed.py --bundle runs/photos --data photos/val

Two worker processes each, the same pictures, PNG files of the same side in a mirrored folder; rounds in turn, medians,
after start-up. Where the time goes is measured in one process. Writes benchmarks/results/archive_speed.json.
"""

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from archive_pictures import RESULTS, chunks, head, make_large, make_small, pictures_below
from thumbnet import ColumnSettings, ThumbNet
from thumbnet.devices import keep_freed_memory
from thumbnet.storage import write_json
from thumbnet.thumbnail_codec import ThumbnailFormat, encode
from thumbnet.thumbnails.local_engine import LocalEngine
from thumbnet.thumbnails.sources import open_source
from thumbnet.thumbnails.stages import work_of

WORKERS = 2
CHUNK = 16
Thumbnailer = Callable[[Path, Path, int], None]


def by_pillow(source: Path, target: Path, side: int) -> None:
    with Image.open(source) as picture:
        picture.draft("RGB", (side, side))
        ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC).save(target)


def by_pillow_thumbnail(source: Path, target: Path, side: int) -> None:
    with Image.open(source) as picture:
        picture.thumbnail((side, side))
        picture.save(target)


def by_vips(source: Path, target: Path, side: int) -> None:
    import pyvips

    pyvips.Image.thumbnail(str(source), side, height=side, crop="centre").pngsave(str(target))


def by_torchvision(source: Path, target: Path, side: int) -> None:
    from torchvision.transforms.v2 import functional

    with Image.open(source) as picture:
        resized = functional.resize(picture.convert("RGB"), [side], antialias=True)
        functional.center_crop(resized, [side]).save(target)


OPPONENTS: dict[str, Thumbnailer] = {
    "pillow draft + fit": by_pillow,
    "pillow draft + thumbnail": by_pillow_thumbnail,
    "libvips": by_vips,
    "torchvision": by_torchvision,
}


def start_opponent(name: str) -> None:

    os.environ["VIPS_CONCURRENCY"] = "1"
    if name == "libvips":
        import pyvips

        pyvips.cache_set_max(0)
    if name == "torchvision":
        import torch
        import torchvision.transforms.v2  # noqa: F401

        torch.set_num_threads(1)


def run_opponent(job: tuple[str, list[Path], Path, Path, int]) -> int:
    name, files, root, output, side = job
    for file in files:
        target = (output / file.relative_to(root)).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        OPPONENTS[name](file, target, side)
    return len(files)


def time_opponent(pool: ProcessPoolExecutor, name: str, root: Path, output: Path, side: int) -> float:
    jobs = [(name, files, root, output, side) for files in chunks(pictures_below(root), CHUNK)]
    started = time.perf_counter()
    made = sum(pool.map(run_opponent, jobs))
    return made / (time.perf_counter() - started)


def time_ours(bundle: ThumbNet, root: Path, output: Path) -> float:
    """From the first chunk's arrival on, when every process has started; files written as the archive's are."""
    work = work_of(bundle, "crop", ThumbnailFormat(name="png"))
    engine = LocalEngine(work=work, workers=WORKERS, picture_seconds=60)
    source = open_source(str(root), columns=ColumnSettings(), block_pictures=CHUNK, exclude=None)
    pictures = [list(block.read()) for block in source.blocks()]
    warm = pictures[: 2 * WORKERS + 3]
    made, started = -sum(map(len, warm)), 0.0
    for outcomes, _ in engine.run(iter([*warm, *pictures])):
        for outcome in outcomes:
            assert outcome.content is not None, outcome.reason
            target = output / f"{outcome.target}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            hashlib.sha256(outcome.content).hexdigest()
            partial = output / "partial"
            partial.write_bytes(outcome.content)
            partial.replace(target)
        made += len(outcomes)
        if made <= 0:
            started = time.perf_counter()
    return made / (time.perf_counter() - started)


def split(bundle: ThumbNet, files: list[Path]) -> dict[str, float]:
    """Milliseconds a picture of each step, in this process."""
    keep_freed_memory()
    maker, stored_as = bundle.thumbnail_maker(), ThumbnailFormat(name="png")
    spent: dict[str, list[float]] = {}

    def timed(step: str, act: Callable[[], Any], pictures: int = 1) -> Any:
        started = time.perf_counter()
        answer = act()
        spent.setdefault(step, []).append(1e3 * (time.perf_counter() - started) / pictures)
        return answer

    for some in chunks(files, CHUNK):
        views = []
        for file in some:
            content = timed("read", file.read_bytes)
            timed("hash", lambda content=content: hashlib.sha256(content).hexdigest())
            opened = timed("decode", lambda content=content: maker.open(content)[0])
            views.append(timed("resize and crop", lambda opened=opened: maker.view(opened)))
        made = timed("downscale (E)", lambda views=views: maker.thumbnails(np.stack(views)), len(some))
        for thumbnail in made:
            timed("encode", lambda thumbnail=thumbnail: encode(Image.fromarray(thumbnail), stored_as))
    return {step: statistics.median(times) for step, times in spent.items()}


def measure(bundle: ThumbNet, root: Path, rounds: int) -> dict[str, Any]:
    side = bundle.thumbnail_side
    rates: dict[str, list[float]] = {name: [] for name in ("thumbnet", *OPPONENTS)}
    pools = {
        name: ProcessPoolExecutor(WORKERS, get_context("forkserver"), start_opponent, (name,)) for name in OPPONENTS
    }
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as place:
            rates["thumbnet"].append(time_ours(bundle, root, _made(Path(place) / "thumbnet")))
            for name, pool in pools.items():
                if not number:  # imports, outside the clock
                    time_opponent(pool, name, root / "0", _made(Path(place) / f"{name} warm"), side)
                rates[name].append(time_opponent(pool, name, root, _made(Path(place) / name), side))
    for pool in pools.values():
        pool.shutdown()
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "pictures": len(pictures_below(root)),
        "pictures_per_second": medians,
        "all_rounds": rates,
        "ratio_to": {name: medians["thumbnet"] / medians[name] for name in OPPONENTS},
        "split_ms": split(bundle, pictures_below(root)[:200]),
    }


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of real pictures")
    parser.add_argument("--small", type=int, default=2000, help="pictures of 500×375")
    parser.add_argument("--large", type=int, default=200, help="pictures of 4000×3000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    bundle = ThumbNet.load(given.bundle)
    with tempfile.TemporaryDirectory() as place:
        small, large = Path(place) / "small", Path(place) / "large"
        make_small(given.data, small, given.small)
        make_large(given.data, large, given.large)
        counts = f"--small {given.small} --large {given.large} --rounds {given.rounds}"
        result = {
            **head(f"archive_speed.py --bundle RUN --data {given.data.name} {counts}"),
            "workers": WORKERS,
            "preprocessing": bundle.description.preprocessing.summary,
            "thumbnail_side": bundle.thumbnail_side,
            "small": measure(bundle, small, given.rounds),
            "large": measure(bundle, large, given.rounds),
        }
    write_json(given.results / "archive_speed.json", result)


if __name__ == "__main__":
    main()
