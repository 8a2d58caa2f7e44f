"""MULLER."""

import pytest
import torch
from torch import nn
from torchvision.transforms.v2.functional import gaussian_blur

from thumbnet.networks.downscaler import FixedDownscaler
from thumbnet.networks.filters import AntialiasedResize
from thumbnet.networks.muller import MullerResizer


def test_it_has_four_numbers_to_learn_and_starts_at_the_bicubic_thumbnail() -> None:
    resizer = MullerResizer(4)
    assert sum(parameter.numel() for parameter in resizer.parameters()) == 4
    image = torch.rand(2, 3, 32, 24)
    assert torch.equal(resizer(image), FixedDownscaler(4, "bicubic")(image))


def test_it_is_the_equation_of_its_docstring_with_the_papers_blur_at_ratio_2() -> None:
    torch.manual_seed(0)
    resizer, resize = MullerResizer(2), AntialiasedResize(2, "bicubic")
    nn.init.normal_(resizer.scales)
    nn.init.normal_(resizer.shifts, std=0.1)
    image = torch.rand(1, 3, 24, 24)
    thumbnail, finer = resize(image), image
    for scale, shift in zip(resizer.scales, resizer.shifts, strict=True):
        # torchvision mirrors the border where this replicates it: compared inside.
        coarser = gaussian_blur(finer, [5, 5], [1.0, 1.0])
        thumbnail = thumbnail + torch.tanh(scale * resize(finer - coarser) + shift)
        finer = coarser
    inside = (..., slice(4, -4), slice(4, -4))
    assert torch.allclose(resizer(image)[inside], thumbnail.clamp(0, 1)[inside], atol=1e-5)
    assert (resizer(image) - resize(image)).abs().max() > 0.05


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_its_scale_sharpens_or_softens_an_edge(sign: float) -> None:
    resizer = MullerResizer(4)
    nn.init.constant_(resizer.scales, sign)
    image = torch.full((1, 3, 32, 32), 0.3)
    image[..., 16:] = 0.7
    contrast = resizer(image).std() - FixedDownscaler(4, "bicubic")(image).std()
    assert contrast * sign > 0
