"""Which pictures each run of a comparison answered rightly, small enough to keep beside its table.

    python benchmarks/picture_answers.py study_a:thumbnet study_b:bicubic_all

prints the paired difference of two rows of benchmarks/results, which need not be of one comparison: runs of different
days pair as well, as long as they were evaluated on the same pictures. A bit a picture: 491 bytes for 3,925 of them.
"""

import argparse
import base64
import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from thumbnet.comparison.statistics import Interval, paired_difference

RESULTS = Path(__file__).parent / "results"
NO_NETWORK = ("picture", "label")


def of_study(study: Path) -> dict[str, Any]:
    """The answers of every finished run in the folder of a comparison, by its path in there.

    Returns:
        `pictures`, a digest of their names and labels for each split; and `right`, by the run's path: how many pictures
        there are (`count`), and of each network a bit a picture, 1 where it says the picture's label, in base64.

    Raises:
        ValueError: If two runs of one split were evaluated on different pictures.
    """
    pictures: dict[str, str] = {}
    right: dict[str, dict[str, Any]] = {}
    for predictions in sorted(study.rglob("predictions.csv")):
        run = predictions.parent.relative_to(study)
        if "-seed" not in run.name:
            continue
        with predictions.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        names = "\n".join(f"{row['picture']}\t{row['label']}" for row in rows)
        digest = hashlib.sha256(names.encode()).hexdigest()
        if pictures.setdefault(run.parent.as_posix(), digest) != digest:
            raise ValueError(f"{run} was evaluated on other pictures than the runs beside it")
        networks = [name for name in rows[0] if name not in NO_NETWORK]
        right[run.as_posix()] = {name: pack([row[name] == row["label"] for row in rows]) for name in networks}
        right[run.as_posix()]["count"] = len(rows)
    return {"pictures": pictures, "right": right}


def pack(right: list[bool]) -> str:
    """A bit a picture, in base64."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpack(packed: str, count: int) -> np.ndarray:
    """What `pack` was given, as numbers."""
    return np.unpackbits(np.frombuffer(base64.b64decode(packed), np.uint8), count=count).astype(float)


def row_of(answers: dict[str, Any], recipe: str) -> tuple[dict[str, str], dict[int, list[np.ndarray]]]:
    """Digests of the pictures, and by seed what the student of `recipe` answered rightly, a row for each split.

    Raises:
        KeyError: If there is no such recipe.
    """
    seeds: dict[int, list[np.ndarray]] = {}
    for run, right in answers["right"].items():
        name, _, seed = run.rpartition("/")[2].rpartition("-seed")
        if name == recipe:
            seeds.setdefault(int(seed), []).append(unpack(right["student"], right["count"]))
    if not seeds:
        raise KeyError(f"no run of {recipe}")
    return answers["pictures"], seeds


def difference(ours: tuple[dict[str, Any], str], other: tuple[dict[str, Any], str]) -> Interval:
    """Ours minus the other, each the kept answers and a recipe, paired over splits, pictures and the seeds of both.

    Raises:
        ValueError: If they were not evaluated on the same pictures, or have no seed in common.
    """
    (pictures, mine), (their_pictures, theirs) = row_of(*ours), row_of(*other)
    if pictures != their_pictures:
        raise ValueError("the rows were evaluated on different pictures")
    seeds = sorted(mine.keys() & theirs.keys())
    if not seeds:
        raise ValueError("the rows have no seed in common")
    splits = [len(part) for part in mine[seeds[0]]]
    stacked = [np.stack([np.concatenate(row[seed]) for seed in seeds]) for row in (mine, theirs)]
    return paired_difference(*stacked, splits=splits if len(splits) > 1 else ())


def kept(row: str) -> tuple[dict[str, Any], str]:
    """The answers of `study:recipe` in benchmarks/results."""
    study, _, recipe = row.partition(":")
    return json.loads((RESULTS / f"{study}.json").read_text())["answers"], recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours", help="study:recipe")
    parser.add_argument("other", help="study:recipe")
    given = parser.parse_args()
    found = difference(kept(given.ours), kept(given.other))
    print(f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}] points")


if __name__ == "__main__":
    main()
