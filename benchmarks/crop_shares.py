"""How much of the picture to show: accuracy of teacher and student at several crop shares (`views.crop_share`).

    python benchmarks/crop_shares.py runs/a/thumbnet_fine-seed0 --shares 1.0,0.93,0.875,0.8

Training draws its views from the whole picture whatever the share is, so a finished run answers for all of them: the
same networks are evaluated on centre crops of each size. The student's retention stands beside the teacher at the very
same crop, with a 95% interval from a bootstrap over pictures. Writes benchmarks/results/crop_shares.json.
"""

import argparse
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
from jaxtyping import Float64
from torch import Tensor

from thumbnet.comparison.statistics import paired_ratio
from thumbnet.data.batches import LoaderSettings, evaluation_loader, to_image
from thumbnet.data.preprocessing import normalise
from thumbnet.errors import DataError
from thumbnet.opened_run import OpenedRun, open_run
from thumbnet.progress import Announcer
from thumbnet.storage import write_json

ROOT = Path(__file__).parent.parent


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="finished, their pictures with one label each")
    parser.add_argument("--shares", default="1.0,0.93,0.875,0.8", help="of the side, between commas")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "crop_shares.json")
    given = parser.parse_args(arguments)
    if len({run.name for run in given.runs}) < len(given.runs):
        parser.error("two runs have the same name; give those in calls of their own")
    shares = [float(share) for share in given.shares.split(",")]
    runs = {run.name: at_each_share(run, shares) for run in given.runs}
    words = ["python", "benchmarks/crop_shares.py", *(arguments or sys.argv[1:])]
    write_json(
        given.output,
        {
            "command": shlex.join(words),
            "date": datetime.now(UTC).date().isoformat(),
            "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}",
            "runs": runs,
        },
    )
    print(given.output)


def at_each_share(run: Path, shares: Sequence[float]) -> dict[str, Any]:
    """Accuracies and retention of one run at each share."""
    announcer = Announcer()
    opened = open_run(
        run,
        None,
        holdout=None,
        allow_code=True,
        batch_size=32,
        workers=0,
        device="cpu",
        announcer=announcer,
    )
    if opened.pictures.kind != "single":
        raise DataError(f"{run}: its pictures do not have one label each, so there is no top-1 to compare")
    rows = [{"crop_share": share, **accuracies(*right_at(opened, share, announcer))} for share in shares]
    return {
        "pictures": len(opened.pictures),
        "ratio": opened.bundle.description.ratio,
        "student_macs": opened.bundle.student_macs,
        "downscaler_macs": opened.bundle.downscaler_macs,
        "rows": rows,
    }


@torch.no_grad()
def right_at(
    opened: OpenedRun, share: float, announcer: Announcer
) -> tuple[Float64[np.ndarray, " pictures"], Float64[np.ndarray, " pictures"]]:
    """Which pictures teacher and student get right, shown at one share."""
    preprocessing = replace(opened.bundle.description.preprocessing, crop_share=share)
    assert opened.networks.teacher is not None
    teacher = opened.networks.teacher.to(memory_format=torch.channels_last)  # much faster on processors
    right: tuple[list[Tensor], list[Tensor]] = ([], [])
    loader = evaluation_loader(opened.pictures, preprocessing, opened.batch_size, LoaderSettings(workers=0))
    for batch in announcer.track(loader, len(loader), f"crop share {share:g}"):
        image = to_image(batch, opened.device)
        thumbnail = opened.bundle.thumbnails(image)
        said = (teacher(normalise(image, preprocessing.mean, preprocessing.std)), opened.bundle.logits(thumbnail))
        for who, logits in zip(right, said, strict=True):
            who.append(logits.argmax(dim=1) == batch.label)
    by_teacher, by_student = (torch.cat(parts).double().numpy() for parts in right)
    return by_teacher, by_student


def accuracies(
    by_teacher: Float64[np.ndarray, " pictures"], by_student: Float64[np.ndarray, " pictures"]
) -> dict[str, Any]:
    """Top-1 of both as shares of 1, and what the student keeps of the teacher's."""
    kept = paired_ratio(by_student[None], by_teacher[None])
    return {
        "teacher_top1": float(by_teacher.mean()),
        "student_top1": float(by_student.mean()),
        "retention": None if kept is None else asdict(kept),
    }


if __name__ == "__main__":
    main()
