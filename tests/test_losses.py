"""The paper's losses: each against a value by hand, its optimum, its gradient, and a literal transcription."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from loss_inputs import doubles, moments, pixels_of, seeds
from thumbnet import losses

MomentLoss = Callable[[Tensor, Tensor], Tensor]
moment_losses = pytest.mark.parametrize(
    "loss",
    [losses.moment_matching, losses.moment_matching_std, lambda t, i: losses.local_moment_matching(t, i, window=2)],
    ids=["mm", "mm_std", "mm_local"],
)


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


def test_layer_matching_is_the_share_of_each_channels_variance_that_is_missed() -> None:
    wanted = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 10.0]).view(
        2, 1, 1
    )
    means = wanted.mean((0, 2, 3), keepdim=True).expand_as(wanted)
    assert losses.layer_matching(wanted, wanted) == 0
    # Nothing but the mean is there: all is missed of the large channel, and of the small one what the floor leaves.
    assert 0.75 < float(losses.layer_matching(means, wanted)) < 0.85
    assert losses.layer_matching(3 * means + 5, 3 * wanted + 5) == pytest.approx(
        float(losses.layer_matching(means, wanted)), rel=1e-4
    )


def test_a_channel_that_is_always_the_same_counts_nothing_in_layer_matching() -> None:
    wanted = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.0, 1.0]).view(
        2, 1, 1
    )
    own = wanted.clone()
    own[:, 0] = 1e-3
    assert losses.layer_matching(own, wanted) < 1e-3


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
