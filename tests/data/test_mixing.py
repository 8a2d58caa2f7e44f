"""Mixup and cutmix: pictures and labels in the same shares, the same mix each time."""

from typing import Any

import pytest
import torch
from torch import Tensor

from thumbnet.config import MixSettings
from thumbnet.data.labelled import LabelKind
from thumbnet.data.mixing import BatchMix

CLASSES = 3
LABEL = torch.tensor([0, 1, 2, 1])
# Each picture is of one grey level of its own, so that shares can be read from the mix.
IMAGE = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(4, 1, 1, 1).expand(4, 3, 16, 16).contiguous()


def mixer(kind: LabelKind = "single", seed: int = 0, **settings: Any) -> BatchMix:
    return BatchMix(MixSettings(**settings), CLASSES, kind, seed)


def mixed(mix: BatchMix, label: Tensor = LABEL, epoch: int = 0, micro_batch: int = 0) -> tuple[Tensor, Tensor]:
    return mix(IMAGE, label, epoch, micro_batch)


def test_mixup_mixes_each_picture_with_its_neighbour_and_the_labels_in_the_same_shares() -> None:
    for number in range(20):
        image, shares = mixed(mixer(mixup=1.0), micro_batch=number)
        level, before = image[1, 0, 0, 0], (IMAGE[0, 0, 0, 0], IMAGE[1, 0, 0, 0])
        own = (level - before[0]) / (before[1] - before[0])
        assert image[1].min() == image[1].max()
        torch.testing.assert_close(shares[1], torch.stack([1 - own, own, torch.zeros(())]), atol=1e-6, rtol=0)
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(4))


def test_cutmix_replaces_one_rectangle_and_the_labels_follow_its_area() -> None:
    seen = set()
    for number in range(20):
        image, shares = mixed(mixer(cutmix=1.0), micro_batch=number)
        foreign = image[1, 0] == IMAGE[0, 0, 0, 0]
        assert bool(((image[1, 0] == IMAGE[1, 0, 0, 0]) | foreign).all()), "no pixel is a mix"
        torch.testing.assert_close(shares[1, 0], foreign.float().mean())
        seen.add(round(float(shares[1, 0]), 3))
    assert len(seen) > 5


def test_where_both_are_on_a_batch_draws_one_of_them() -> None:
    kinds = [len(mixed(mixer(mixup=1.0, cutmix=1.0), micro_batch=number)[0][1].unique()) for number in range(40)]
    assert {1, 2} <= set(kinds)


def test_only_the_given_share_of_the_batches_is_mixed() -> None:
    mix = mixer(mixup=1.0, probability=0.5)
    untouched = sum(mixed(mix, micro_batch=number)[0] is IMAGE for number in range(200))
    assert 70 < untouched < 130
    assert all(
        mixed(mix, micro_batch=number)[1] is LABEL for number in range(9) if mixed(mix, micro_batch=number)[0] is IMAGE
    )


def test_nothing_is_mixed_where_nothing_is_asked_for() -> None:
    assert mixed(mixer())[0] is IMAGE


def test_a_mix_is_the_same_each_time_and_leaves_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    mixes = [mixed(mixer(mixup=0.4), epoch=2, micro_batch=3)[0] for _ in range(2)]
    assert torch.equal(*mixes)
    assert torch.equal(state, torch.get_rng_state())
    others = [mixed(mixer(mixup=0.4, seed=seed), epoch=epoch)[0] for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert len({float(other[1, 0, 0, 0]) for other in others}) == 3


def test_pictures_without_labels_are_mixed_and_keep_none() -> None:
    label = torch.full((4,), -1)
    image, kept = mixed(mixer("none", mixup=1.0), label)
    assert kept is label
    assert not torch.equal(image, IMAGE)


@pytest.mark.parametrize("kind", ["soft", "multi"])
def test_rows_of_shares_or_of_several_labels_are_mixed_as_they_are(kind: LabelKind) -> None:
    rows = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.3, 0.5], [0.0, 1.0, 1.0]])
    image, shares = mixed(mixer(kind, mixup=1.0), rows)
    own = (image[1, 0, 0, 0] - 0.0) / 0.25
    torch.testing.assert_close(shares[1], own * rows[1] + (1 - own) * rows[0], atol=1e-5, rtol=0)
