"""What a network computes, as a key of answers that are kept."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from thumbnet.networks.computation import LIBRARIES, computation_of, installed

FACTORY = """
import torch
from torch import nn

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, values):
        return torch.relu(self.layer(values))
"""


@pytest.fixture
def own_module(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "own_network.py"
    sys.modules.pop("own_network", None)


def imported(file: Path, code: str) -> ModuleType:
    file.write_text(code)
    spec = importlib.util.spec_from_file_location("own_network", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["own_network"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_same_network_has_the_same_key() -> None:
    assert computation_of(nn.Sequential(nn.ReLU())) == computation_of(nn.Sequential(nn.ReLU()))


def test_another_layer_without_weights_is_another_key() -> None:
    assert computation_of(nn.Sequential(nn.ReLU())) != computation_of(nn.Sequential(nn.Tanh()))
    assert computation_of(nn.BatchNorm2d(3, eps=1e-5)) != computation_of(nn.BatchNorm2d(3, eps=1e-3))


def test_another_forward_in_the_users_file_is_another_key(own_module: Path) -> None:
    before = computation_of(imported(own_module, FACTORY).Own())
    again = computation_of(imported(own_module, FACTORY).Own())
    # Another length, or the lines that Python remembers of the file would be taken for new.
    changed = computation_of(imported(own_module, FACTORY.replace("torch.relu", "torch.tanh") + "\n\n").Own())
    assert before == again != changed


def test_versions_are_part_of_the_key_and_an_optional_package_may_be_missing() -> None:
    assert set(LIBRARIES) < computation_of(nn.ReLU()).keys()
    assert installed("no-such-package") == ""
