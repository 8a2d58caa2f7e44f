"""E and S together."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from thumbnet.config import DownscalerKind, DownscalerSettings, StudentSettings
from thumbnet.networks.downscaler import build_downscaler
from thumbnet.networks.feature_mapping import FeatureMapping, build_decoders
from thumbnet.networks.pair import Pair
from thumbnet.networks.student import make_student
from thumbnet.networks.taps import TappedNetwork, trace_layers

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
BuildPair = Callable[[DownscalerKind], Pair]


@pytest.fixture
def build_pair(tiny_classifier: nn.Module) -> BuildPair:
    def build(kind: DownscalerKind) -> Pair:
        student = make_student(tiny_classifier, StudentSettings(), 32, 8)
        traces = trace_layers(tiny_classifier, 32), trace_layers(student, 8)
        mapping = FeatureMapping(build_decoders(*traces, ("stage",), channels=8))
        downscaler = build_downscaler(DownscalerSettings(kind=kind), 4)
        return Pair(downscaler, TappedNetwork(student, ("stage",)), mapping, MEAN, STD)

    return build


def on_the_grid(thumbnail: Tensor) -> bool:
    return torch.equal(thumbnail, (thumbnail * 255).round() / 255)


@pytest.mark.parametrize("kind", ["residual", "paper", "bicubic"])
def test_thumbnail_is_on_the_8bit_grid(build_pair: BuildPair, kind: DownscalerKind) -> None:
    thumbnail = build_pair(kind)(torch.rand(2, 3, 32, 32)).thumbnail
    assert thumbnail.shape == (2, 3, 8, 8)
    assert on_the_grid(thumbnail)
    assert thumbnail.min() >= 0
    assert thumbnail.max() <= 1


def test_without_8bit_training_only_training_is_off_the_grid(build_pair: BuildPair) -> None:
    pair = build_pair("residual")
    pair.eight_bit = False
    image = torch.rand(2, 3, 32, 32)
    assert not on_the_grid(pair(image).thumbnail)
    assert on_the_grid(pair.eval()(image).thumbnail)


def test_student_and_losses_see_the_thumbnail_as_it_was_stored(build_pair: BuildPair) -> None:
    pair = build_pair("residual").eval()
    output = pair(torch.rand(2, 3, 32, 32), lambda thumbnail: 1 - thumbnail)
    inverted = (output.thumbnail - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    assert torch.equal(output.logits, pair.student.network(inverted))


def test_student_sees_the_normalised_8bit_thumbnail_and_nothing_else(build_pair: BuildPair) -> None:
    pair = build_pair("residual").eval()
    output = pair(torch.rand(2, 3, 32, 32))
    normalised = (output.thumbnail - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    assert torch.equal(output.logits, pair.student.network(normalised))


def test_features_come_at_both_sizes(build_pair: BuildPair) -> None:
    output = build_pair("residual")(torch.rand(2, 3, 32, 32))
    assert output.features["stage"].shape == (2, 16, 2, 2)
    assert output.decoded["stage"].shape == (2, 16, 8, 8)


def test_thumbnail_stays_full_precision_under_bfloat16(build_pair: BuildPair) -> None:
    pair = build_pair("residual").eval()
    nn.init.ones_(pair.downscaler.get_parameter("correction.norm2.weight"))
    image = torch.rand(2, 3, 32, 32)
    wanted = pair(image).thumbnail
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = pair(image)
    assert output.logits.dtype == torch.bfloat16
    assert output.thumbnail.dtype == torch.float32
    assert on_the_grid(output.thumbnail)
    assert torch.equal(output.thumbnail, wanted)


@pytest.mark.parametrize("of", ["thumbnail", "logits", "decoded"])
def test_every_output_teaches_the_downscaler(build_pair: BuildPair, of: str) -> None:
    pair = build_pair("residual")
    output = pair(torch.rand(4, 3, 32, 32))
    value = output.decoded["stage"] if of == "decoded" else getattr(output, of)
    value.square().mean().backward()
    scale = pair.downscaler.get_parameter("correction.norm2.weight")
    assert scale.grad is not None
    assert scale.grad.any()
