"""Classification and distillation label by label: by hand, their optimum, gradients, and literal transcriptions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from loss_inputs import doubles, seeds
from thumbnet import losses


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
