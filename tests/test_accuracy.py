"""What is said of logits beside labels of each kind."""

import pytest
import torch
from torch import Tensor

from thumbnet.accuracy import HEADLINES, accuracies, agreement, headline

CLASSES = ("a", "b", "c")


def average_precision(scores: list[float], present: list[int]) -> float:
    """The mean, over the pictures that have a label, of the precision among those ranked as high or higher."""
    ranked = [label for _, label in sorted(zip(scores, present, strict=True), reverse=True)]
    precisions = [sum(ranked[: i + 1]) / (i + 1) for i, label in enumerate(ranked) if label]
    return sum(precisions) / len(precisions)


@pytest.fixture
def logits() -> Tensor:
    return torch.tensor([[2.0, 1.0, -1.0], [-2.0, 1.5, -3.0], [0.5, -0.5, 1.0], [-1.0, 3.0, 2.0]])


def test_one_label_a_picture(logits: Tensor) -> None:
    found = accuracies(logits, torch.tensor([0, 1, 2, 2]), CLASSES)
    assert found == {"top1": 0.75, "top5": 1.0, "per_class": {"a": 1.0, "b": 1.0, "c": 0.5}}


def test_shares_count_as_their_largest(logits: Tensor) -> None:
    shares = torch.tensor([[0.6, 0.4, 0.0], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.0, 0.4, 0.6]])
    assert accuracies(logits, shares, CLASSES, "soft") == accuracies(logits, torch.tensor([0, 1, 2, 2]), CLASSES)


def test_classes_that_no_picture_has_are_not_listed(logits: Tensor) -> None:
    assert set(accuracies(logits, torch.tensor([0, 1, 1, 1]), CLASSES)["per_class"]) == {"a", "b"}


def test_several_labels_a_picture_by_hand(logits: Tensor) -> None:
    labels = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]])
    found = accuracies(logits, labels, CLASSES, "multi")
    by_class = {
        name: average_precision(logits[:, i].tolist(), labels[:, i].int().tolist()) for i, name in enumerate("ab")
    }
    assert found["per_class"] == pytest.approx(by_class)
    assert found["map"] == pytest.approx(sum(by_class.values()) / 2), "a class that no picture has does not count"
    # Positive logits: a in 0 and 2 (both right), b in 0, 1 and 3 (one right, one missed), c in 2 and 3 (none right).
    assert found["f1"] == pytest.approx(2 * 3 / (2 * 3 + 4 + 1))
    assert "top1" not in found


@pytest.mark.filterwarnings("error")
def test_one_class_or_none_that_occurs_is_measured_too(logits: Tensor) -> None:
    only = accuracies(logits[:, :1], torch.tensor([[1.0], [0], [1], [0]]), ("a",), "multi")
    assert only == {"map": 1.0, "f1": 1.0, "per_class": {"a": 1.0}}
    nothing = accuracies(logits, torch.zeros(4, 3), CLASSES, "multi")
    assert nothing == {"map": 0.0, "f1": 0.0, "per_class": {}}


def test_without_labels_nothing_is_said(logits: Tensor) -> None:
    assert accuracies(logits, torch.full((4,), -1), CLASSES, "none") == {}


def test_the_headline_is_the_metric_of_the_kind(logits: Tensor) -> None:
    labels = torch.tensor([0, 1, 2, 2])
    assert headline(logits, labels, CLASSES, "single") == 0.75
    rows = torch.eye(3)[labels]
    assert headline(logits, rows, CLASSES, "multi") == accuracies(logits, rows, CLASSES, "multi")["map"]
    assert headline(logits, rows, CLASSES, "soft") == 0.75
    assert headline(logits, labels, CLASSES, "none") == 0.75, "beside what the teacher said"
    assert HEADLINES.keys() == {"single", "soft", "multi", "none"}


def test_agreement_is_of_pictures_or_of_labels(logits: Tensor) -> None:
    others = logits.clone()
    others[0] = torch.tensor([1.0, 2.0, -1.0])
    assert agreement(logits, others) == 0.75
    assert agreement(logits, others, "multi") == 1.0
    assert agreement(logits, -logits, "multi") == 0.0
