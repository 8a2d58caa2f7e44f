"""The paper's losses: each against a value by hand, its optimum, its gradient, and a literal transcription."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from thumbnet import losses

MomentLoss = Callable[[Tensor, Tensor], Tensor]
moment_losses = pytest.mark.parametrize(
    "loss",
    [losses.moment_matching, losses.moment_matching_std, lambda t, i: losses.local_moment_matching(t, i, window=2)],
    ids=["mm", "mm_std", "mm_local"],
)
seeds = st.integers(0, 2**16)


def doubles(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moments(pixels: list[float]) -> tuple[float, float]:
    mean = sum(pixels) / len(pixels)
    return mean, sum((pixel - mean) ** 2 for pixel in pixels) / len(pixels)


def pixels_of(plane: Tensor) -> list[float]:
    values: list[float] = plane.flatten().tolist()
    return values


def slow_moment_matching(thumbnail: Tensor, image: Tensor, square_root: bool) -> float:
    terms = []
    for small, large in zip(thumbnail.flatten(0, 1), image.flatten(0, 1), strict=True):
        small_mean, small_spread = moments(pixels_of(small))
        mean, spread = moments(pixels_of(large))
        if square_root:
            small_spread, spread = math.sqrt(small_spread + 1e-6), math.sqrt(spread + 1e-6)
        terms.append((small_mean - mean) ** 2 + (small_spread - spread) ** 2)
    return sum(terms) / len(terms)


def slow_local_moment_matching(thumbnail: Tensor, image: Tensor, window: int) -> float:
    ratio = image.shape[-1] // thumbnail.shape[-1]
    terms = []
    for row in range(0, thumbnail.shape[-2] - window + 1, window):
        for column in range(0, thumbnail.shape[-1] - window + 1, window):
            small = thumbnail[..., row : row + window, column : column + window]
            rows, columns = slice(row * ratio, (row + window) * ratio), slice(column * ratio, (column + window) * ratio)
            terms.append(slow_moment_matching(small, image[..., rows, columns], square_root=False))
    return sum(terms) / len(terms)


def slow_softmax(logits: list[float], temperature: float) -> list[float]:
    exponentials = [math.exp(logit / temperature) for logit in logits]
    return [value / sum(exponentials) for value in exponentials]


def slow_classification(logits: Tensor, label: Tensor, smoothing: float) -> float:
    terms = []
    for row, correct in zip(logits.tolist(), label.tolist(), strict=True):
        for index, share in enumerate(slow_softmax(row, 1.0)):
            wanted = smoothing / len(row) + (1 - smoothing) * (index == correct)
            terms.append(-wanted * math.log(share))
    return sum(terms) / len(logits)


def slow_knowledge_distillation(student: Tensor, teacher: Tensor, temperature: float) -> float:
    terms = []
    for own, wanted in zip(student.tolist(), teacher.tolist(), strict=True):
        shares = zip(slow_softmax(wanted, temperature), slow_softmax(own, temperature), strict=True)
        terms.append(-sum(p * math.log(q) for p, q in shares))
    return temperature**2 * sum(terms) / len(terms)


def slow_feature_mapping(decoded: dict[str, Tensor], teacher: dict[str, Tensor]) -> float:
    terms = []
    for layer, features in decoded.items():
        own, wanted = pixels_of(features), pixels_of(teacher[layer])
        error = sum((s - t) ** 2 for s, t in zip(own, wanted, strict=True)) / len(own)
        terms.append(error / moments(wanted)[1])
    return sum(terms) / len(terms)


# Moment matching ------------------------------------------------------------------------------------------------------


def test_moment_matching_by_hand() -> None:
    thumbnail = torch.tensor([[[[0.0, 1.0]]]])  # mean 1/2, variance 1/4
    image = torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]])  # mean 1/4, variance 3/16
    expected = (1 / 2 - 1 / 4) ** 2 + (1 / 4 - 3 / 16) ** 2
    assert losses.moment_matching(thumbnail, image).item() == pytest.approx(expected)


def test_moment_matching_of_standard_deviations_by_hand() -> None:
    thumbnail = torch.tensor([[[[0.0, 1.0]]]])
    image = torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]])
    expected = (1 / 2 - 1 / 4) ** 2 + (1 / 2 - math.sqrt(3) / 4) ** 2
    assert losses.moment_matching_std(thumbnail, image).item() == pytest.approx(expected, abs=1e-6)


def test_local_moment_matching_by_hand() -> None:
    # Two cells of one thumbnail pixel and 2×2 image pixels; only the second differs, by mean 1/4 and variance 3/16.
    thumbnail = torch.tensor([[[[1.0, 0.0]]]])
    image = torch.tensor([[[[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0]]]])
    expected = ((1 / 4) ** 2 + (3 / 16) ** 2) / 2
    assert losses.local_moment_matching(thumbnail, image, window=1).item() == pytest.approx(expected)


@moment_losses
@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_moments_agree_when_every_thumbnail_pixel_is_a_block_of_the_image(loss: MomentLoss, ratio: int) -> None:
    thumbnail = doubles(0, 2, 3, 4, 4)
    image = thumbnail.repeat_interleave(ratio, 2).repeat_interleave(ratio, 3)
    assert loss(thumbnail, image).item() == pytest.approx(0, abs=1e-15)
    assert loss(thumbnail.flip(0), image).item() > 1e-5


def test_moments_of_the_whole_do_not_see_where_pixels_are_and_local_ones_do() -> None:
    image = doubles(0, 1, 3, 8, 8)
    shuffled = image.flatten(2)[..., torch.randperm(64)].view_as(image)
    assert losses.moment_matching(shuffled, image).item() == pytest.approx(0, abs=1e-15)
    assert losses.local_moment_matching(shuffled, image, window=2).item() > 1e-4


@settings(max_examples=20, deadline=None)
@given(seed=seeds, batch=st.integers(1, 3), ratio=st.integers(1, 4), rows=st.integers(2, 5), columns=st.integers(2, 5))
def test_moment_matching_equals_its_transcription(seed: int, batch: int, ratio: int, rows: int, columns: int) -> None:
    thumbnail, image = (
        doubles(seed, batch, 3, rows, columns),
        doubles(seed + 1, batch, 3, rows * ratio, columns * ratio),
    )
    for loss, square_root in ((losses.moment_matching, False), (losses.moment_matching_std, True)):
        assert loss(thumbnail, image).item() == pytest.approx(slow_moment_matching(thumbnail, image, square_root))
    local = losses.local_moment_matching(thumbnail, image, window=2).item()
    assert local == pytest.approx(slow_local_moment_matching(thumbnail, image, window=2))


@moment_losses
def test_gradients_of_moment_matching(loss: MomentLoss) -> None:
    thumbnail, image = doubles(0, 2, 3, 4, 4).requires_grad_(), doubles(1, 2, 3, 8, 8).requires_grad_()
    assert torch.autograd.gradcheck(loss, (thumbnail, image))


def test_moments_of_a_flat_thumbnail_have_a_finite_gradient() -> None:
    flat = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    losses.moment_matching_std(flat, torch.rand(1, 3, 8, 8)).backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_a_window_larger_than_the_thumbnail_is_refused() -> None:
    with pytest.raises(ValueError, match="window is 8 px, larger than the thumbnail's 4 px"):
        losses.local_moment_matching(torch.rand(1, 3, 4, 6), torch.rand(1, 3, 8, 12), window=8)


# Classification -------------------------------------------------------------------------------------------------------


def test_classification_by_hand() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])  # shares 3/4, 1/4 and 1/2, 1/2
    expected = (-math.log(1 / 4) - math.log(1 / 2)) / 2
    assert losses.classification(logits, torch.tensor([1, 0])).item() == pytest.approx(expected)


def test_classification_is_0_when_the_student_is_sure_and_right() -> None:
    assert losses.classification(torch.tensor([[100.0, 0.0]]), torch.tensor([0])).item() == 0


def test_classification_of_an_even_answer_is_the_log_of_the_number_of_classes() -> None:
    assert losses.classification(torch.zeros(3, 7), torch.tensor([0, 3, 6])).item() == pytest.approx(math.log(7))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, batch=st.integers(1, 4), classes=st.integers(2, 6), smoothing=st.floats(0, 0.9))
def test_classification_equals_its_transcription(seed: int, batch: int, classes: int, smoothing: float) -> None:
    logits, label = 6 * doubles(seed, batch, classes) - 3, (doubles(seed + 1, batch) * classes).long()
    expected = slow_classification(logits, label, smoothing)
    assert losses.classification(logits, label, smoothing).item() == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradient_of_classification(smoothing: float) -> None:
    logits, label = doubles(0, 3, 5).requires_grad_(), torch.tensor([0, 4, 2])
    assert torch.autograd.gradcheck(lambda given: losses.classification(given, label, smoothing), logits)


# Knowledge distillation -----------------------------------------------------------------------------------------------


def test_knowledge_distillation_by_hand() -> None:
    teacher = torch.tensor([[2 * math.log(3.0), 0.0]])  # at temperature 2: 3/4, 1/4
    student = torch.tensor([[0.0, 2 * math.log(4.0)]])  # at temperature 2: 1/5, 4/5
    expected = -4 * (3 / 4 * math.log(1 / 5) + 1 / 4 * math.log(4 / 5))
    assert losses.knowledge_distillation(student, teacher, temperature=2.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 4.0])
def test_knowledge_distillation_at_the_teachers_answer_is_its_entropy_and_not_0(temperature: float) -> None:
    logits = 8 * doubles(0, 4, 5)
    shares = [slow_softmax(row, temperature) for row in logits.tolist()]
    entropy = sum(-p * math.log(p) for row in shares for p in row) / 4
    value = losses.knowledge_distillation(logits, logits, temperature).item()
    assert value == pytest.approx(temperature**2 * entropy)
    assert value > 0


@settings(max_examples=30, deadline=None)
@given(seed=seeds, temperature=st.floats(0.5, 8), size=st.floats(0, 10))
def test_no_other_answer_costs_less_than_the_teachers_own(seed: int, temperature: float, size: float) -> None:
    teacher, student = size * doubles(seed, 3, 4), size * doubles(seed + 1, 3, 4)
    least = losses.knowledge_distillation(teacher, teacher, temperature)
    assert losses.knowledge_distillation(student, teacher, temperature) >= least - 1e-9


def test_knowledge_distillation_rests_at_the_teachers_answer() -> None:
    logits = doubles(0, 3, 5)
    student = logits.clone().requires_grad_()
    losses.knowledge_distillation(student, logits, temperature=3.0).backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-12


@settings(max_examples=20, deadline=None)
@given(seed=seeds, batch=st.integers(1, 4), classes=st.integers(2, 6), temperature=st.floats(0.5, 8))
def test_knowledge_distillation_equals_its_transcription(
    seed: int, batch: int, classes: int, temperature: float
) -> None:
    student, teacher = 6 * doubles(seed, batch, classes) - 3, 6 * doubles(seed + 1, batch, classes) - 3
    expected = slow_knowledge_distillation(student, teacher, temperature)
    assert losses.knowledge_distillation(student, teacher, temperature).item() == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_gradients_of_knowledge_distillation(temperature: float) -> None:
    student, teacher = doubles(0, 3, 5).requires_grad_(), doubles(1, 3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: losses.knowledge_distillation(s, t, temperature), (student, teacher))


def test_the_square_of_the_temperature_keeps_the_gradients_size() -> None:
    sizes = []
    for temperature in (10.0, 100.0):
        student = doubles(0, 3, 5).requires_grad_()
        losses.knowledge_distillation(student, doubles(1, 3, 5), temperature).backward()
        assert student.grad is not None
        sizes.append(student.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


# Feature mapping ------------------------------------------------------------------------------------------------------


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


# Several labels a picture ---------------------------------------------------------------------------------------------


def slow_multilabel_classification(student: Tensor, label: Tensor, smoothing: float) -> float:
    """Mean over pictures and classes of -(y log p + (1 - y) log(1 - p)) with p = 1 / (1 + exp(-logit))."""
    total = 0.0
    for logits, wanted in zip(student.tolist(), label.tolist(), strict=True):
        for logit, y in zip(logits, wanted, strict=True):
            p, smoothed = 1 / (1 + math.exp(-logit)), y * (1 - smoothing) + smoothing / 2
            total -= smoothed * math.log(p) + (1 - smoothed) * math.log(1 - p)
    return total / student.numel()


def slow_multilabel_distillation(student: Tensor, teacher: Tensor, temperature: float) -> float:
    """temperature² · the same with the teacher's softened answers as labels."""
    label = 1 / (1 + torch.exp(-teacher / temperature))
    return slow_multilabel_classification(student / temperature, label, 0.0) * temperature**2


def test_multilabel_classification_by_hand() -> None:
    student = torch.tensor([[0.0, math.log(3.0)]])  # probabilities 1/2 and 3/4
    found = losses.multilabel_classification(student, torch.tensor([[1.0, 0.0]]))
    assert found.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_multilabel_distillation_by_hand() -> None:
    student, teacher = torch.tensor([[0.0]]), torch.tensor([[2 * math.log(3.0)]])  # 1/2 and, softened by 2, 3/4
    assert losses.multilabel_distillation(student, teacher, temperature=2.0).item() == pytest.approx(4 * math.log(2))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, smoothing=st.floats(0, 0.9), temperature=st.floats(0.5, 8))
def test_multilabel_losses_equal_their_transcriptions(seed: int, smoothing: float, temperature: float) -> None:
    student, teacher = doubles(seed, 3, 5), doubles(seed + 1, 3, 5)
    label = (doubles(seed + 2, 3, 5) > 0).double()
    found = losses.multilabel_classification(student, label, smoothing)
    assert found.item() == pytest.approx(slow_multilabel_classification(student, label, smoothing))
    distilled = losses.multilabel_distillation(student, teacher, temperature)
    assert distilled.item() == pytest.approx(slow_multilabel_distillation(student, teacher, temperature))


def test_multilabel_classification_is_0_for_a_sure_right_answer() -> None:
    label = torch.tensor([[1.0, 0.0, 1.0]])
    assert losses.multilabel_classification(200 * label - 100, label).item() == pytest.approx(0, abs=1e-6)


def test_multilabel_distillation_is_smallest_where_student_and_teacher_agree() -> None:
    teacher = doubles(0, 3, 5)
    student = teacher.clone().requires_grad_()
    value = losses.multilabel_distillation(student, teacher, temperature=3.0)
    value.backward()
    assert student.grad is not None
    assert student.grad.abs().max().item() < 1e-12
    softened = torch.sigmoid(teacher / 3)
    entropy = -(softened * softened.log() + (1 - softened) * (1 - softened).log()).mean()
    assert value.item() == pytest.approx(9 * entropy.item())


def test_a_label_says_nothing_of_the_others() -> None:
    """Each yes or no stands alone: where one class is missed, only its own logit is moved."""
    student = torch.zeros(1, 3, requires_grad=True)
    losses.multilabel_classification(student, torch.tensor([[0.5, 1.0, 0.5]])).backward()
    assert student.grad is not None
    assert student.grad.tolist() == [[0, pytest.approx(-0.5 / 3), 0]]


def test_gradients_of_the_multilabel_losses() -> None:
    student, teacher = doubles(0, 2, 4).requires_grad_(), doubles(1, 2, 4).requires_grad_()
    label = (doubles(2, 2, 4) > 0).double()
    assert torch.autograd.gradcheck(lambda s: losses.multilabel_classification(s, label, 0.1), (student,))
    assert torch.autograd.gradcheck(lambda s, t: losses.multilabel_distillation(s, t, 2.0), (student, teacher))


def test_shares_of_classes_are_labels_too() -> None:
    student, label = doubles(0, 3, 4), torch.softmax(doubles(1, 3, 4), dim=1)
    expected = -(label * torch.log_softmax(student, dim=1)).sum(dim=1).mean()
    assert losses.classification(student, label).item() == pytest.approx(expected.item())


# Precision ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(precision: torch.dtype) -> None:
    thumbnail, image = doubles(0, 2, 3, 8, 8).to(precision), doubles(1, 2, 3, 16, 16).to(precision)
    student, teacher = (20 * doubles(2, 4, 9)).to(precision), (20 * doubles(3, 4, 9)).to(precision)
    features, wanted = {"a": doubles(4, 2, 3, 4, 4).to(precision)}, {"a": doubles(5, 2, 3, 4, 4).to(precision)}
    label = torch.tensor([0, 1, 2, 8])

    def values() -> list[Tensor]:
        return [
            losses.moment_matching(thumbnail, image),
            losses.moment_matching_std(thumbnail, image),
            losses.local_moment_matching(thumbnail, image),
            losses.classification(student, label),
            losses.knowledge_distillation(student, teacher, temperature=2.0),
            losses.feature_mapping(features, wanted),
            losses.multilabel_classification(student, (teacher > 0).float()),
            losses.multilabel_distillation(student, teacher, temperature=2.0),
        ]

    half = values()
    assert all(value.dtype == torch.float32 for value in half)
    thumbnail, image, student, teacher = thumbnail.float(), image.float(), student.float(), teacher.float()
    features, wanted = {"a": features["a"].float()}, {"a": wanted["a"].float()}
    assert all(torch.equal(value, full) for value, full in zip(half, values(), strict=True))


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
