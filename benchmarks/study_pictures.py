"""Draws the Pareto pictures of a kept comparison: accuracy against MACs, latency, bytes and naturalness.

    python benchmarks/study_pictures.py elpv_sweep

Reads benchmarks/results/study_NAME.json, so that no run is needed, and writes docs/pictures/study_NAME_macs.png and so
on: as many as `thumbnet compare` would write.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from thumbnet.comparison.figures import pareto_pictures
from thumbnet.comparison.results import Results, Row
from thumbnet.comparison.statistics import Interval, Spread

ROOT = Path(__file__).parent.parent
INTERVALS = ("retention_interval", "drop", "difference")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="+", help="of a study, as in study_NAME.json")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "pictures")
    given = parser.parse_args(arguments)
    for name in given.name:
        kept = json.loads((given.results / f"study_{name}.json").read_text())
        for file, picture in pareto_pictures(results_of(kept)).items():
            place = given.output / f"study_{name}_{file.removeprefix('pareto_')}"
            place.write_bytes(picture)
            print(place)


def results_of(kept: dict[str, Any]) -> Results:
    """What the comparison found, as far as pictures need it."""
    return Results(
        metric=kept["metric"],
        paired_on=kept["paired_on"],
        pictures=kept["pictures"],
        rows=tuple(_row(row) for row in kept["rows"]),
    )


def _row(kept: dict[str, Any]) -> Row:
    metric = kept["metric"] and Spread(**kept["metric"] | {"values": tuple(kept["metric"]["values"])})
    intervals = {name: kept[name] and Interval(**kept[name]) for name in INTERVALS}
    others = {name: value for name, value in kept.items() if name not in ("metric", "runs", "seeds", "failures")}
    return Row(**others | intervals, metric=metric, seeds=tuple(kept["seeds"]), failures=tuple(kept["failures"]))


if __name__ == "__main__":
    main()
