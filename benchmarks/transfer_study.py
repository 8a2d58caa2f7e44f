"""The downscaler by itself: thumbnails made by another run's E, for other data and another network.

    python benchmarks/transfer_study.py SOURCE_RUN --recipe RECIPE.yaml --data DATA --teacher NETWORK --seeds 0,1,2

E was trained in SOURCE_RUN, and is frozen. A student of another architecture is trained on its thumbnails of other
pictures, and on bicubic, area and lanczos thumbnails from the same start. For retrieval, a network that was trained on
full pictures looks at each thumbnail resized to its side (bicubic), and each held-out picture asks for the others of
its class by the cosine of the pooled features.

Runs what is missing (each run goes on where it was stopped) and writes benchmarks/results/transfer.json. Differences to
each fixed filter are paired over the same pictures, with a 95% interval from a bootstrap over pictures and seeds.
"""

import argparse
import csv
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch.nn import functional

from thumbnet import DownscalerSettings, ThumbNet, fit
from thumbnet.comparison.statistics import paired_difference
from thumbnet.config import TrainSettings, settings_from_dict
from thumbnet.data.batches import LoaderSettings, evaluation_loader, to_image
from thumbnet.data.preprocessing import normalise
from thumbnet.devices import choose_device, reading_workers
from thumbnet.networks.assembly import build_teacher, fit_preprocessing
from thumbnet.networks.downscaler import FixedDownscaler, to_8bit
from thumbnet.networks.taps import TappedNetwork, default_layers, trace_layers
from thumbnet.progress import Announcer
from thumbnet.retrieval import Retrieval, retrieval
from thumbnet.run_data import open_pictures
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import settings_of
from thumbnet.storage import write_json

ROOT = Path(__file__).parent.parent
LEARNED, FIXED = "learned", ("bicubic", "area", "lanczos")
ARMS = (LEARNED, *FIXED)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="run whose downscaler is judged")
    parser.add_argument("--recipe", type=Path, required=True, help="settings of the students; flags take precedence")
    parser.add_argument("--data")
    parser.add_argument("--teacher")
    parser.add_argument("--teacher-weights")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--parts", default="students,retrieval")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "transfer")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "transfer.json")
    given = parser.parse_args(arguments)
    seeds, parts = [int(seed) for seed in given.seeds.split(",")], given.parts.split(",")
    settings = base_settings(given)
    result: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/transfer_study.py", *(arguments or sys.argv[1:])]),
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "source": {"run": given.source.name, "data": settings_of(RunFolder.open(given.source)).data},
        "data": settings.data,
        "teacher": settings.teacher,
        "ratio": settings.ratio,
        "epochs": settings.epochs,
    }
    if "retrieval" in parts:
        result["retrieval"] = summarise_retrieval(retrieve(settings, given.source))
        write_json(given.output, result)
    if "students" in parts:
        for seed in seeds:
            for arm in ARMS:
                train(settings, arm, seed, given)
        result["students"] = summarise_students(given.runs, seeds)
        write_json(given.output, result)


def base_settings(given: argparse.Namespace) -> TrainSettings:
    """The recipe with the flags, at the source's ratio."""
    flags = {name: getattr(given, name) for name in ("data", "teacher", "teacher_weights", "epochs")}
    values = {**yaml.safe_load(given.recipe.read_text()), **{name: value for name, value in flags.items() if value}}
    ratio = settings_of(RunFolder.open(given.source)).ratio
    return settings_from_dict({**values, "ratio": ratio, "output": str(given.runs)})


def train(settings: TrainSettings, arm: str, seed: int, given: argparse.Namespace) -> None:
    run = RunFolder(folder(given.runs, arm, seed))
    if run.evaluation.exists():
        return
    print(f"== {arm}, seed {seed}", flush=True)
    changes = {"downscaler": downscaler(arm, given.source), "seed": seed, "output": str(run.path)}
    fit(settings, **changes, resume=run.config.exists())


def downscaler(arm: str, source: Path) -> DownscalerSettings:
    """The frozen E of the source run, or a fixed filter."""
    if arm in FIXED:
        return DownscalerSettings(kind=arm)
    return replace(settings_of(RunFolder.open(source)).downscaler, weights=str(source.absolute()), frozen=True)


def folder(runs: Path, arm: str, seed: int) -> Path:
    return runs / f"{arm}-{seed}"


def summarise_students(runs: Path, seeds: Sequence[int]) -> dict[str, Any]:
    right = {arm: np.stack([right_answers(folder(runs, arm, seed)) for seed in seeds]) for arm in ARMS}
    evaluations = {arm: RunFolder(folder(runs, arm, seeds[0])).read_evaluation() or {} for arm in ARMS}
    return {
        "seeds": list(seeds),
        "pictures": right[LEARNED].shape[1],
        "teacher_top1": evaluations[LEARNED]["teacher"]["top1"],
        "top1": {arm: [float(value) for value in answers.mean(axis=1)] for arm, answers in right.items()},
        "naturalness": {arm: evaluation["naturalness"] for arm, evaluation in evaluations.items()},
        "paired_differences": {f"{LEARNED} - {arm}": interval(right[LEARNED] - right[arm]) for arm in FIXED},
    }


def right_answers(run: Path) -> np.ndarray:
    with RunFolder(run).predictions.open(newline="") as file:
        return np.array([float(row["student"] == row["label"]) for row in csv.DictReader(file)])


@torch.no_grad()
def retrieve(settings: TrainSettings, source: Path) -> dict[str, Retrieval]:
    """What held-out pictures find by features of their thumbnails, by arm; `image` is by those of the full image."""
    announcer, device = Announcer(), choose_device(settings.device)
    pictures = open_pictures(settings, announcer).evaluation
    classifier = build_teacher(settings, pictures.classes).classifier
    network, preprocessing = classifier.network.eval().to(device), fit_preprocessing(classifier, settings)
    layer = default_layers(trace_layers(network, preprocessing.image_side))[-1]
    tapped = TappedNetwork(network, (layer,))
    makers = {arm: FixedDownscaler(settings.ratio, arm) for arm in FIXED}
    makers[LEARNED] = ThumbNet.load(source, allow_code=True).downscaler
    features: dict[str, list[torch.Tensor]] = {name: [] for name in ("image", *ARMS)}
    loader = evaluation_loader(
        pictures, preprocessing, settings.batch_size, LoaderSettings(workers=reading_workers(settings.workers))
    )
    labels = []
    for batch in announcer.track(loader, len(loader), "retrieval"):
        image = to_image(batch, device)
        shown = {"image": image}
        for arm, make in makers.items():
            thumbnail = to_8bit(make.to(device)(image))
            resized = functional.interpolate(thumbnail, image.shape[-2:], mode="bicubic", align_corners=False)
            shown[arm] = resized.clamp(0, 1)
        for name, seen in shown.items():
            _, tapped_features = tapped(normalise(seen, preprocessing.mean, preprocessing.std))
            features[name].append(tapped_features[layer].float().mean(dim=(2, 3)).cpu())
        labels.append(batch.label)
    return {name: retrieval(torch.cat(parts), torch.cat(labels)) for name, parts in features.items()}


def summarise_retrieval(found: dict[str, Retrieval]) -> dict[str, Any]:
    measures = Retrieval._fields
    return {
        "means": {
            name: {measure: float(getattr(values, measure).mean()) for measure in measures}
            for name, values in found.items()
        },
        "paired_differences": {
            f"{LEARNED} - {arm}": {
                measure: interval((getattr(found[LEARNED], measure) - getattr(found[arm], measure)).numpy()[None])
                for measure in measures
            }
            for arm in FIXED
        },
    }


def interval(differences: np.ndarray) -> dict[str, float]:
    """Mean of paired differences `[seeds, pictures]`, and its 95% interval from resampling both."""
    return asdict(paired_difference(differences, np.zeros_like(differences)))


if __name__ == "__main__":
    main()
