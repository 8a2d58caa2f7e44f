"""A student at several sides: one set of weights, batch norms for each side."""

import copy

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from thumbnet.config import DownscalerSettings, OptimizerSettings
from thumbnet.errors import NetworkError
from thumbnet.networks.downscaler import FixedDownscaler, build_downscaler, to_8bit
from thumbnet.networks.feature_mapping import FeatureMapping
from thumbnet.networks.multi_resolution import OtherSides
from thumbnet.networks.pair import Pair
from thumbnet.networks.taps import TappedNetwork
from thumbnet.optimization import build_optimizer

GREY = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def pair_of(network: nn.Module, ratios: tuple[int, ...] = (2, 8)) -> Pair:
    others = OtherSides(network, ratios, 32, *GREY)
    downscaler = build_downscaler(DownscalerSettings(kind="bicubic"), 4)
    return Pair(downscaler, TappedNetwork(network), FeatureMapping({}), *GREY, others)


def test_in_training_it_answers_at_every_side_and_at_evaluation_at_its_own(tiny_classifier: nn.Module) -> None:
    pair = pair_of(tiny_classifier)
    image = torch.rand(4, 3, 32, 32)
    assert [logits.shape for logits in pair.train()(image).other_logits] == [(4, 4), (4, 4)]
    assert pair.eval()(image).other_logits == ()


def test_another_sides_answer_is_the_networks_with_that_sides_norms(tiny_classifier: nn.Module) -> None:
    image = torch.rand(4, 3, 32, 32)
    alone = copy.deepcopy(tiny_classifier).train()
    thumbnail = to_8bit(FixedDownscaler(2, "bicubic")(image))
    (found,) = pair_of(tiny_classifier, (2,)).train()(image).other_logits
    assert torch.allclose(found, alone((thumbnail - 0.5) / 0.25), atol=1e-6)


def test_each_side_has_norms_of_its_own_and_the_student_keeps_its_layers(tiny_classifier: nn.Module) -> None:
    pair = pair_of(tiny_classifier).train()
    layers = list(tiny_classifier.modules())
    before = copy.deepcopy(tiny_classifier.state_dict())
    assert pair.other_sides is not None
    pair.other_sides(tiny_classifier, torch.rand(4, 3, 32, 32))
    # The other sides moved their own statistics and left those of the side that ships.
    assert list(tiny_classifier.modules()) == layers
    assert all(torch.equal(value, before[name]) for name, value in tiny_classifier.state_dict().items())
    first, second = (norms.state_dict() for norms in pair.other_sides.norms)
    assert not torch.equal(first["0.running_mean"], second["0.running_mean"])
    assert not torch.equal(first["0.running_mean"], before["norm.running_mean"])


def test_shared_weights_learn_from_every_side_and_private_norms_from_theirs(tiny_classifier: nn.Module) -> None:
    pair = pair_of(tiny_classifier).train()
    assert pair.other_sides is not None
    optimizer = build_optimizer(pair, OptimizerSettings(), lr=0.01)
    before = copy.deepcopy(pair.state_dict())
    label = torch.tensor([0, 1, 2, 3])
    for logits in pair(torch.rand(4, 3, 32, 32)).other_logits:
        functional.cross_entropy(logits, label).backward()
    assert tiny_classifier.get_parameter("norm.weight").grad is None
    optimizer.step()
    changed = {
        name
        for name, value in pair.state_dict().items()
        if not torch.equal(value, before[name]) and not name.endswith(STATISTICS)
    }
    private = {
        f"other_sides.norms.{side}.{norm}.{of}" for side in (0, 1) for norm in (0, 1) for of in ("weight", "bias")
    }
    shared = {f"student.network.{name}" for name in ("stem.weight", "stage.0.weight", "head.weight", "head.bias")}
    assert changed == private | shared


def test_a_network_that_cannot_be_trained_so_says_why() -> None:
    without = nn.Sequential(nn.Conv2d(3, 4, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(NetworkError, match=r"student\.extra_ratios: the network has no batch norms; leave them out"):
        OtherSides(without, (2,), 32, *GREY)
    with pytest.raises(NetworkError, match=r"student\.extra_ratios: the network has"):
        OtherSides(timm.create_model("test_vit"), (2,), 160, *GREY)
    too_small = nn.Sequential(nn.Conv2d(3, 4, 5), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(NetworkError, match=r"student\.extra_ratios: student breaks at 4×4 px .*; leave out 8"):
        OtherSides(too_small, (2, 8), 32, *GREY)
