"""What naturalness costs: accuracy against SSIM and colour difference, over weights of moment matching and E's kinds.

    python benchmarks/naturalness_curve.py --recipe RECIPE.yaml --mm 0,0.1,1,10,100 --kinds residual,paper

Each combination is one run of the recipe with another `loss.mm`, `downscaler.kind` (what E starts as) and
`optimizer.downscaler_lr_factor` (`--lr-factors`).
Runs what is missing (each goes on where it was stopped) and writes benchmarks/results/naturalness_curve.json, and the
figure beside it.
"""

import argparse
import itertools
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.figure import Figure

from thumbnet import fit
from thumbnet.config import TrainSettings, settings_from_dict
from thumbnet.run_folder import RunFolder
from thumbnet.storage import write_json

ROOT = Path(__file__).parent.parent
DISTANCES = {"ssim": "SSIM to the bicubic thumbnail", "delta_e": "colour difference ΔE (CIE76)"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, required=True, help="settings of the runs; flags take precedence")
    parser.add_argument("--data")
    parser.add_argument("--teacher")
    parser.add_argument("--teacher-weights")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--mm", default="0,0.1,1,10,100", help="weights of moment matching")
    parser.add_argument("--kinds", default="residual,paper", help="downscalers; bicubic is the reference")
    parser.add_argument("--lr-factors", default="1,20", help="the downscaler's learning rate as a multiple of lr")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "naturalness")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "naturalness_curve.json")
    given = parser.parse_args(arguments)
    settings, seeds = base_settings(given), [int(seed) for seed in given.seeds.split(",")]
    points = [{"kind": "bicubic", "lr_factor": 1.0, "mm": 0.0}]
    chosen = itertools.product(given.kinds.split(","), numbers(given.lr_factors), numbers(given.mm))
    points += [{"kind": kind, "lr_factor": factor, "mm": mm} for kind, factor, mm in chosen]
    measured: list[dict[str, Any]] = []
    for point in points:
        measured.append({**point, **summarise([train(settings, point, seed, given.runs) for seed in seeds])})
        result = {
            "command": shlex.join(["python", "benchmarks/naturalness_curve.py", *(arguments or sys.argv[1:])]),
            "date": datetime.now(UTC).date().isoformat(),
            "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}",
            "data": settings.data,
            "teacher": settings.teacher,
            "ratio": settings.ratio,
            "epochs": settings.epochs,
            "seeds": seeds,
            "points": measured,
        }
        write_json(given.output, result)
    draw(measured).savefig(given.output.with_suffix(".png"), dpi=150)
    print(given.output)


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def base_settings(given: argparse.Namespace) -> TrainSettings:
    flags = {name: getattr(given, name) for name in ("data", "teacher", "teacher_weights", "epochs")}
    values = {**yaml.safe_load(given.recipe.read_text()), **{name: value for name, value in flags.items() if value}}
    return settings_from_dict({**values, "output": str(given.runs)})


def train(settings: TrainSettings, point: dict[str, Any], seed: int, runs: Path) -> dict[str, Any]:
    """The evaluation of one run, trained where it is missing."""
    name = f"{point['kind']}-lr{point['lr_factor']:g}-mm{point['mm']:g}-{seed}"
    run = RunFolder(runs / name)
    if not run.evaluation.exists():
        print(f"== {name}", flush=True)
        fit(
            settings,
            loss=replace(settings.loss, mm=point["mm"]),
            downscaler=replace(settings.downscaler, kind=point["kind"]),
            optimizer=replace(settings.optimizer, downscaler_lr_factor=point["lr_factor"]),
            seed=seed,
            output=str(run.path),
            resume=run.config.exists(),
        )
    return run.read_evaluation() or {}


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
    """Accuracy against each distance: a line for each kind and learning rate, its points labelled with mm."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, (distance, title) in zip(figure.subplots(1, 2, sharey=True), DISTANCES.items(), strict=True):
        lines = dict.fromkeys((point["kind"], point["lr_factor"]) for point in points)
        for kind, factor in lines:
            line = [point for point in points if (point["kind"], point["lr_factor"]) == (kind, factor)]
            places = [(point[distance], 100 * point[point["metric"]]) for point in line]
            label = "bicubic" if kind == "bicubic" else f"{kind}, lr × {factor:g}"
            axes.plot(*zip(*places, strict=True), marker="*" if kind == "bicubic" else "o", label=label)
            for point, place in zip(line, places, strict=True):
                if kind != "bicubic":
                    axes.annotate(f"{point['mm']:g}", place, textcoords="offset points", xytext=(4, 4), fontsize=8)
        axes.set_xlabel(title)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel(f"{points[0]['metric']}, %")
    figure.axes[0].legend(title="numbers: weight of mm", fontsize=8, title_fontsize=8)
    return figure


if __name__ == "__main__":
    main()
