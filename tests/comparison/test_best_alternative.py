"""Which alternative a row stands beside, where rows have finished different seeds."""

from pathlib import Path

import numpy as np

from thumbnet.comparison import results
from thumbnet.comparison.finished_runs import Finished
from thumbnet.comparison.recipes import Recipe
from thumbnet.comparison.results import Row
from thumbnet.comparison.runs import RecipeRun
from thumbnet.comparison.statistics import spread
from thumbnet.run_folder import RunFolder

PICTURES = 20


def finished(name: str, seed: int, right: int) -> Finished:
    """A run that is right about so many of 20 pictures."""
    recipe = Recipe(name=name, settings=None)
    return Finished(
        runs=(RecipeRun(recipe=recipe, seed=seed, run=RunFolder(Path("none"))),),
        evaluation={"metric": "top1", "student": {"top1": right / PICTURES}},
        pictures=tuple(str(index) for index in range(PICTURES)),
        labels=("cat",) * PICTURES,
        right={"student": np.array([1.0] * right + [0.0] * (PICTURES - right))},
        of_split=(PICTURES,),
        metrics=(),
    )


def row_of(runs: list[Finished]) -> Row:
    values = [run.evaluation["student"]["top1"] for run in runs]
    seeds = tuple(run.one.seed for run in runs)
    return Row(name=runs[0].one.recipe.name, kind="alternative", metric=spread(values), student_macs=9, seeds=seeds)


def test_a_lucky_seed_that_the_row_has_not_does_not_choose_its_alternative() -> None:
    runs = {
        "ours": [finished("ours", 0, 10)],
        "steady": [finished("steady", 0, 12)],
        "lucky": [finished("lucky", 0, 11), finished("lucky", 1, 19)],
    }
    rows = [row_of(those) for those in runs.values()]
    beside = results._against_best(rows[0], rows[1:], runs, "student")
    assert beside.against == "steady", "with the seed that all have it is the better one"
    assert beside.difference is not None
    assert round(beside.difference.mean * PICTURES) == -2


def test_an_easy_seed_counts_for_both_rows_that_have_it() -> None:
    runs = {
        "ours": [finished("ours", 0, 10), finished("ours", 1, 18)],
        "ahead": [finished("ahead", 0, 13)],
        "level": [finished("level", 0, 10), finished("level", 1, 18)],
    }
    rows = [row_of(those) for those in runs.values()]
    assert rows[2].metric is not None and rows[1].metric is not None
    assert rows[2].metric.mean > rows[1].metric.mean
    assert results._against_best(rows[0], rows[1:], runs, "student").against == "ahead"
