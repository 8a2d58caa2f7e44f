"""What the tests of the losses share: random numbers in double precision, and moments by hand."""

import torch
from hypothesis import strategies as st
from torch import Tensor

seeds = st.integers(0, 2**16)


def doubles(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moments(pixels: list[float]) -> tuple[float, float]:
    mean = sum(pixels) / len(pixels)
    return mean, sum((pixel - mean) ** 2 for pixel in pixels) / len(pixels)


def pixels_of(plane: Tensor) -> list[float]:
    values: list[float] = plane.flatten().tolist()
    return values
