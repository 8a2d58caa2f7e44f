"""Accuracy on elpv: teacher, bicubic baselines and ThumbNet, over several seeds.

    python benchmarks/elpv_study.py --seeds 0,1,2

Runs what is missing (each run goes on where it was stopped) and writes benchmarks/results/elpv.json. All students share
one teacher; those of one seed share its cached answers, views, order and number of epochs. Differences
are paired over the same pictures, with a 95% interval from a bootstrap over pictures and seeds.
"""

import argparse
import csv
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from thumbnet import fit, train_teacher
from thumbnet.comparison.statistics import paired_difference
from thumbnet.config import TrainSettings, settings_from_dict
from thumbnet.run_folder import RunFolder
from thumbnet.storage import write_json

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "recipes" / "elpv"
STUDENTS = ("bicubic_cl", "bicubic_cl_kd_fm", "thumbnet", "bicubic_cl_kd_fm_fine", "thumbnet_fine")
PAIRS = (("thumbnet", "bicubic_cl"), ("thumbnet", "bicubic_cl_kd_fm"), ("thumbnet_fine", "bicubic_cl_kd_fm_fine"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "elpv")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "elpv.json")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    train_shared_teacher(arguments.runs)
    for seed in seeds:
        for recipe in STUDENTS:
            run_recipe(recipe, seed, arguments.runs)
            finished = [
                s for s in seeds if all((folder(arguments.runs, r, s) / "evaluation.json").exists() for r in STUDENTS)
            ]
            if finished:
                write_json(arguments.output, summarise(arguments.runs, finished))


def train_shared_teacher(runs: Path) -> None:
    run = RunFolder(runs / "teacher")
    if not run.evaluation.exists():
        print("== teacher", flush=True)
        train_teacher(read_recipe("teacher", 0, run), resume=run.config.exists())


def run_recipe(recipe: str, seed: int, runs: Path) -> None:
    run = RunFolder(folder(runs, recipe, seed))
    if not run.evaluation.exists():
        print(f"== {recipe}, seed {seed}", flush=True)
        weights = str(runs / "teacher" / "teacher.safetensors")
        fit(read_recipe(recipe, seed, run), teacher_weights=weights, resume=run.config.exists())


def read_recipe(recipe: str, seed: int, run: RunFolder) -> TrainSettings:
    values = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())
    return settings_from_dict({**values, "seed": seed, "output": str(run.path)})


def is_finished(runs: Path, recipe: str, seed: int) -> bool:
    return RunFolder(folder(runs, recipe, seed)).evaluation.exists()


def folder(runs: Path, recipe: str, seed: int) -> Path:
    return runs / f"{recipe}-{seed}"


def summarise(runs: Path, seeds: list[int]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for recipe in STUDENTS:
        evaluations = [RunFolder(folder(runs, recipe, seed)).read_evaluation() or {} for seed in seeds]
        rows[recipe] = {
            "top1": spread([evaluation["student"]["top1"] for evaluation in evaluations]),
            "retention": spread([evaluation["retention"] for evaluation in evaluations]),
            "agreement": spread([evaluation["agreement"] for evaluation in evaluations]),
            "macs": evaluations[0]["student"]["macs"],
            "downscaler_macs": evaluations[0]["downscaler"]["macs"],
            "thumbnail_bytes": spread([evaluation["bytes"]["thumbnail"] for evaluation in evaluations]),
        }
        if recipe in ("thumbnet", "thumbnet_fine"):
            name = "untrained_bicubic" + ("_fine" if recipe.endswith("fine") else "")
            rows[name] = {
                "top1": spread([evaluation["untrained_bicubic"]["top1"] for evaluation in evaluations]),
                "macs": evaluations[0]["student"]["macs"],
            }
        rows["teacher"] = {
            "top1": spread([evaluation["teacher"]["top1"] for evaluation in evaluations]),
            "macs": evaluations[0]["teacher"]["macs"],
        }
    return {
        "command": "python benchmarks/elpv_study.py --seeds " + ",".join(map(str, seeds)),
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "seeds": seeds,
        "pictures": 656,
        "rows": rows,
        "paired_differences": {f"{ours} - {other}": paired(runs, ours, other, seeds) for ours, other in PAIRS},
    }


def spread(values: list[float]) -> dict[str, Any]:
    return {
        "mean": float(np.mean(values)),
        "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        "values": values,
    }


def paired(runs: Path, ours: str, other: str, seeds: list[int]) -> dict[str, float]:
    pairs = [np.stack([right(runs, recipe, seed) for seed in seeds]) for recipe in (ours, other)]
    return asdict(paired_difference(*pairs))


def right(runs: Path, recipe: str, seed: int) -> np.ndarray:
    with RunFolder(folder(runs, recipe, seed)).predictions.open(newline="") as file:
        return np.array([float(row["student"] == row["label"]) for row in csv.DictReader(file)])


if __name__ == "__main__":
    main()
