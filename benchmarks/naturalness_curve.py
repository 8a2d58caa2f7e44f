"""What naturalness costs: accuracy against SSIM and colour difference, over the weights that hold thumbnails natural.

    python benchmarks/naturalness_curve.py --recipe RECIPE.yaml --mm 0,0.1,1,10,100 --kinds residual,paper
    python benchmarks/naturalness_curve.py --recipe BASE.yaml FINE.yaml --kinds residual --starts detail --pm 5,20,80

Each combination is one run of the recipe (the later of several takes precedence) with another `downscaler.kind`,
`downscaler.start`, `optimizer.downscaler_lr_factor` (`--lr-factors`) and weight: `loss.mm`, or with the start `detail`,
whose thumbnails the pixel losses hold, `loss.pm`.
Runs what is missing (each goes on where it was stopped) and writes the JSON, and the figure beside it.
"""

import argparse
import csv
import itertools
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
import yaml
from matplotlib.figure import Figure

from thumbnet import fit
from thumbnet.comparison.statistics import paired_difference
from thumbnet.config import TrainSettings, settings_from_dict
from thumbnet.run_folder import RunFolder
from thumbnet.storage import write_json

ROOT = Path(__file__).parent.parent
DISTANCES = {"ssim": "SSIM to the bicubic thumbnail", "delta_e": "colour difference ΔE (CIE76)"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, nargs="+", required=True, help="settings; flags take precedence")
    parser.add_argument("--data")
    parser.add_argument("--teacher")
    parser.add_argument("--teacher-weights")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--mm", default="0,0.1,1,10,100", help="weights of moment matching")
    parser.add_argument("--pm", default="5,20,80", help="weights of the nearness to bicubic, with the start detail")
    parser.add_argument("--kinds", default="residual,paper", help="downscalers; bicubic is the reference")
    parser.add_argument("--starts", default="natural", help="what the downscaler starts as: natural, random, detail")
    parser.add_argument("--lr-factors", default="1,20", help="the downscaler's learning rate as a multiple of lr")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "naturalness")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "naturalness_curve.json")
    given = parser.parse_args(arguments)
    settings, seeds = base_settings(given), [int(seed) for seed in given.seeds.split(",")]
    points = [{"kind": "bicubic", "start": "natural", "lr_factor": 1.0, "loss": "mm", "weight": 0.0}]
    for kind, start, factor in itertools.product(
        given.kinds.split(","), given.starts.split(","), numbers(given.lr_factors)
    ):
        loss = "pm" if start == "detail" else "mm"
        for weight in numbers(getattr(given, loss)):
            points.append({"kind": kind, "start": start, "lr_factor": factor, "loss": loss, "weight": weight})
    measured: list[dict[str, Any]] = []
    right: list[np.ndarray] = []
    for point in points:
        runs = [train(settings, point, seed, given.runs) for seed in seeds]
        right.append(np.stack([answered_rightly(run) for run in runs]))
        found = {**point, **summarise([run.read_evaluation() or {} for run in runs])}
        measured.append(found | {"beside_bicubic": asdict(paired_difference(right[-1], right[0]))})
        result = {
            "command": shlex.join(["python", "benchmarks/naturalness_curve.py", *(arguments or sys.argv[1:])]),
            "date": datetime.now(UTC).date().isoformat(),
            "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}",
            "data": Path(settings.data or "").name,
            "teacher": settings.teacher,
            "ratio": settings.ratio,
            "student": asdict(settings.student),
            "epochs": settings.epochs,
            "lr": settings.peak_lr,
            "seeds": seeds,
            "points": measured,
        }
        write_json(given.output, result)
    draw(measured).savefig(given.output.with_suffix(".png"), dpi=150)
    print(given.output)


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def base_settings(given: argparse.Namespace) -> TrainSettings:
    names = ("data", "teacher", "teacher_weights", "epochs", "lr", "workers")
    flags = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    values: dict[str, Any] = {}
    for recipe in given.recipe:
        values |= yaml.safe_load(recipe.read_text())
    return settings_from_dict({**values, **flags, "output": str(given.runs)})


def train(settings: TrainSettings, point: dict[str, Any], seed: int, runs: Path) -> RunFolder:
    """One run, trained where it is missing."""
    name = f"{point['kind']}-{point['start']}-lr{point['lr_factor']:g}-{point['loss']}{point['weight']:g}-{seed}"
    run = RunFolder(runs / name)
    if not run.evaluation.exists():
        print(f"== {name}", flush=True)
        fit(
            settings,
            loss=replace(settings.loss, **{point["loss"]: point["weight"]}),
            downscaler=replace(settings.downscaler, kind=point["kind"], start=point["start"]),
            optimizer=replace(settings.optimizer, downscaler_lr_factor=point["lr_factor"]),
            seed=seed,
            output=str(run.path),
            resume=run.config.exists(),
        )
    return run


def answered_rightly(run: RunFolder) -> np.ndarray:
    """1 for each picture whose label the student says."""
    with run.predictions.open(newline="", encoding="utf-8") as file:
        return np.array([float(row["student"] == row["label"]) for row in csv.DictReader(file)])


def summarise(evaluations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds; every value of the accuracy."""
    metric = evaluations[0]["metric"]
    shares = [evaluation["student"][metric] for evaluation in evaluations]
    natural = {
        name: float(np.mean([evaluation["naturalness"][name] for evaluation in evaluations]))
        for name in ("ssim", "delta_e", "levels")
    }
    return {metric: float(np.mean(shares)), "values": shares, "metric": metric, **natural}


def draw(points: Sequence[dict[str, Any]]) -> Figure:
    """Accuracy against each distance: a line for each downscaler and its learning rate, a label for each weight."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, (distance, title) in zip(figure.subplots(1, 2, sharey=True), DISTANCES.items(), strict=True):
        lines = dict.fromkeys(map(_line, points))
        for named in lines:
            line, kind = [point for point in points if _line(point) == named], named[0]
            places = [(point[distance], 100 * point[point["metric"]]) for point in line]
            label = "bicubic" if kind == "bicubic" else f"{kind}, {named[1]}, lr × {named[2]:g}: {named[3]}"
            axes.plot(*zip(*places, strict=True), marker="*" if kind == "bicubic" else "o", label=label)
            for point, place in zip(line, places, strict=True):
                if kind != "bicubic":
                    axes.annotate(f"{point['weight']:g}", place, textcoords="offset points", xytext=(4, 4), fontsize=8)
        axes.set_xlabel(title)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel(f"{points[0]['metric']}, %")
    figure.axes[0].legend(title="numbers: weight of the loss", fontsize=8, title_fontsize=8)
    return figure


def _line(point: dict[str, Any]) -> tuple[str, str, float, str]:
    return point["kind"], point["start"], point["lr_factor"], point["loss"]


if __name__ == "__main__":
    main()
