"""Classifiers small enough to train in a test, as a user's own `package.module:factory`."""

import torch
from torch import nn


def two_stages(num_classes: int = 2, pretrained: bool = True) -> nn.Module:
    """A convolutional classifier with two strided stages; its weights are the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            _stage(3, 8),
            _stage(8, 16),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(16, num_classes),
        )


def thousand_classes() -> nn.Module:
    """A teacher whose class count fits no small data set."""
    return two_stages(num_classes=1000)


def explodes() -> nn.Module:
    """Answers with infinite logits, as a diverged network does."""
    network = two_stages()
    nn.init.constant_(network[-1].bias, float("inf"))  # type: ignore[arg-type]
    return network


def no_padding() -> nn.Module:
    """Shrinks by a fixed number of pixels, so it needs 17 px at least."""
    layers: list[nn.Module] = []
    for width_in in (3, 4, 4, 4):
        layers += [nn.Conv2d(width_in, 4, 5), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def _stage(width_in: int, width_out: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width_out), nn.ReLU()
    )


def without_dropout(num_classes: int = 2, pretrained: bool = True) -> nn.Module:
    """The same without dropout: several processes draw other numbers than one, and nothing else may differ."""
    network = two_stages(num_classes)
    return nn.Sequential(*(layer for layer in network if not isinstance(layer, nn.Dropout)))
