"""The gate: an export answers as its bundle does, on the same pictures, or it is not written."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from thumbnet.bundle import ThumbNet
from thumbnet.data.labelled import Pictures
from thumbnet.data.preprocessing import levels_to_values
from thumbnet.data.working_view import Pixels, open_picture, view_of
from thumbnet.deployment.runtime import Run, open_graph, open_session
from thumbnet.errors import ExportError, PictureError
from thumbnet.progress import Announcer

AT_ONCE = 16
# Two classifiers may be right equally often and never agree, so the answers count as well as the accuracy.
OTHER_ANSWERS = 10
Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Graphs:
    """The graphs of an export as they would be written, serialised.

    Attributes:
        downscaler: E.
        student: S.
        whole: All in one, from pictures of any size.
        view: The part of `whole` that resizes and crops.
    """

    downscaler: bytes
    student: bytes
    whole: bytes
    view: bytes


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
    """What was seen of every picture; each list has one entry a picture."""

    bundle: list[Scores] = field(default_factory=list)
    pair: list[Scores] = field(default_factory=list)
    whole: list[Scores] = field(default_factory=list)
    pair_thumbnails: LevelDifferences = field(default_factory=LevelDifferences)
    whole_thumbnails: LevelDifferences = field(default_factory=LevelDifferences)
    views: LevelDifferences = field(default_factory=LevelDifferences)
    positions: list[int] = field(default_factory=list)


def compare(
    bundle: ThumbNet, graphs: Graphs, pictures: Pictures, allowed_drop: float, announcer: Announcer
) -> dict[str, Any]:
    """Runs an export with onnxruntime beside its bundle.

    Args:
        bundle: On the processor, in eval mode.
        graphs: The export.
        pictures: Those that cannot be read are left out, and counted.
        allowed_drop: Most by which top-1 may differ, as a share of 1; without labels, the share of other answers. With
            labels, ten times as many answers may be others.
        announcer: For a bar.

    Returns:
        The report: `passed`, what the bundle scored, and for `pair` (downscaler.onnx, then student.onnx, on the
        working view of Pillow) and `whole` (thumbnet.onnx) score, agreement and largest differences. `metric` is
        `top1`; `labels_right`, the share of all yes and no answers that are right, where a picture may have several
        labels; or `agreement` with the bundle.

    Raises:
        ExportError: If no picture can be read.
    """
    seen = _collect(bundle, graphs, pictures, announcer)
    if not seen.positions:
        raise ExportError("none of the pictures to verify the export on can be read; give others with --verify-data")
    labels = pictures.labels if isinstance(pictures.labels, tuple) else np.asarray(pictures.labels)
    true = np.array([labels[position] for position in seen.positions])
    kind = pictures.kind if bundle.description.multilabel == (pictures.kind == "multi") else "none"
    metric = {"single": "top1", "soft": "top1", "multi": "labels_right", "none": "agreement"}[kind]
    multilabel = bundle.description.multilabel
    ours = _answers(np.stack(seen.bundle), multilabel)
    report: dict[str, Any] = {"passed": True, "metric": metric, "allowed_drop": allowed_drop}
    others = allowed_drop if kind == "none" else min(1.0, OTHER_ANSWERS * allowed_drop)
    report |= {"allowed_other_answers": others}
    report |= {"pictures": len(seen.positions), "unreadable": len(pictures) - len(seen.positions)}
    wanted = true.argmax(axis=1) if kind == "soft" else true
    report["bundle"] = {} if kind == "none" else {metric: float((ours == wanted).mean())}
    for name, scores, thumbnails in (
        ("pair", seen.pair, seen.pair_thumbnails),
        ("whole", seen.whole, seen.whole_thumbnails),
    ):
        theirs = _answers(np.stack(scores), multilabel)
        agreement = float((theirs == ours).mean())
        apart = np.abs(np.stack(scores) - np.stack(seen.bundle))
        result: dict[str, Any] = {} if kind == "none" else {metric: float((theirs == wanted).mean())}
        drop = 1 - agreement if kind == "none" else abs(report["bundle"][metric] - result[metric])
        result |= {"agreement": agreement, "largest_probability_difference": float(apart.max())}
        report[name] = result | {"drop": drop, "thumbnails": thumbnails.as_dict()}
        report["passed"] &= bool(drop <= allowed_drop + 1e-9 and 1 - agreement <= others + 1e-9)
    report["resize_beside_pillow"] = seen.views.as_dict()
    return report


def _collect(bundle: ThumbNet, graphs: Graphs, pictures: Pictures, announcer: Announcer) -> _Collected:
    downscaler, student, view = (open_graph(graph) for graph in (graphs.downscaler, graphs.student, graphs.view))
    whole, seen = open_session(graphs.whole), _Collected()
    preprocessing, ratio = bundle.description.preprocessing, bundle.description.ratio
    for batch in _batches(bundle, pictures, announcer):
        views = np.stack([view_of(picture, preprocessing, ratio) for _, picture in batch])
        thumbnails = bundle.thumbnail_maker().thumbnails(views)
        seen.bundle += list(_scores(bundle, thumbnails))
        exported = downscaler(views)
        seen.pair_thumbnails.add(exported, thumbnails)
        seen.pair += list(student(exported))
        for (position, picture), expected_view, expected in zip(batch, views, thumbnails, strict=True):
            _collect_whole(seen, whole, view, np.asarray(picture), (expected_view, expected))
            seen.positions.append(position)
    return seen


def _collect_whole(seen: _Collected, whole: Any, view: Run, picture: Pixels, expected: tuple[Pixels, Pixels]) -> None:
    seen.views.add(view(picture[None])[0], expected[0])
    thumbnail, scores = whole.run(["thumbnail", "probabilities"], {"picture": picture[None]})
    seen.whole_thumbnails.add(thumbnail[0], expected[1])
    seen.whole.append(scores[0])


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
