"""What finished runs of a comparison found, those of one recipe and seed on several splits taken together."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from thumbnet.comparison.recipes import TEACHER, UNTRAINED
from thumbnet.comparison.runs import RecipeRun
from thumbnet.errors import DataError
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import data_fingerprint_of

STUDENT = "student"


@dataclass(frozen=True, kw_only=True)
class RunMetric:
    """The headline metric of one run.

    Attributes:
        split: Name of the data that it was trained on, where there are several splits.
        seed: It was trained with.
        student: Of the student.
        teacher: Of the run's teacher on the same pictures; None where it was evaluated without.
    """

    split: str
    seed: int
    student: float
    teacher: float | None


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The runs of one recipe and seed, one for each split, with their results.

    Attributes:
        runs: In the order of the splits.
        evaluation: As in evaluation.json; accuracies, bytes and distances are means over all pictures.
        pictures: Names, split by split.
        labels: Of the pictures, in words.
        right: 1 for each picture of which a network says what it should, by the network.
        of_split: How many of the pictures are of each split.
        metrics: Of each run, in the order of the splits.
    """

    runs: tuple[RecipeRun, ...]
    evaluation: Mapping[str, Any]
    pictures: tuple[str, ...]
    labels: tuple[str, ...]
    right: Mapping[str, Float[np.ndarray, " pictures"]] = field(repr=False)
    of_split: tuple[int, ...]
    metrics: tuple[RunMetric, ...]

    @property
    def one(self) -> RecipeRun:
        """The first of them."""
        return self.runs[0]

    @property
    def hours(self) -> float:
        """Spent in training epochs."""
        return sum(training_hours(one.run) for one in self.runs)


def read_finished(runs: Sequence[RecipeRun], splits: Sequence[str]) -> list[Finished]:
    """Every recipe and seed that is finished on every split.

    Args:
        runs: Of all recipes, splits and seeds that are begun.
        splits: Names of all that were asked for; one without a name where there are no splits.

    Raises:
        DataError: If runs were evaluated on different pictures or labels, or by different metrics, or learned from one
            data set before and after it changed.
    """
    groups: dict[tuple[str, int], dict[str, RecipeRun]] = {}
    for one in runs:
        if one.failure is None:
            groups.setdefault((one.recipe.name, one.seed), {})[one.recipe.split] = one
    complete = [[group[split] for split in splits] for group in groups.values() if len(group) == len(splits)]
    parts = [[_read(one) for one in group] for group in complete]
    for of_split in zip(*parts, strict=True):
        _require_same(of_split)
    return [_pooled(group) for group in parts]


def headline(evaluation: Mapping[str, Any], who: str) -> float:
    """The headline metric of one network; the teacher agrees with itself, and the student's agreement is the run's."""
    metric = evaluation["metric"]
    if metric == "agreement" and who in (STUDENT, TEACHER):
        return float(evaluation["agreement"]) if who == STUDENT else 1.0
    return float(evaluation[who][metric])


def training_hours(run: RunFolder) -> float:
    """Hours in the epochs of a run, over all its parts where it was interrupted."""
    return float(sum(record.get("seconds", 0.0) for record in run.read_metrics()) / 3600)


def notes(finished: Sequence[Finished]) -> tuple[str, ...]:
    """What a reader has to know of the runs."""
    known = [run for run in finished if TEACHER in run.right]
    found = []
    splits = len(finished[0].runs)
    if splits > 1:
        found.append(f"the pictures are those of {splits} splits, each with students of its own")
    if len(known) < len(finished):
        found.append(f"{len(finished) - len(known)} runs were evaluated without their teacher")
    if len(Counter(run.right[TEACHER].tobytes() for run in known)) > 1:
        found.append("the runs' teachers do not all say the same; each run is compared with its own")
    replaced = dict.fromkeys((run.one.recipe.name, each) for run in finished for each in run.one.recipe.replaced)
    found += [f"{name}: {each}" for name, each in replaced]
    return tuple(found)


def _read(one: RecipeRun) -> Finished:
    evaluation = one.run.read_evaluation() or {}
    with one.run.predictions.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    said = {name: np.array([row[name] for row in table]) for name in table[0]}
    # Without labels, what the teacher says is what a network should say.
    wanted = said[TEACHER] if evaluation["metric"] == "agreement" and TEACHER in said else said["label"]
    right = {name: (words == wanted).astype(float) for name, words in said.items() if name not in ("picture", "label")}
    pictures = tuple(said["picture"].tolist())
    metric = RunMetric(
        split=one.recipe.split,
        seed=one.seed,
        student=headline(evaluation, STUDENT),
        teacher=headline(evaluation, TEACHER) if TEACHER in evaluation else None,
    )
    return Finished(
        runs=(one,),
        evaluation=evaluation,
        pictures=pictures,
        labels=tuple(said["label"].tolist()),
        right=right,
        of_split=(len(pictures),),
        metrics=(metric,),
    )


def _pooled(parts: Sequence[Finished]) -> Finished:
    """One recipe and seed over all splits."""
    if len(parts) == 1:
        return parts[0]
    known = [name for name in parts[0].right if all(name in part.right for part in parts)]
    return Finished(
        runs=tuple(one for part in parts for one in part.runs),
        evaluation=_pooled_evaluation(parts),
        pictures=tuple(f"{part.one.recipe.split}/{name}" for part in parts for name in part.pictures),
        labels=tuple(label for part in parts for label in part.labels),
        right={name: np.concatenate([part.right[name] for part in parts]) for name in known},
        of_split=tuple(len(part.pictures) for part in parts),
        metrics=tuple(metric for part in parts for metric in part.metrics),
    )


def _pooled_evaluation(parts: Sequence[Finished]) -> dict[str, Any]:
    _require_one_metric(parts)
    evaluations, pictures = [part.evaluation for part in parts], [len(part.pictures) for part in parts]
    first, metric = evaluations[0], evaluations[0]["metric"]
    pooled = dict(first)
    for who in (STUDENT, TEACHER, UNTRAINED):
        if all(who in one for one in evaluations):
            pooled[who] = {**first[who], metric: _mean([headline(one, who) for one in evaluations], pictures)}
        else:
            pooled.pop(who, None)
    if metric == "agreement":
        pooled["agreement"] = pooled[STUDENT][metric]
    teacher = headline(pooled, TEACHER) if TEACHER in pooled else None
    kept = headline(pooled, STUDENT) / teacher if teacher else None
    pooled["retention"] = kept if all(one.get("retention") is not None for one in evaluations) else None
    pooled["bytes"] = {kind: _mean([one["bytes"][kind] for one in evaluations], pictures) for kind in first["bytes"]}
    distances = [one.get("naturalness") or {} for one in evaluations]
    pooled["naturalness"] = {
        name: _mean([each[name] for each in distances], pictures) for name in distances[0] if all(distances)
    } or None
    return pooled


def _mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    """None where one of them is not known."""
    known = [value for value in values if value is not None]
    return float(np.average(known, weights=weights)) if len(known) == len(values) else None


def _require_same(finished: Sequence[Finished]) -> None:
    _require_one_metric(finished)
    for other in finished[1:]:
        if other.pictures != finished[0].pictures:
            both = f"{finished[0].one.run.path} and {other.one.run.path} were evaluated on different pictures"
            raise DataError(f"{both}; compare recipes with one data set, such as --data DATA")
        if other.labels != finished[0].labels:
            both = f"{finished[0].one.run.path} and {other.one.run.path} were evaluated on different labels"
            raise DataError(f"{both} of the same pictures; remove the older run and compare again")
    _require_unchanged_data(finished)


def _require_unchanged_data(finished: Sequence[Finished]) -> None:
    """Recipes may name other data to learn from; what one name stands for may not change between two runs."""
    learned: dict[str, tuple[RunFolder, str]] = {}
    for run in (each.one.run for each in finished):
        data, fingerprint = str(run.read_config().get("data")), data_fingerprint_of(run)
        if fingerprint is None:
            continue
        earlier, known = learned.setdefault(data, (run, fingerprint))
        if known != fingerprint:
            both = f"{earlier.path} and {run.path} learned from {data}, and its pictures changed in between"
            raise DataError(f"{both}; remove the older run and compare again")


def _require_one_metric(finished: Iterable[Finished]) -> None:
    first, *others = finished
    for other in others:
        if other.evaluation["metric"] != first.evaluation["metric"]:
            both = f"{first.one.run.path} and {other.one.run.path} are measured by different metrics"
            raise DataError(f"{both}; compare recipes with one kind of label")
