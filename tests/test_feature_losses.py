"""Feature mapping and embedding matching: by hand, at the optimum, their gradients, and a literal transcription."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from loss_inputs import doubles, moments, pixels_of, seeds
from thumbnet import losses


def slow_feature_mapping(decoded: dict[str, Tensor], teacher: dict[str, Tensor]) -> float:
    terms = []
    for layer, features in decoded.items():
        own, wanted = pixels_of(features), pixels_of(teacher[layer])
        error = sum((s - t) ** 2 for s, t in zip(own, wanted, strict=True)) / len(own)
        terms.append(error / moments(wanted)[1])
    return sum(terms) / len(terms)


def test_feature_mapping_by_hand() -> None:
    teacher = {"a": torch.tensor([[[[0.0, 2.0]]]]), "b": torch.tensor([[[[0.0, 0.0], [4.0, 4.0]]]])}  # variances 1, 4
    decoded = {"a": torch.tensor([[[[0.0, 1.0]]]]), "b": torch.tensor([[[[2.0, 0.0], [4.0, 0.0]]]])}  # errors 1/2, 5
    assert losses.feature_mapping(decoded, teacher).item() == pytest.approx((1 / 2 / 1 + 5 / 4) / 2)


def test_feature_mapping_is_0_when_the_features_agree() -> None:
    features = {"a": doubles(0, 2, 4, 3, 3)}
    assert losses.feature_mapping(features, features).item() == 0


@pytest.mark.parametrize("unit", [0.01, 1.0, 100.0])
def test_predicting_the_mean_feature_costs_1_in_every_unit(unit: float) -> None:
    teacher = unit * doubles(0, 2, 4, 3, 3)
    mean = teacher.mean().expand_as(teacher)
    assert losses.feature_mapping({"a": mean}, {"a": teacher}).item() == pytest.approx(1)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, sides=st.lists(st.integers(2, 4), min_size=1, max_size=3))
def test_feature_mapping_equals_its_transcription(seed: int, sides: list[int]) -> None:
    decoded = {f"layer{i}": doubles(seed + i, 2, 3 + i, side, side) for i, side in enumerate(sides)}
    teacher = {f"layer{i}": doubles(seed - i + 9, 2, 3 + i, side, side) for i, side in enumerate(sides)}
    expected = slow_feature_mapping(decoded, teacher)
    assert losses.feature_mapping(decoded, teacher).item() == pytest.approx(expected)


def test_gradient_of_feature_mapping() -> None:
    teacher = {"a": doubles(0, 2, 3, 2, 2), "b": doubles(1, 2, 2, 4, 4)}

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return losses.feature_mapping({"a": a, "b": b}, teacher)

    given_features = doubles(2, 2, 3, 2, 2).requires_grad_(), doubles(3, 2, 2, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(loss, given_features)


def test_teacher_features_are_no_way_to_cheat_by_growing_their_variance() -> None:
    decoded, teacher = doubles(0, 1, 2, 2, 2), doubles(1, 1, 2, 2, 2).requires_grad_()
    losses.feature_mapping({"a": decoded}, {"a": teacher}).backward()
    error_only = -2 * (decoded - teacher.detach()) / teacher.numel() / teacher.detach().var(correction=0)
    assert teacher.grad is not None
    assert torch.allclose(teacher.grad, error_only)


def test_features_that_never_vary_do_not_divide_by_0() -> None:
    constant = torch.ones(1, 2, 2, 2)
    assert losses.feature_mapping({"a": constant + 0.001}, {"a": constant}).isfinite()


def test_only_the_decoded_layers_are_compared() -> None:
    teacher = {"unused": doubles(5, 2, 7, 6, 6), "a": doubles(0, 2, 3, 2, 2)}
    decoded = {"a": doubles(1, 2, 3, 2, 2)}
    expected = losses.feature_mapping(decoded, {"a": teacher["a"]})
    assert torch.equal(losses.feature_mapping(decoded, teacher), expected)


def test_without_a_layer_there_is_nothing_to_map() -> None:
    with pytest.raises(ValueError, match=r"no layer to compare; name one in feature_mapping\.layers"):
        losses.feature_mapping({}, {"a": torch.rand(1, 2, 2, 2)})


def test_feature_mapping_of_the_parts_of_a_batch_averages_to_the_whole_with_its_variance() -> None:
    decoded, wanted = doubles(0, 6, 2, 3, 3), doubles(1, 6, 2, 3, 3) * torch.arange(6).view(6, 1, 1, 1)
    whole = losses.feature_mapping({"a": decoded}, {"a": wanted})
    variances = {"a": wanted.var(correction=0)}
    parts = [losses.feature_mapping({"a": decoded[i]}, {"a": wanted[i]}, variances) for i in (slice(4), slice(4, 6))]
    assert (4 * parts[0] + 2 * parts[1]) / 6 == pytest.approx(whole)
    assert losses.feature_mapping({"a": decoded[:4]}, {"a": wanted[:4]}) != pytest.approx(parts[0])


def test_embedding_matching_by_hand() -> None:
    teacher = torch.tensor([[0.0, 2.0], [4.0, 6.0]])[:, :, None, None]  # variance 5
    student = torch.tensor([[1.0, 2.0], [4.0, 3.0]])[:, :, None, None]
    assert losses.embedding_matching(student, teacher).item() == pytest.approx((1 + 9) / 4 / 5)
    assert losses.embedding_matching(student, teacher, torch.tensor(2.0)).item() == pytest.approx((1 + 9) / 4 / 2)
    assert losses.embedding_matching(teacher, teacher).item() == 0


def test_gradient_of_embedding_matching() -> None:
    teacher = doubles(1, 3, 4, 1, 1)
    student = doubles(2, 3, 4, 1, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda own: losses.embedding_matching(own, teacher), (student,))
