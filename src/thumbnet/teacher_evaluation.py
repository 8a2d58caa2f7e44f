"""Accuracy of a classifier by itself, without thumbnails: what timm's own `validate` would say of it."""

from dataclasses import replace
from typing import Any

from torch import nn

from thumbnet.accuracy import HEADLINES, accuracies, logits_of
from thumbnet.config import TrainSettings
from thumbnet.data.batches import LoaderSettings, evaluation_loader
from thumbnet.data.inspection import inspect
from thumbnet.data.labelled import Pictures
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.data.sources import open_data, wanted_by
from thumbnet.devices import cache_folder, choose_device, reading_workers
from thumbnet.networks.assembly import build_teacher, fit_preprocessing
from thumbnet.networks.data_config import makers_test
from thumbnet.networks.feature_mapping import FeatureMapping
from thumbnet.networks.pair import Pair
from thumbnet.networks.taps import TappedNetwork
from thumbnet.profiling import count_macs, count_parameters
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder


def evaluate_teacher(
    settings: TrainSettings | None = None, *, announcer: Announcer | None = None, **changes: Any
) -> dict[str, Any]:
    """Evaluates a teacher on pictures as its makers prepare them.

    `evaluate_teacher(teacher="timm/resnet50.a1_in1k", data="photos")` is all it takes. With `image_side` at the side
    that its makers test it at, the crop share is that of their test too; `views=ViewSettings(crop_share=...)` sets it.

    The pixels are those of timm's and torchvision's own evaluation, but for pictures with an EXIF rotation, which are
    turned upright here and not there.

    Args:
        settings: Teacher, data and preprocessing as for training; the rest is not used.
        announcer: Shows progress; by default on standard error.
        **changes: Fields of `TrainSettings`, taking precedence over `settings`; `output` may be left out.

    Returns:
        `teacher` (`top1`, `top5`, `per_class`, `macs`, `parameters`), `image_side`, `preprocessing`, `data`.

    Raises:
        ThumbNetError: If teacher and data cannot be used together.
    """
    announcer = announcer or Announcer()
    settings = replace(settings, **changes) if settings else TrainSettings(**{"output": "", **changes})
    wanted = wanted_by(settings, cache_folder(settings.cache) / "datasets")
    splits = open_data(settings.data, settings.holdout, settings.evaluation_data, wanted)
    built = build_teacher(settings, splits.evaluation.classes)
    classifier, preprocessing = built.classifier, fit_preprocessing(built.classifier, settings)
    for warning in built.warnings:
        announcer.warn(warning)
    announcer.say(f"preprocessing: {preprocessing.summary}{_makers_test_hint(classifier.network, preprocessing)}")
    memory = cache_folder(settings.cache) / "inspections"
    processes = max(1, reading_workers(settings.workers))
    found = inspect(splits.evaluation, settings.allow_unreadable, memory, announcer.track, processes)
    for name, reason in found.unreadable:
        announcer.warn(f"left out {name}: {reason}")
    pictures = found.readable.in_classes(built.classes, "the teacher's")
    tapped = TappedNetwork(classifier.network)
    pair = Pair(nn.Identity(), tapped, FeatureMapping({}), preprocessing.mean, preprocessing.std)
    result = evaluate_classifier(None, pair, pictures, splits.description, preprocessing, settings, announcer)
    result["preprocessing"] = preprocessing.summary
    return result


def evaluate_classifier(
    run: RunFolder | None,
    pair: Pair,
    pictures: Pictures,
    description: str,
    preprocessing: Preprocessing,
    settings: TrainSettings,
    announcer: Announcer,
) -> dict[str, Any]:
    """Evaluates a teacher; a fine-tuned one has a run, and its evaluation.json is written."""
    device, reading = choose_device(settings.device), LoaderSettings(workers=reading_workers(settings.workers))
    loader = evaluation_loader(pictures, preprocessing, settings.batch_size, reading)
    logits, labels = logits_of(pair.to(device), announcer.track(loader, len(loader), "evaluating"), device)
    network = pair.student.network
    result = {
        "metric": HEADLINES[pictures.kind],
        "teacher": {
            **accuracies(logits, labels, pictures.classes, pictures.kind),
            "macs": count_macs(network, preprocessing.image_side),
            "parameters": count_parameters(network),
        },
        "image_side": preprocessing.image_side,
        "data": {"name": settings.data, "pictures": len(pictures), "description": description},
    }
    if run is not None:
        run.write_evaluation(result)
    return result


def _makers_test_hint(network: nn.Module, preprocessing: Preprocessing) -> str:
    """How to see the network as timm's `validate` does, where it is not seen so already."""
    tested = makers_test(network, preprocessing)
    if tested is None:
        return ""
    if tested.image_side == preprocessing.image_side:
        return f"; its makers test it with --crop-share {tested.crop_share:g}"
    return f"; its makers test it at {tested.image_side} px (--image-side {tested.image_side})"
