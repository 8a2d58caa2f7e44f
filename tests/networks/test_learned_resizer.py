"""The learned resizer of Talebi & Milanfar."""

import torch
from torch.nn import functional

from thumbnet.networks.learned_resizer import LearnedResizer


def test_it_starts_at_the_antialiased_bilinear_thumbnail() -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 32, 24)
    wanted = functional.interpolate(image, size=(8, 6), mode="bilinear", antialias=True)
    for training in (True, False):
        resizer = LearnedResizer(4, channels=8).train(training)
        assert torch.allclose(resizer(image), wanted, atol=1e-5)


def test_it_is_the_equation_of_its_docstring() -> None:
    torch.manual_seed(0)
    resizer = LearnedResizer(2, channels=4, random_start=True).eval()
    image = torch.rand(1, 3, 12, 12)
    small = functional.interpolate(resizer.at_image_size(image), size=(6, 6), mode="bilinear", antialias=True)
    after = resizer.after_block(small + resizer.block(small)) + small
    resized = functional.interpolate(image, size=(6, 6), mode="bilinear", antialias=True)
    wanted = (resized + resizer.to_colours(after)).clamp(0, 1)
    assert torch.allclose(resizer(image), wanted, atol=1e-5)


def test_its_layers_are_those_of_the_paper() -> None:
    convolutions = [tuple(p.shape) for p in LearnedResizer(4, channels=16).parameters() if p.dim() == 4]
    assert convolutions == [(16, 3, 7, 7), (16, 16, 1, 1), *[(16, 16, 3, 3)] * 3, (3, 16, 7, 7)]
