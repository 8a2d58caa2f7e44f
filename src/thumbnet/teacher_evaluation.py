"""Accuracy of a classifier by itself, before anything is trained: what timm's own `validate` would say of it.

Knows no run: it is asked which classifier, which weights and which pictures.
"""

from pathlib import Path
from typing import Any

from torch import nn

from thumbnet.config import TrainSettings, ViewSettings
from thumbnet.data.inspection import inspect
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.data.sources import open_data
from thumbnet.devices import cache_folder, reading_workers
from thumbnet.evaluation import evaluate_teacher as evaluate_pair
from thumbnet.networks.assembly import build_teacher, fit_preprocessing
from thumbnet.networks.data_config import makers_test
from thumbnet.networks.feature_mapping import FeatureMapping
from thumbnet.networks.pair import Pair
from thumbnet.networks.taps import TappedNetwork
from thumbnet.networks.teacher import check_classes
from thumbnet.progress import Announcer
from thumbnet.storage import write_json


def evaluate_teacher(
    teacher: str,
    data: str,
    *,
    teacher_weights: str = "pretrained",
    image_side: int | None = None,
    crop_share: float | None = None,
    holdout: float | None = None,
    batch_size: int = 32,
    workers: int | None = None,
    device: str = "auto",
    output: Path | str | None = None,
    announcer: Announcer | None = None,
) -> dict[str, Any]:
    """Evaluates a teacher on pictures as its makers prepare them.

    The pixels are those of timm's and torchvision's own evaluation, but for pictures with an EXIF rotation, which are
    turned upright here and not there.

    Args:
        teacher: As for training; a factory's module is imported.
        data: A folder of pictures or `elpv`: its held-out part, or all where there is none.
        teacher_weights: `pretrained`, a file, or `random`.
        image_side: Side of its input, px; by default the one that it was trained with. Its makers may test it at a
            larger one; given that, the crop share is that of their test too.
        crop_share: Share of the side that the centre crop keeps; by default the makers'.
        holdout: Share of one folder of classes to evaluate; by default all of it.
        batch_size: Pictures at a time.
        workers: Processes that read pictures.
        device: Where to compute.
        output: A JSON file to write the result to.
        announcer: Shows progress; by default on standard error.

    Returns:
        `teacher` (`top1`, `top5`, `per_class`, `macs`, `parameters`), `image_side`, `preprocessing`, `data`.

    Raises:
        ThumbNetError: If teacher and data cannot be used together.
    """
    announcer = announcer or Announcer()
    settings = TrainSettings(
        teacher=teacher,
        data=data,
        output=str(output or ""),
        teacher_weights=teacher_weights,
        image_side=image_side,
        batch_size=batch_size,
        workers=workers,
        device=device,
        holdout=holdout,
        views=ViewSettings(crop_share=crop_share),
    )
    splits = open_data(data, holdout)
    classifier, warnings = build_teacher(settings, splits.evaluation.classes)
    preprocessing = fit_preprocessing(classifier, settings)
    check_classes(classifier.network, preprocessing.image_side, splits.evaluation.classes)
    for warning in warnings:
        announcer.warn(warning)
    announcer.say(f"preprocessing: {preprocessing.summary}{_makers_test_hint(classifier.network, preprocessing)}")
    memory = cache_folder(settings.cache) / "inspections"
    processes = max(1, reading_workers(workers))
    found = inspect(splits.evaluation, settings.allow_unreadable, memory, announcer.track, processes)
    for name, reason in found.unreadable:
        announcer.warn(f"left out {name}: {reason}")
    tapped = TappedNetwork(classifier.network)
    pair = Pair(nn.Identity(), tapped, FeatureMapping({}), preprocessing.mean, preprocessing.std)
    result = evaluate_pair(None, pair, found.readable, splits.description, preprocessing, settings, announcer)
    result["preprocessing"] = preprocessing.summary
    if output is not None:
        write_json(Path(output), result)
    return result


def _makers_test_hint(network: nn.Module, preprocessing: Preprocessing) -> str:
    """How to see the network as timm's `validate` does, where it is not seen so already."""
    tested = makers_test(network, preprocessing)
    if tested is None:
        return ""
    if tested.image_side == preprocessing.image_side:
        return f"; its makers test it with --crop-share {tested.crop_share:g}"
    return f"; its makers test it at {tested.image_side} px (--image-side {tested.image_side})"
