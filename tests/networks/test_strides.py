"""Strided steps: found with all their branches, kept one at a time, and dilated after, without a change of weights."""

import copy

import pytest
import torch
from torch import Tensor, nn

from thumbnet.networks.strides import dilate_after, keep_step, strided_steps
from thumbnet.networks.taps import trace_layers
from thumbnet.profiling import count_macs


class Branches(nn.Module):
    """A stem, then a block whose shortcut has a stride of its own, then a dilatable last stage: 32 → 16 → 8 → 4 px."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.main = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(4, 8, 1))
        self.last = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1))
        self.head = nn.Linear(8, 2)

    def forward(self, image: Tensor) -> Tensor:
        stem = self.stem(image)
        features: Tensor = self.last(self.main(stem) + self.shortcut(stem))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


@pytest.fixture
def branches() -> nn.Module:
    torch.manual_seed(0)
    return Branches().eval()


def widths(network: nn.Module, side: int = 32) -> dict[str, int]:
    return {trace.name: trace.shape[-1] for trace in trace_layers(network, side) if trace.is_map}


def test_a_step_is_all_layers_that_make_it_those_of_a_shortcut_included(branches: nn.Module) -> None:
    steps = strided_steps(branches, trace_layers(branches, 32))
    assert [set(step.layers) for step in steps] == [{"stem"}, {"main", "shortcut.0"}, {"last.0"}]
    assert [(step.side_before, step.side_after) for step in steps] == [(32, 16), (16, 8), (8, 4)]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, {"stem": 32, "main": 16, "shortcut": 16, "last": 8}),
        (2, {"stem": 16, "main": 16, "shortcut": 16, "last": 8}),
        (3, {"stem": 16, "main": 8, "shortcut": 8, "last": 8}),
    ],
)
def test_a_kept_step_makes_finer_what_comes_after_it_alone(
    branches: nn.Module, number: int, expected: dict[str, int]
) -> None:
    weights = copy.deepcopy(branches.state_dict())
    keep_step(branches, strided_steps(branches, trace_layers(branches, 32))[number - 1])
    found = widths(branches)
    # The shortcut's pool is inside a padding layer now; its names are asked for by their blocks.
    assert {name: found[name] for name in expected} == expected
    assert list(branches.state_dict()) == list(weights)
    assert all(torch.equal(value, weights[name]) for name, value in branches.state_dict().items())


def test_a_kept_step_answers_at_every_second_place_as_before(branches: nn.Module) -> None:
    image = torch.rand(1, 3, 32, 32)
    before = branches.get_submodule("stem")(image)
    keep_step(branches, strided_steps(branches, trace_layers(branches, 32))[0])
    assert torch.allclose(branches.get_submodule("stem")(image)[..., ::2, ::2], before, atol=1e-6)


def test_a_dilated_last_stage_sees_as_far_as_before(branches: nn.Module) -> None:
    features = torch.rand(1, 8, 8, 8)
    before = branches.get_submodule("last")(features)
    traces = trace_layers(branches, 32)
    last = strided_steps(branches, traces)[-1]
    keep_step(branches, last)
    dilate_after(branches, traces, last)
    after = branches.get_submodule("last")(features)
    assert after.shape[-1] == 2 * before.shape[-1]
    assert torch.allclose(after[..., ::2, ::2], before, atol=1e-6)
    assert branches.get_submodule("last.0").dilation == (1, 1)
    assert branches.get_submodule("main").dilation == (1, 1)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 3, 2, stride=2),
        nn.Conv2d(3, 3, 4, stride=4),
        nn.Conv2d(3, 3, 3, stride=2, padding=1),
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        nn.AvgPool2d(2),
    ],
    ids=str,
)
def test_every_kind_of_layer_gets_twice_the_width(layer: nn.Module) -> None:
    network = nn.Sequential(nn.Identity(), layer)
    before = widths(network)["1"]
    keep_step(network, strided_steps(network, trace_layers(network, 32))[0])
    assert widths(network)["1"] == 2 * before


def test_a_convolution_without_padding_is_no_step() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, stride=2, padding=1))
    assert [step.layers for step in strided_steps(network, trace_layers(network, 32))] == [("1",)]


def test_efficientnet_lite0_becomes_finer_and_dearer_the_earlier_a_step_is_kept(
    efficientnet_lite0: nn.Module,
) -> None:
    steps = strided_steps(efficientnet_lite0, trace_layers(efficientnet_lite0, 224))
    assert [step.side_after for step in steps] == [112, 56, 28, 14, 7]
    macs = []
    for step in steps:
        finer = copy.deepcopy(efficientnet_lite0)
        keep_step(finer, step)
        assert widths(finer, 56)["blocks"] == 4
        macs.append(count_macs(finer, 56))
    assert macs == sorted(macs, reverse=True)
    assert macs[0] / 1e6 == pytest.approx(105.6, abs=0.1)
