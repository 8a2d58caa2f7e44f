"""The teacher's accuracy by `thumbnet.evaluate_teacher` and by timm's own code, on the same pictures.

    python benchmarks/timm_parity.py --weights runs/elpv/teacher/teacher.safetensors
    python benchmarks/timm_parity.py --teacher timm/resnet50.a1_in1k --weights pretrained --data imagenet/val

    python benchmarks/timm_parity.py --weights pretrained --data imagenette224/val --name timm_parity_imagenet

Without `--data` the pictures are the held-out ones of the sample data `elpv`. timm's side is what its validate.py does:
create_dataset, resolve_data_config, create_loader with the prefetcher off, accuracy. Writes
benchmarks/results/NAME.json.
"""

import argparse
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.utils import accuracy

import thumbnet
from thumbnet.config import TrainSettings
from thumbnet.data.sources import open_data
from thumbnet.networks.assembly import BuiltTeacher, build_teacher
from thumbnet.storage import write_json

RESULTS = Path(__file__).parent / "results"


DEFAULTS = {"--teacher": "thumbnet.data.samples:efficientnet_lite0", "--data": "elpv", "--name": "timm_parity"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="thumbnet.data.samples:efficientnet_lite0")
    parser.add_argument("--weights", required=True, help="a file, or pretrained")
    parser.add_argument("--data", default="elpv", help="elpv, or a folder of classes")
    parser.add_argument("--name", default="timm_parity", help="of the JSON")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    settings = TrainSettings(
        teacher=arguments.teacher,
        teacher_weights=arguments.weights,
        data=arguments.data,
        output="",
        device=arguments.device,
    )
    ours = thumbnet.evaluate_teacher(settings)
    pictures = open_data(arguments.data).evaluation
    built = build_teacher(settings, pictures.classes)
    pictures = pictures.in_classes(built.classes, "the teacher's")
    with tempfile.TemporaryDirectory() as place:
        # timm reads folders, so they are named by the numbers of the outputs.
        for number, (path, label) in enumerate(zip(pictures.files, pictures.labels, strict=True)):
            link = Path(place) / f"{label:06d}" / f"{number:08d}{path.suffix}"
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(path.resolve())
        timms = by_timm(built, place, torch.device(arguments.device))
    result = RESULTS / f"{arguments.name}.json"
    write_json(result, summary(arguments, ours, timms))
    print(result)


@torch.no_grad()
def by_timm(built: BuiltTeacher, folder: str, device: torch.device) -> dict[str, Any]:
    network = built.classifier.network
    config = resolve_data_config(model=network)
    numbers = {f"{number:06d}": number for number in range(len(built.classes))}
    loader = create_loader(
        create_dataset("", root=folder, class_map=numbers),
        batch_size=32,
        use_prefetcher=False,
        num_workers=1,
        device=device,
        **config,
    )
    network.eval().to(device)
    logits, labels = [], []
    for images, label in loader:
        logits.append(network(images.to(device)).cpu())
        labels.append(label)
    given, expected = torch.cat(logits), torch.cat(labels)
    top1, top5 = accuracy(given, expected, topk=(1, min(5, given.shape[1])))
    shown = ("input_size", "crop_pct", "crop_mode", "interpolation")
    return {
        "top1": float(top1) / 100,
        "top5": float(top5) / 100,
        "pictures": len(expected),
        "config": {name: config[name] for name in shown},
    }


def without_place(value: str) -> str:
    """A path without what is only true of this machine."""
    return "/".join(Path(value).parts[-2:]) if Path(value).is_absolute() else value


def summary(arguments: argparse.Namespace, ours: dict[str, Any], timms: dict[str, Any]) -> dict[str, Any]:
    assert ours["data"]["pictures"] == timms["pictures"]
    chosen = [("--teacher", arguments.teacher), ("--weights", arguments.weights), ("--data", arguments.data)]
    chosen += [("--name", arguments.name)]
    flags = [f"{flag} {without_place(value)}" for flag, value in chosen if value != DEFAULTS.get(flag)]
    return {
        "command": " ".join(["python benchmarks/timm_parity.py", *flags]),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("timm", "torch")}},
        "teacher": arguments.teacher,
        "data": without_place(arguments.data),
        "pictures": timms["pictures"],
        "preprocessing": ours["preprocessing"],
        "thumbnet": {name: ours["teacher"][name] for name in ("top1", "top5")},
        "timm": timms,
        "difference_points": abs(round(100 * (ours["teacher"]["top1"] - timms["top1"]), 4)),
    }


if __name__ == "__main__":
    sys.exit(main())
