"""The feature mapping: student features at the teacher's size."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from thumbnet.errors import NetworkError
from thumbnet.networks.feature_mapping import Decoder, FeatureMapping, build_decoders
from thumbnet.networks.taps import LayerTrace, TappedNetwork, trace_layers


def count(decoder: Decoder, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in decoder.modules())


@pytest.mark.parametrize(
    ("student_side", "teacher_side", "doublings"),
    [(2, 7, 2), (4, 7, 1), (7, 7, 0), (2, 4, 1), (1, 7, 3), (7, 28, 2), (5, 7, 1), (2, 14, 3)],
)
def test_one_transposed_convolution_a_doubling_and_the_teachers_exact_size(
    student_side: int, teacher_side: int, doublings: int
) -> None:
    decoder = Decoder((6, student_side, student_side), (10, teacher_side, teacher_side), channels=8)
    assert count(decoder, nn.ConvTranspose2d) == doublings
    assert all(module.stride == (2, 2) for module in decoder.modules() if isinstance(module, nn.ConvTranspose2d))
    assert decoder(torch.rand(2, 6, student_side, student_side)).shape == (2, 10, teacher_side, teacher_side)


@settings(max_examples=20, deadline=None)
@given(student=st.tuples(*[st.integers(1, 6)] * 2), teacher=st.tuples(*[st.integers(1, 13)] * 2))
def test_any_size_decodes_to_any_size(student: tuple[int, int], teacher: tuple[int, int]) -> None:
    decoder = Decoder((3, *student), (5, *teacher), channels=4).eval()
    assert decoder(torch.rand(1, 3, *student)).shape == (1, 5, *teacher)


def test_no_hidden_layer_is_wider_than_channels() -> None:
    decoder = Decoder((64, 1, 1), (32, 8, 8), channels=7)
    widths = [module.out_channels for module in decoder.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert widths == [7, 7, 32]


def test_every_decoder_weight_learns() -> None:
    decoder = Decoder((6, 2, 2), (10, 7, 7), channels=8)
    decoder(torch.randn(2, 6, 2, 2)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in decoder.parameters())


def test_layers_are_mapped_by_name(tiny_classifier: nn.Module) -> None:
    teacher, student = trace_layers(tiny_classifier, 28), trace_layers(tiny_classifier, 7)
    mapping = FeatureMapping(build_decoders(teacher, student, ("stage.2", "stem"), channels=16))
    _, features = TappedNetwork(tiny_classifier, ("stem", "stage.2"))(torch.rand(2, 3, 7, 7))
    decoded = mapping(features)
    assert {layer: tuple(value.shape) for layer, value in decoded.items()} == {
        "stem": (2, 8, 14, 14),
        "stage.2": (2, 16, 7, 7),
    }
    swapped = mapping(dict(reversed(features.items())))
    assert all(torch.equal(swapped[layer], decoded[layer]) for layer in decoded)


def test_without_layers_there_is_nothing_to_decode() -> None:
    mapping = FeatureMapping({})
    assert mapping({}) == {}
    assert not list(mapping.parameters())


def test_a_layer_without_height_and_width_is_refused_by_name(tiny_classifier: nn.Module) -> None:
    traces = trace_layers(tiny_classifier, 16)
    with pytest.raises(NetworkError, match=r"'head' gives \[4\], not channels × height × width"):
        build_decoders(traces, traces, ("stage", "head"), channels=8)


def test_a_layer_that_does_not_exist_is_refused_by_name(tiny_classifier: nn.Module) -> None:
    traces: list[LayerTrace] = trace_layers(tiny_classifier, 16)
    with pytest.raises(NetworkError, match=r"feature_mapping\.layers: 'stages' is not there; choose a convolutional"):
        build_decoders(traces, traces, ("stages",), channels=8)
