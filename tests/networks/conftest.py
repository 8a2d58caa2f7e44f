"""Tiny networks and pictures that the tests of this room share."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

SmoothImages = Callable[[int, int, int], Tensor]
FactoryModule = Callable[[str], str]


class TinyClassifier(nn.Module):
    """Two strided stages and a head: `stem` (8 channels, side / 2), `stage` (16 channels, side / 4), 4 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.stage = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.head = nn.Linear(16, 4)

    def forward(self, normalised: Tensor) -> Tensor:
        pooled: Tensor = self.stage(self.norm(self.stem(normalised)).relu()).mean(dim=(2, 3))
        logits: Tensor = self.head(pooled)
        return logits


@pytest.fixture
def tiny_classifier() -> nn.Module:
    torch.manual_seed(0)
    return TinyClassifier()


@pytest.fixture(scope="session")
def efficientnet_lite0() -> nn.Module:
    """The network whose costs the paper trail quotes, random weights, 2 classes; tests must not change it."""
    torch.manual_seed(0)
    network: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=2)
    return network.eval()


@pytest.fixture(scope="session")
def smooth_images() -> SmoothImages:
    """Images without detail: slow waves, another one for every picture and colour, values 0.1 to 0.9."""

    def draw(batch: int, height: int, width: int) -> Tensor:
        generator = torch.Generator().manual_seed(batch * height + width)
        phase = torch.rand(batch, 3, 1, 1, generator=generator) * 2 * math.pi
        turn = torch.rand(batch, 3, 1, 1, generator=generator) * 2 * math.pi
        rows = torch.linspace(0, 1, height).view(1, 1, -1, 1)
        columns = torch.linspace(0, 1, width).view(1, 1, 1, -1)
        return 0.5 + 0.4 * torch.cos(2 * math.pi * (turn.cos() * rows + turn.sin() * columns) + phase)

    return draw


@pytest.fixture
def factory_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FactoryModule:
    """Writes a module for `package.module:factory` and gives its name."""

    def write(source: str) -> str:
        name = f"made_by_{tmp_path.name.replace('-', '_')}"
        (tmp_path / f"{name}.py").write_text("import torch\nfrom torch import nn\n" + source)
        monkeypatch.syspath_prepend(tmp_path)
        return name

    return write
