"""How `thumbnet thumbnail` behaves as archives grow, with Ray, and where its one writer ends.

    python benchmarks/archive_scale.py memory --bundle runs/photos --data photos/val --sizes 1000,10000,50000
    python benchmarks/archive_scale.py ray --bundle runs/photos --data photos/val
    python benchmarks/archive_scale.py writer --bundle runs/photos --data photos/val

Each writes benchmarks/results/archive_NAME.json. `memory` uses pictures of 160×120 px, 500 of them under many names:
sizes are counts, and what is written is removed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from archive_pictures import RESULTS, head, make_small, pictures_below
from thumbnet import ArchiveSettings, ThumbNet
from thumbnet.progress import Announcer
from thumbnet.storage import write_json
from thumbnet.thumbnail_codec import ThumbnailFormat
from thumbnet.thumbnails import archive
from thumbnet.thumbnails.archive import open_archive, thumbnail_archive
from thumbnet.thumbnails.blocks import ArchivePicture, Block, chunks_of
from thumbnet.thumbnails.stages import Outcome, process_chunk, work_of

SAMPLE_SECONDS = 0.1
DIFFERENT = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("memory", "ray", "writer"))
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of real pictures")
    parser.add_argument("--sizes", default="1000,10000,50000", help="for memory: numbers of pictures")
    parser.add_argument("--pictures", type=int, default=4000, help="for ray and writer")
    parser.add_argument("--rounds", type=int, default=3, help="for ray and writer")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    with tempfile.TemporaryDirectory() as place:
        if given.what == "memory":
            result, options = measure_memory(given.bundle, given.data, Path(place), sizes), f"--sizes {given.sizes}"
        else:
            measure = measure_ray if given.what == "ray" else measure_writer
            result = measure(given.bundle, given.data, Path(place), given.pictures, given.rounds)
            options = f"--pictures {given.pictures} --rounds {given.rounds}"
    command = f"archive_scale.py {given.what} --bundle RUN --data {given.data.name} {options}"
    write_json(given.results / f"archive_{given.what}.json", {**head(command), **result})


# Memory and time over the number of pictures.


def measure_memory(bundle: Path, data: Path, place: Path, sizes: list[int]) -> dict[str, Any]:
    make_small(data, place / "different", DIFFERENT, (160, 120))
    different = pictures_below(place / "different")
    rows = []
    for size in sizes:
        source = place / f"{size}"
        for number in range(size):
            target = source / f"{number // 1000:04d}" / f"{number:06d}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(different[number % DIFFERENT], target)
        rows.append(run_watched(bundle, source, place / "out"))
    smallest, largest = rows[0], rows[-1]
    counts, seconds = (np.array([row[name] for row in rows], dtype=float) for name in ("pictures", "working_seconds"))
    # Weighted, so that a tenth more counts the same at every size.
    slope, constant = (float(value) for value in np.polyfit(counts, seconds, 1, w=1 / seconds))
    return {
        "rows": rows,
        "peak_memory_ratio": largest["peak_memory_mb"] / smallest["peak_memory_mb"],
        "seconds_a_picture": slope,
        "constant_seconds": constant,
        "largest_deviation_from_linear": float(np.abs(seconds / (constant + slope * counts) - 1).max()),
    }


def run_watched(bundle: Path, source: Path, output: Path) -> dict[str, Any]:
    """The command in processes of its own, its memory sampled; `--overwrite` removes what the one before wrote."""
    command = [sys.executable, "-m", "thumbnet", "thumbnail", str(bundle), str(source), str(output), "--workers", "2"]
    command += ["--overwrite"] if output.exists() else []
    samples: list[float] = []
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def watch() -> None:
        while process.poll() is None:
            samples.append(memory_of_session(process.pid))
            time.sleep(SAMPLE_SECONDS)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    watcher.join()
    assert code == 0, "the run failed"
    run = json.loads((output / "summary.json").read_text())["run"]
    return {
        "pictures": run["pictures"],
        "seconds": run["seconds"],
        "working_seconds": run["seconds"] - run["seconds_to_first"],
        "peak_memory_mb": round(max(samples), 1),
    }


def memory_of_session(session: int) -> float:
    """Proportional memory of all processes of a session, MB: what they share counts once."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[3]) == session:
                lines = (status.parent / "smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue  # it ended meanwhile
    return total / 1000


# Ray beside the local engine.


def measure_ray(bundle: Path, data: Path, place: Path, pictures: int, rounds: int) -> dict[str, Any]:
    make_small(data, place / "pictures", pictures)
    loaded = ThumbNet.load(bundle)
    rates: dict[str, list[float]] = {"local": [], "ray": []}
    for number in range(rounds):
        for engine, found in rates.items():
            settings = ArchiveSettings(
                source=str(place / "pictures"),
                output=str(place / f"{engine}{number}"),
                engine=engine,  # type: ignore[arg-type]
                workers=2,
                block_pictures=100,
            )
            thumbnail_archive(loaded, settings, announcer=Announcer(quiet=True))
            found.append(rate_after_start(place / f"{engine}{number}" / "manifest"))
    medians = {engine: statistics.median(found) for engine, found in rates.items()}
    manifest = sum(file.stat().st_size for file in (place / "local0" / "manifest").iterdir())
    return {
        "pictures": pictures,
        "pictures_per_second": medians,
        "all_rounds": rates,
        "manifest_bytes_a_picture": manifest / pictures,
        "ray_share_of_local": medians["ray"] / medians["local"],
    }


def rate_after_start(manifest: Path) -> float:
    """Pictures a second from the first finished block to the last."""
    times = sorted(file.stat().st_mtime for file in manifest.glob("*.parquet"))
    return 100 * (len(times) - 1) / (times[-1] - times[0])


# The writer by itself.


@dataclass(frozen=True)
class Canned:
    """An engine that has its answers ready: what is left is writing and recording."""

    outcomes: list[Outcome]

    def run_blocks(self, blocks: Iterator[Block]) -> Iterator[tuple[Block, list[Outcome], dict[str, float], bool]]:
        ready = self.outcomes
        for block in blocks:
            for chunk in chunks_of(block):
                names = [(one.name, one.target) for one in chunk if isinstance(one, ArchivePicture)]
                made = [replace(ready[n % len(ready)], name=name, target=to) for n, (name, to) in enumerate(names)]
                yield block, made, {}, False
            yield block, [], {}, True


def measure_writer(bundle: Path, data: Path, place: Path, pictures: int, rounds: int) -> dict[str, Any]:
    make_small(data, place / "few", 64, (160, 120))
    few = pictures_below(place / "few")
    for number in range(pictures):
        target = place / "many" / f"{number // 1000:04d}" / f"{number:06d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(few[number % len(few)], target)
    loaded = ThumbNet.load(bundle)
    work = work_of(loaded, "crop", ThumbnailFormat(name="png"))
    source = open_archive(ArchiveSettings(source=str(place / "few"), output=str(place / "none")))
    (block,) = source.blocks()
    canned = Canned(process_chunk(work.maker(), work.stored_as, list(block.read()))[0])
    archive._engine = lambda *_: canned  # type: ignore[assignment]
    rates: dict[str, list[float]] = {"folder": [], "webdataset": [], "parquet": []}
    for number in range(rounds):
        for container, found in rates.items():
            output = place / f"{container}{number}"
            settings = ArchiveSettings(source=str(place / "many"), output=str(output), container=container)  # type: ignore[arg-type]
            result = thumbnail_archive(loaded, settings, announcer=Announcer(quiet=True))
            found.append(result.made / result.seconds)
    return {
        "pictures": pictures,
        "pictures_per_second": {container: statistics.median(found) for container, found in rates.items()},
        "all_rounds": rates,
        "thumbnail_bytes_a_picture": statistics.mean(len(one.content or b"") for one in canned.outcomes),
    }


if __name__ == "__main__":
    main()
