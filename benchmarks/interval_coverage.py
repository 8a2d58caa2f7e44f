"""How often the interval over splits holds the truth, simulated: what docs/comparing.md says of few splits.

    python benchmarks/interval_coverage.py

Two networks are right on a picture by chance alone, and each split's trainings move their difference by a normal
draw, in the mean by nothing. Writes benchmarks/results/interval_coverage.json; takes about a minute.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from thumbnet.comparison.statistics import Interval, paired_difference
from thumbnet.progress import Announcer
from thumbnet.storage import write_json

RESULTS = Path(__file__).parent / "results"
PICTURES, TRIALS, RESAMPLES = 600, 400, 400
DOMINATING = 0.1  # standard deviation of what trainings move, as a share: over three times that of a split's pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS / "interval_coverage.json")
    given = parser.parse_args()
    announcer = Announcer()
    counts = (2, 4, 8)
    held = {count: dominated(count) for count in announcer.track(counts, len(counts), "splits")}
    write_json(
        given.output,
        {
            "command": "python benchmarks/interval_coverage.py",
            "date": datetime.now(UTC).date().isoformat(),
            "tries": TRIALS,
            "held_where_training_chance_dominates": held,
            "width_to_pictures_alone_without_training_chance": {count: too_wide(count) for count in counts},
        },
    )
    print(given.output)


def dominated(splits: int) -> float:
    """The share of tries in which the interval holds a difference of nothing."""
    held = [one.low <= 0 <= one.high for one in (tried(trial, splits, DOMINATING, True) for trial in range(TRIALS))]
    return float(np.mean(held))


def too_wide(splits: int) -> float:
    """Mean width of the interval over splits, by that of the one over pictures alone, where trainings move nothing."""
    both = [[tried(trial, splits, 0, drawn) for drawn in (True, False)] for trial in range(50)]
    widths = np.array([[one.high - one.low for one in pair] for pair in both])
    return float(widths[:, 0].mean() / widths[:, 1].mean())


def tried(trial: int, splits: int, moved: float, drawn: bool) -> Interval:
    random = np.random.default_rng(trial)
    by_split = np.repeat(random.normal(0, moved, splits), PICTURES)[None]
    chance = random.random((2, 1, splits * PICTURES))
    ours, others = (chance[0] < 0.5 + by_split).astype(float), (chance[1] < 0.5).astype(float)
    return paired_difference(ours, others, RESAMPLES, trial, (PICTURES,) * splits if drawn else ())


if __name__ == "__main__":
    main()
