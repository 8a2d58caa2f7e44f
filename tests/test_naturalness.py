"""Distances from the plain thumbnail: known values, and a slow transcription of the equations."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from thumbnet.naturalness import (
    colour_difference,
    naturalness,
    naturalness_by_picture,
    structural_similarity,
    to_lab,
)


def random_pair(side: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(2, 3, side, side, generator=generator)
    return first, (first + 0.2 * torch.rand(first.shape, generator=generator)).clamp(0, 1)


def colour(red: float, green: float, blue: float) -> Tensor:
    return torch.tensor([red, green, blue], dtype=torch.float32).view(1, 3, 1, 1)


# Lindbloom's tables of sRGB under D65.
@pytest.mark.parametrize(
    ("srgb", "lab"),
    [
        ((1, 1, 1), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0.0, 0.0)),
    ],
)
def test_known_colours_have_their_place_in_cielab(srgb: tuple[float, ...], lab: tuple[float, ...]) -> None:
    found = to_lab(colour(*srgb)).flatten().tolist()
    assert found == pytest.approx(lab, abs=0.01)


def test_black_and_white_are_100_apart_and_a_colour_is_0_from_itself() -> None:
    assert colour_difference(colour(0, 0, 0), colour(1, 1, 1)).item() == pytest.approx(100, abs=1e-3)
    assert colour_difference(colour(0.2, 0.9, 0.4), colour(0.2, 0.9, 0.4)).item() == 0


def test_a_thumbnail_is_entirely_like_itself() -> None:
    first, _ = random_pair()
    same = naturalness([naturalness_by_picture(first, first)])
    assert same == {"ssim": pytest.approx(1), "delta_e": 0, "levels": 0, "psnr": None}


def test_a_flat_change_has_the_levels_and_psnr_that_one_computes_by_hand() -> None:
    grey = torch.full((3, 3, 8, 8), 0.5)
    found = naturalness([naturalness_by_picture(grey + 10 / 255, grey)])
    assert found["levels"] == pytest.approx(10, abs=1e-4)
    assert found["psnr"] == pytest.approx(20 * math.log10(25.5), abs=1e-3)


def test_similarity_is_what_the_equation_says() -> None:
    def transcribed(x: np.ndarray, y: np.ndarray) -> float:
        values = []
        x, y = (np.pad(values, ((0, 0), (3, 3), (3, 3)), mode="reflect") for values in (x, y))
        for channel in range(3):
            for top in range(x.shape[1] - 6):
                for left in range(x.shape[2] - 6):
                    a = x[channel, top : top + 7, left : left + 7]
                    b = y[channel, top : top + 7, left : left + 7]
                    covariance = ((a - a.mean()) * (b - b.mean())).mean()
                    numerator = (2 * a.mean() * b.mean() + 0.01**2) * (2 * covariance + 0.03**2)
                    values.append(
                        numerator / ((a.mean() ** 2 + b.mean() ** 2 + 0.01**2) * (a.var() + b.var() + 0.03**2))
                    )
        return float(np.mean(values))

    first, second = random_pair()
    found = structural_similarity(first, second)
    for one, x, y in zip(found.tolist(), first.double().numpy(), second.double().numpy(), strict=True):
        assert one == pytest.approx(transcribed(x, y), abs=1e-5)


@pytest.mark.parametrize("side", [1, 2, 3, 6, 7, 8])
def test_small_thumbnails_are_compared_too(side: int) -> None:
    first, second = random_pair(side)
    assert structural_similarity(first, first).tolist() == pytest.approx([1, 1])
    assert (structural_similarity(first, second) < 1).all()


def test_similarity_falls_with_the_distance() -> None:
    first, second = random_pair()
    halfway = (first + second) / 2
    assert (structural_similarity(first, halfway) > structural_similarity(first, second)).all()


def test_every_picture_counts_alike_however_they_are_divided() -> None:
    first, second = random_pair()
    whole = naturalness([naturalness_by_picture(first, second)])
    parts = naturalness([naturalness_by_picture(first[i : i + 1], second[i : i + 1]) for i in range(2)])
    assert parts == pytest.approx(whole)
