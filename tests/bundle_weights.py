"""The weights that a run ships, to compare runs by."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor


def weights(run: str | Path) -> dict[str, Tensor]:
    bundle = Path(run) / "bundle"
    return {**load_file(bundle / "student.safetensors"), **load_file(bundle / "downscaler.safetensors")}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
