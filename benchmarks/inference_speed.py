"""A student and its downscaler beside the teacher: speed and memory of an architecture, whatever its weights.

    python benchmarks/inference_speed.py --data photos/val [--teacher timm/resnet50] [--ratio 4]

The networks are those that `thumbnet train` would make, with random weights: time does not depend on them. Writes
benchmarks/results/inference_NAME.json and the same as .csv, .md and .png in --pictures-to.
"""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch

from archive_pictures import RESULTS, pictures_below
from thumbnet import TrainSettings
from thumbnet.bundle import ThumbNet
from thumbnet.config import BenchmarkSettings
from thumbnet.deployment.benchmark.benchmark import benchmark
from thumbnet.networks.assembly import assemble
from thumbnet.storage import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--teacher", default="timm/resnet50")
    parser.add_argument("--ratio", type=int, default=4)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainSettings(
            teacher=given.teacher, teacher_weights="random", data=str(given.data), output=folder, ratio=given.ratio
        )
        labels = tuple(str(number) for number in range(given.classes))
        assembly = assemble(settings, labels, tap_features=False)
        bundle = ThumbNet.from_training(assembly.pair, assembly.preprocessing, labels, settings)
        teacher = assembly.teacher.tapped.network.eval()
        files = pictures_below(given.data)[:: max(1, len(pictures_below(given.data)) // 64)]
        chosen = BenchmarkSettings(rounds=given.rounds, seconds=given.seconds)
        result = benchmark(bundle, teacher, files, chosen)
    name = given.teacher.replace(":", "_").replace("/", "_")
    command = f"python benchmarks/inference_speed.py --data DATA --teacher {given.teacher} --ratio {given.ratio}"
    facts = {"command": f"{command} --rounds {given.rounds} --seconds {given.seconds:g}", **result.facts}
    write_json(given.results / f"inference_{name}.json", {**facts, "rows": [asdict(row) for row in result.rows]})


if __name__ == "__main__":
    main()
