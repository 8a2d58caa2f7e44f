"""The gate: an export answers as its bundle does, on the same pictures, or it is not written."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn import functional

from thumbnet.bundle import ThumbNet
from thumbnet.data.labelled import Pictures
from thumbnet.data.preprocessing import levels_to_values
from thumbnet.data.working_view import Pixels, open_picture, view_of
from thumbnet.deployment.graphs import teacher_network
from thumbnet.deployment.runtime import Run
from thumbnet.errors import PictureError
from thumbnet.progress import Announcer

AT_ONCE = 16
# So few pictures say little, however well they are answered.
FEW = 100
# Two classifiers may be right equally often and never agree, so the answers count as well as the accuracy.
OTHER_ANSWERS = 10
Runs = Callable[[Pixels], Sequence[NDArray[Any]]]
Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Engines:
    """What would be written, opened by the engine that it is for.

    Attributes:
        downscaler: E, from working views to thumbnails.
        student: S, from thumbnails to probabilities.
        whole: From one picture of any size `[1, height, width, 3]` to thumbnail and probabilities.
        browser: From the same to the learned and the plain thumbnail.
        view: The part of both that resizes and crops.
        teacher: T, from working views to probabilities.
        any_size: Whether the downscaler takes views of any size.
    """

    downscaler: Run
    student: Run
    any_size: bool = True
    whole: Runs | None = None
    browser: Runs | None = None
    view: Run | None = None
    teacher: Run | None = None


@dataclass(kw_only=True)
class LevelDifferences:
    """How far 8-bit pixels are apart."""

    levels: int = 0
    different: int = 0
    total: int = 0
    largest: int = 0

    def add(self, ours: Pixels, theirs: Pixels) -> None:
        """Counts pixels of one shape."""
        apart = np.abs(ours.astype(np.int16) - theirs)
        self.levels += apart.size
        self.different += int((apart > 0).sum())
        self.total += int(apart.sum())
        self.largest = max(self.largest, int(apart.max()))

    def as_dict(self) -> dict[str, Any]:
        """Shares and levels."""
        count = max(1, self.levels)
        return {
            "largest_level_difference": self.largest,
            "mean_level_difference": self.total / count,
            "share_of_levels_that_differ": self.different / count,
        }


@dataclass(kw_only=True)
class _Collected:
    """What was seen, by the name under which it is reported; each list of scores has one entry a picture."""

    expected: dict[str, list[Scores]] = field(default_factory=lambda: defaultdict(list))
    scores: dict[str, list[Scores]] = field(default_factory=lambda: defaultdict(list))
    levels: dict[str, LevelDifferences] = field(default_factory=lambda: defaultdict(LevelDifferences))
    positions: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def compare(
    bundle: ThumbNet,
    engines: Engines,
    pictures: Pictures,
    allowed_drop: float,
    announcer: Announcer,
    teacher: nn.Module | None = None,
    *,
    allowed_levels: float = 0.1,
) -> dict[str, Any]:
    """Runs an export beside its bundle.

    Args:
        bundle: On the processor, in eval mode.
        engines: The export.
        pictures: Those that cannot be read are left out, and counted.
        allowed_drop: Most by which top-1 may differ, as a share of 1; without labels, the share of other answers. With
            labels, ten times as many answers may be others.
        announcer: For a bar.
        teacher: What `engines.teacher` is compared with, in eval mode.
        allowed_levels: Most by which thumbnails may differ, in grey levels on average.

    Returns:
        The report: `passed`, and `problems`: what is not as good as it must be, in words. What the `bundle` scored, and
        for `pair` (E, then S, on the working view of Pillow), `whole` and `browser` (whose thumbnails S is asked about)
        score, agreement and largest differences; for `teacher` the same beside the `torch_teacher`; `compared` has the
        names of those there are. `metric` is `top1`; `labels_right`, the share of all yes and no answers that are
        right, where a picture may have several labels; or `agreement`. `another_size` has the levels of E's thumbnails
        of a few narrower views.
    """
    seen = _collect(bundle, engines, pictures, announcer, teacher)
    multilabel = bundle.description.multilabel
    kind = pictures.kind if multilabel == (pictures.kind == "multi") else "none"
    metric = {"single": "top1", "soft": "top1", "multi": "labels_right", "none": "agreement"}[kind]
    others = allowed_drop if kind == "none" else min(1.0, OTHER_ANSWERS * allowed_drop)
    report: dict[str, Any] = {"passed": False, "problems": seen.problems, "metric": metric}
    report |= {"allowed_drop": allowed_drop, "allowed_other_answers": others}
    report |= {"allowed_level_difference": allowed_levels}
    report |= {"pictures": len(seen.positions), "unreadable": len(pictures) - len(seen.positions), "compared": []}
    report["problems"] += _problems_of_reading(len(seen.positions), len(pictures), announcer)
    if not seen.positions:
        return report
    wanted = _wanted(pictures, seen.positions) if kind != "none" else None
    for name, scores in seen.expected.items():
        right = _answers(np.stack(scores), multilabel)
        report[name] = {} if wanted is None else {metric: float((right == wanted).mean())}
    for name, scores in seen.scores.items():
        beside = "torch_teacher" if name == "teacher" else "bundle"
        result = _beside(np.stack(scores), np.stack(seen.expected[beside]), wanted, metric, multilabel)
        report[name] = result | ({"thumbnails": seen.levels[name].as_dict()} if name in seen.levels else {})
        report["compared"].append(name)
        report["problems"] += _problems(result, metric, allowed_drop, others)
    for name in ("another_size", "resize_beside_pillow", "plain_beside_pillow"):
        report |= {name: seen.levels[name].as_dict()} if name in seen.levels else {}
    report["problems"] += _problems_of_levels(seen, allowed_levels)
    report["passed"] = not report["problems"]
    return report


def _problems_of_reading(readable: int, count: int, announcer: Announcer) -> list[str]:
    if not readable or 2 * readable < count:
        found = f"only {readable} of the {count}" if readable else "none of the"
        return [f"{found} pictures to verify it on can be read (--verify-data takes others)"]
    if readable < FEW:
        announcer.warn(f"the export is verified on {readable} pictures only; --verify-data takes more")
    return []


def _problems(result: dict[str, Any], metric: str, allowed_drop: float, others: float) -> list[str]:
    """What is not as good as it must be, the gravest first."""
    drop, other = result["drop"], 1 - result["agreement"]
    problems = []
    if metric != "agreement" and drop > allowed_drop + 1e-9:
        found = f"its {metric} differs from the bundle's by {drop:.2%}"
        problems.append(f"{found}, more than the {allowed_drop:.2%} allowed (--max-drop)")
    if other > others + 1e-9:
        found = f"it answers otherwise than the bundle on {other:.2%} of the pictures"
        problems.append(f"{found}, more than the {others:.2%} allowed (--max-drop)")
    return problems


def _problems_of_levels(seen: _Collected, allowed: float) -> list[str]:
    apart = [
        seen.levels[name].as_dict()["mean_level_difference"] for name in ("pair", "another_size") if name in seen.levels
    ]
    if max(apart) <= allowed:
        return []
    return [f"its thumbnails differ from the bundle's by {max(apart):.2f} levels, more than the {allowed:g} allowed"]


def _wanted(pictures: Pictures, positions: list[int]) -> NDArray[Any]:
    labels = pictures.labels if isinstance(pictures.labels, tuple) else np.asarray(pictures.labels)
    true = np.array([labels[position] for position in positions])
    return true.argmax(axis=1) if pictures.kind == "soft" else true


def _beside(
    scores: Scores, expected: Scores, wanted: NDArray[Any] | None, metric: str, multilabel: bool
) -> dict[str, Any]:
    ours, theirs = _answers(expected, multilabel), _answers(scores, multilabel)
    agreement = float((theirs == ours).mean())
    result: dict[str, Any] = {}
    drop = 1 - agreement
    if wanted is not None:
        result[metric] = float((theirs == wanted).mean())
        drop = abs(float((ours == wanted).mean()) - result[metric])
    apart = float(np.abs(scores - expected).max())
    return result | {"agreement": agreement, "largest_probability_difference": apart, "drop": drop}


def _collect(
    bundle: ThumbNet, engines: Engines, pictures: Pictures, announcer: Announcer, teacher: nn.Module | None
) -> _Collected:
    seen, maker = _Collected(), bundle.thumbnail_maker()
    reference = None if teacher is None else teacher_network(teacher, bundle)
    for batch in _batches(bundle, pictures, announcer):
        views = np.stack([view_of(picture, maker.preprocessing, maker.ratio) for _, picture in batch])
        thumbnails = maker.thumbnails(views)
        seen.expected["bundle"] += list(_scores(bundle, thumbnails))
        exported = engines.downscaler(views)
        if engines.any_size and not seen.positions and views.shape[2] > maker.ratio:
            narrower = views[:, :, : -maker.ratio]
            _collect_at_another_size(seen, engines.downscaler, narrower, maker.thumbnails(narrower))
        seen.levels["pair"].add(exported, thumbnails)
        seen.scores["pair"] += list(engines.student(exported))
        if reference is not None and engines.teacher is not None:
            with torch.inference_mode():
                seen.expected["torch_teacher"] += list(reference(torch.from_numpy(views)).numpy())
            seen.scores["teacher"] += list(engines.teacher(views))
        for (position, picture), view, thumbnail in zip(batch, views, thumbnails, strict=True):
            _collect_from_picture(seen, engines, np.asarray(picture), view, thumbnail)
            seen.positions.append(position)
    return seen


def _collect_at_another_size(seen: _Collected, downscaler: Run, views: Pixels, expected: Pixels) -> None:
    try:
        made = downscaler(views)
    except Exception as error:  # engines' own exceptions share no base but this
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        seen.problems.append(f"its downscaler takes views of one size only ({reason})")
        return
    if made.shape != expected.shape:
        seen.problems.append("its downscaler gives views of another size a thumbnail of the wrong size")
        return
    seen.levels["another_size"].add(made, expected)


def _collect_from_picture(seen: _Collected, engines: Engines, picture: Pixels, view: Pixels, thumbnail: Pixels) -> None:
    if engines.view is not None:
        seen.levels["resize_beside_pillow"].add(engines.view(picture[None])[0], view)
    if engines.whole is not None:
        made, scores = engines.whole(picture[None])
        seen.levels["whole"].add(made[0], thumbnail)
        seen.scores["whole"].append(scores[0])
    if engines.browser is not None:
        made, plain = engines.browser(picture[None])
        seen.levels["browser"].add(made[0], thumbnail)
        seen.scores["browser"].append(engines.student(made)[0])
        size = (thumbnail.shape[1], thumbnail.shape[0])
        expected = Image.fromarray(view).resize(size, Image.Resampling.BICUBIC)
        seen.levels["plain_beside_pillow"].add(plain[0], np.asarray(expected))


def _batches(bundle: ThumbNet, pictures: Pictures, announcer: Announcer) -> Iterator[list[tuple[int, Image.Image]]]:
    """Upright pictures with their positions, a few at a time."""
    batch: list[tuple[int, Image.Image]] = []
    for position, file in announcer.track(enumerate(pictures.files), len(pictures), "verifying"):
        try:
            batch.append((position, open_picture(file, bundle.description.preprocessing)[0]))
        except PictureError as error:
            announcer.warn(f"left out {pictures.names[position]}: {error}")
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


@torch.inference_mode()
def _scores(bundle: ThumbNet, thumbnails: Pixels) -> Scores:
    values = levels_to_values(torch.from_numpy(thumbnails).permute(0, 3, 1, 2).float())
    logits = bundle.logits(values).float()
    scores = torch.sigmoid(logits) if bundle.description.multilabel else functional.softmax(logits, dim=1)
    return scores.numpy()


def _answers(scores: Scores, multilabel: bool) -> NDArray[Any]:
    """The class of each picture; yes or no to each class where a picture may have several."""
    return scores > 0.5 if multilabel else scores.argmax(axis=1)
