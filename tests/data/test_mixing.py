"""Mixup, cutmix and flips: pictures, labels and cached features in the same way, the same each time."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from thumbnet.config import MixSettings
from thumbnet.data.labelled import LabelKind
from thumbnet.data.mixing import BatchChange, BatchMix, Mix, draw_flips, flip

CLASSES = 3
LABEL = torch.tensor([0, 1, 2, 1])
# Each picture is of one grey level of its own, so that shares can be read from the mix.
IMAGE = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(4, 1, 1, 1).expand(4, 3, 16, 16).contiguous()


def mixer(kind: LabelKind = "single", seed: int = 0, **settings: Any) -> BatchMix:
    return BatchMix(MixSettings(**settings), CLASSES, kind, seed)


def mixed(mix: BatchMix, label: Tensor = LABEL, epoch: int = 0, micro_batch: int = 0) -> tuple[Tensor, Tensor]:
    return mix(IMAGE, label, mix.draw(IMAGE, epoch, micro_batch))


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


@pytest.mark.parametrize(("settings", "transform"), [({"mixup": 0.4}, v2.MixUp), ({"cutmix": 1.0}, v2.CutMix)])
def test_a_mix_is_that_of_torchvision(settings: dict[str, float], transform: Any) -> None:
    image, shares = mixed(mixer(**settings), epoch=1, micro_batch=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([0, 1, 2]).generate_state(1)[0]))
        torch.rand(()), torch.randint(1, ())  # whether, and which of one
        theirs = transform(alpha=next(iter(settings.values())), num_classes=CLASSES)(IMAGE, LABEL)
    torch.testing.assert_close((image, shares), theirs, atol=0, rtol=0)


def test_alpha_may_be_a_whole_number_as_a_recipe_may_say_it() -> None:
    for settings in ({"mixup": 1}, {"cutmix": 1}):
        as_fraction = {name: float(alpha) for name, alpha in settings.items()}
        assert torch.equal(mixed(mixer(**settings))[0], mixed(mixer(**as_fraction))[0])


def test_the_box_of_cutmix_is_cut_from_features_at_their_scale() -> None:
    mix = Mix(share=1 - 6 * 7 / 256, box=(4 / 16, 0.0, 10 / 16, 7 / 16))
    features = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand(2, 5, 4, 4)
    foreign = (mix.maps(features)[1, 0] == 1).int().tolist()
    # 4 to 10 of 16 px is 1 to 2.5 of 4, and 0 to 7 is 0 to 1.75.
    assert foreign == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_features_of_any_size_are_mixed_in_the_shares_of_mixup() -> None:
    features = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand(2, 5, 4, 3)
    mixed_features = Mix(share=0.25).maps(features)
    assert mixed_features[:, 0, 0, 0].tolist() == [1 * 0.25 + 2 * 0.75, 2 * 0.25 + 1 * 0.75]


def test_cached_features_are_flipped_and_mixed_as_the_views_were() -> None:
    """Averaging blocks of pixels stands for a teacher: it commutes with flips, and with boxes on block borders."""
    view = torch.rand(3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    flipped = torch.tensor([True, False, True])
    for mix in (None, Mix(share=0.3), Mix(share=0.5, box=(0.25, 0.25, 1.0, 0.75))):
        shown = flip(view, flipped)
        shown = shown if mix is None else mix.maps(shown)
        asked = torch.nn.functional.avg_pool2d(shown, 4)
        cached = BatchChange(flipped=flipped, mix=mix).maps(torch.nn.functional.avg_pool2d(view, 4))
        torch.testing.assert_close(cached, asked)


def test_a_view_is_flipped_in_half_of_the_epochs_whatever_batch_it_is_in() -> None:
    rows = torch.arange(100)
    flips = torch.stack([draw_flips(rows, seed=3, epoch=epoch) for epoch in range(40)])
    assert 0.47 < flips.float().mean() < 0.53
    assert flips.any(dim=0).all()
    assert not flips.all(dim=0).any()
    assert torch.equal(draw_flips(rows[[7, 50]], seed=3, epoch=5), flips[5, [7, 50]])
    assert not torch.equal(draw_flips(rows, seed=4, epoch=5), flips[5])
