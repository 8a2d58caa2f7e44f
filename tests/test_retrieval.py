"""Nearest neighbours: values counted by hand, and a slow transcription."""

import pytest
import torch

from thumbnet import retrieval as module
from thumbnet.retrieval import retrieval


def test_a_ranking_has_the_precisions_that_one_counts_by_hand() -> None:
    angles = torch.tensor([0.0, 10.0, 20.0, 35.0, 60.0]).deg2rad()
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    found = retrieval(features, torch.tensor([0, 1, 0, 1, 0]))
    # Picture 0 finds, in this order, pictures 1, 2, 3, 4: of its class are the second and the fourth.
    assert found.precision_at_1[0] == 0
    assert found.precision_at_5[0] == pytest.approx(2 / 4)
    assert found.average_precision[0] == pytest.approx((1 / 2 + 2 / 4) / 2)


def test_classes_that_lie_apart_are_found_entirely() -> None:
    labels = torch.arange(3).repeat_interleave(4)
    features = torch.eye(3)[labels] + 0.01 * torch.rand(12, 3, generator=torch.Generator().manual_seed(0))
    found = retrieval(features, labels)
    assert found.precision_at_1.tolist() == [1.0] * 12
    assert found.average_precision.tolist() == pytest.approx([1.0] * 12)
    assert found.precision_at_5.tolist() == pytest.approx([3 / 5] * 12)


def test_length_does_not_count_and_a_class_of_one_finds_nothing() -> None:
    features = torch.rand(9, 4, generator=torch.Generator().manual_seed(1)) + 0.1
    labels = torch.tensor([0, 0, 1, 1, 0, 1, 0, 1, 2])
    longer = features * torch.arange(1, 10)[:, None]
    for first, second in zip(retrieval(features, labels), retrieval(longer, labels), strict=True):
        torch.testing.assert_close(first, second)
    assert [float(values[8]) for values in retrieval(features, labels)] == [0, 0, 0]


def test_queries_in_parts_find_what_they_find_together(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(23, 5, generator=generator)
    labels = torch.randint(3, (23,), generator=generator)
    whole = retrieval(features, labels)
    monkeypatch.setattr(module, "QUERIES_AT_A_TIME", 4)
    for first, second in zip(whole, retrieval(features, labels), strict=True):
        assert torch.equal(first, second)


def test_it_is_what_torchmetrics_says_of_each_query() -> None:
    from torchmetrics.functional.retrieval import retrieval_average_precision, retrieval_precision

    generator = torch.Generator().manual_seed(3)
    features = torch.randn(30, 6, generator=generator)
    labels = torch.randint(4, (30,), generator=generator)
    found = retrieval(features, labels)
    directions = features / features.norm(dim=1, keepdim=True)
    for query in range(30):
        others = torch.arange(30) != query
        # torchmetrics takes a similarity below 0 for no answer at all.
        similarity, same = 1 + (directions @ directions[query])[others], (labels == labels[query])[others]
        assert found.average_precision[query] == pytest.approx(float(retrieval_average_precision(similarity, same)))
        assert found.precision_at_5[query] == pytest.approx(float(retrieval_precision(similarity, same, top_k=5)))
