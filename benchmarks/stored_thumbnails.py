"""What students of several runs make of stored thumbnails: accuracy and bytes in each format, paired with one of them.

    python benchmarks/stored_thumbnails.py runs/a/thumbnet_detail-seed0 runs/a/bicubic_all_detail-seed0

Every run makes its own thumbnails of its held-out pictures, stores them, reads them back and classifies them. The first
run is compared with each other one in the same format, over the same pictures, with a 95% interval from a bootstrap.
Bytes may differ: read the difference beside both numbers. Runs of one name are those of one recipe on several splits:
they are pooled. Writes benchmarks/results/stored_thumbnails.json.
"""

import argparse
import csv
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thumbnet import ThumbNet
from thumbnet.comparison.statistics import paired_difference
from thumbnet.data.batches import LoaderSettings, evaluation_loader, to_image
from thumbnet.data.preprocessing import image_to_picture, picture_to_image
from thumbnet.progress import Announcer
from thumbnet.run_data import open_pictures
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import settings_of
from thumbnet.storage import write_json
from thumbnet.thumbnail_codec import ThumbnailFormat, decode, encode, parse_format

ROOT = Path(__file__).parent.parent


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="finished, on the same pictures; ours first")
    parser.add_argument("--formats", default="png,webp,webp:90,webp:80,jpeg:90,jpeg:75")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "stored_thumbnails.json")
    given = parser.parse_args(arguments)
    formats = {name: parse_format(name) for name in given.formats.split(",")}
    found = pooled([(run.name, stored(run, formats)) for run in given.runs])
    first, *others = found
    for run, answers in found.items():
        if answers["pictures"] != found[first]["pictures"]:
            parser.error(f"{run} and {first} hold out different pictures; give each recipe's splits in one order")
        if len({*answers["pictures"]}) < len(answers["pictures"]):
            parser.error(f"several runs are called {run} and hold out the same pictures; give one of them")
    compared = {
        name: {
            "runs": {run: measured(answers, name) for run, answers in found.items()},
            "paired_differences": {other: apart(found[first], found[other], name) for other in others},
        }
        for name in formats
    }
    words = ["python", "benchmarks/stored_thumbnails.py", *(arguments or sys.argv[1:])]
    write_json(
        given.output,
        {
            "command": shlex.join(words),
            "date": datetime.now(UTC).date().isoformat(),
            "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}",
            "pictures": sum(map(len, found[first]["pictures"])),
            "first": first,
            "formats": compared,
        },
    )
    print(given.output)


@torch.no_grad()
def stored(run: Path, formats: dict[str, ThumbnailFormat]) -> dict[str, Any]:
    """Which pictures the run's student gets right, and the mean bytes of a thumbnail, by format."""
    settings, bundle, announcer = settings_of(RunFolder.open(run)), ThumbNet.load(run, allow_code=True), Announcer()
    pictures = open_pictures(settings, announcer).evaluation.in_classes(bundle.labels, "the bundle's")
    loader = evaluation_loader(pictures, bundle.description.preprocessing, 32, LoaderSettings(workers=0))
    right: dict[str, list[Tensor]] = {name: [] for name in formats}
    sizes: dict[str, list[int]] = {name: [] for name in formats}
    for batch in announcer.track(loader, len(loader), run.name):
        values = bundle.thumbnails(to_image(batch, torch.device("cpu")))
        thumbnails = [image_to_picture(one) for one in values]
        as_made = bundle.logits(values).argmax(dim=1) == batch.label
        for name, stored_as in formats.items():
            contents = [encode(thumbnail, stored_as) for thumbnail in thumbnails]
            sizes[name] += [len(content) for content in contents]
            if stored_as.lossless:
                right[name].append(as_made)
                continue
            read = torch.stack([picture_to_image(decode(content)) for content in contents])
            right[name].append(bundle.logits(read).argmax(dim=1) == batch.label)
    with RunFolder.open(run).predictions.open(newline="", encoding="utf-8") as file:
        names = tuple(row["picture"] for row in csv.DictReader(file))
    return {
        "pictures": names,
        "right": {name: torch.cat(parts).double().numpy() for name, parts in right.items()},
        "bytes": {name: np.array(found) for name, found in sizes.items()},
    }


def pooled(found: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The pictures of all runs of a name, one run after the other, and the names of each run's."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for run, answers in found:
        by_name.setdefault(run, []).append(answers)
    return {
        run: {
            "right": _joined([part["right"] for part in parts]),
            "bytes": _joined([part["bytes"] for part in parts]),
            "pictures": [part["pictures"] for part in parts],
        }
        for run, parts in by_name.items()
    }


def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def measured(answers: dict[str, Any], name: str) -> dict[str, float]:
    return {"top1": float(answers["right"][name].mean()), "bytes": round(float(answers["bytes"][name].mean()))}


def apart(ours: dict[str, Any], other: dict[str, Any], name: str) -> dict[str, float]:
    rights = (answers["right"][name][None] for answers in (ours, other))
    return asdict(paired_difference(*rights, splits=[len(part) for part in ours["pictures"]]))


if __name__ == "__main__":
    main()
