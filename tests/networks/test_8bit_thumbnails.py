"""Thumbnails on the grid of an 8-bit picture."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from thumbnet.data.preprocessing import image_to_picture, picture_to_image
from thumbnet.networks.downscaler import (
    to_8bit,
)


@given(level=st.integers(0, 255), off=st.floats(-0.49, 0.49))
def test_8bit_takes_the_nearest_of_256_levels(level: int, off: float) -> None:
    thumbnail = torch.full((1, 3, 1, 1), (level + off) / 255)
    assert torch.equal(to_8bit(thumbnail), torch.full((1, 3, 1, 1), float(level)) / 255)


def test_8bit_cuts_what_no_picture_can_hold() -> None:
    beyond = torch.tensor([-1.0, -0.001, 1.001, 7.0]).expand(1, 3, 1, 4)
    assert to_8bit(beyond).unique().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("requires_grad", [True, False])
def test_8bit_thumbnail_survives_a_png_bit_for_bit(requires_grad: bool) -> None:
    torch.manual_seed(0)
    thumbnail = to_8bit(torch.rand(1, 3, 64, 64).requires_grad_(requires_grad))[0]
    file = io.BytesIO()
    image_to_picture(thumbnail).save(file, format="PNG")
    pixels = np.array(Image.open(file))
    assert torch.equal(thumbnail, torch.from_numpy(pixels).permute(2, 0, 1).float() / 255)
    assert torch.equal(thumbnail, picture_to_image(Image.open(file)))


def test_8bit_passes_gradients_straight_through() -> None:
    torch.manual_seed(0)
    thumbnail = torch.rand(1, 3, 4, 4, requires_grad=True)
    gradient = torch.randn(1, 3, 4, 4)
    to_8bit(thumbnail).backward(gradient)
    assert thumbnail.grad is not None
    assert torch.equal(thumbnail.grad, gradient)
