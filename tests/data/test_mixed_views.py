"""Fixed views that are mixes: the last of each picture, pixels and labels in the same shares, the same each time."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from thumbnet.config import MixSettings, ViewSettings
from thumbnet.data.batches import (
    EpochOrder,
    LoaderSettings,
    StoredViewDataset,
    ViewDataset,
    every_view_loader,
    training_loader,
)
from thumbnet.data.labelled import Pictures
from thumbnet.data.mixed_views import MixedViews
from thumbnet.data.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(image_side=8)
HERE = LoaderSettings(workers=0)
VIEWS, MIXED = 4, 2
MIXES = [(index, view) for index in range(6) for view in (2, 3)]


def mixed_views(pictures: Pictures, seed: int = 0, **settings: Any) -> MixedViews:
    chosen = MixSettings(**{"mixup": 1.0, "mixed_views": MIXED, **settings})
    return MixedViews(pictures, chosen, VIEWS, PREPROCESSING.image_side, seed)


def dataset_of(pictures: Pictures, mixed: MixedViews | None = None, seed: int = 0) -> ViewDataset:
    return ViewDataset(pictures, ViewSettings(per_image=VIEWS), PREPROCESSING, seed, mixed)


def partner_of(mixed: MixedViews, index: int, view: int) -> tuple[int, Any]:
    found = mixed.partner(index, view)
    assert found is not None
    return found


def test_the_last_views_of_each_picture_are_mixes_and_the_others_are_not(pets: Pictures) -> None:
    plain, dataset = dataset_of(pets), dataset_of(pets, mixed_views(pets))
    for index in range(6):
        changed = [not torch.equal(plain[index, view].pixels, dataset[index, view].pixels) for view in range(VIEWS)]
        assert changed == [False, False, True, True]


def test_mixup_weighs_the_same_view_of_another_picture_and_the_labels_in_the_same_shares(pets: Pictures) -> None:
    mixed = mixed_views(pets)
    plain, dataset = dataset_of(pets), dataset_of(pets, mixed)
    for index, view in MIXES:
        other, mix = partner_of(mixed, index, view)
        assert other != index
        own, foreign = (plain[which, view].pixels.double() for which in (index, other))
        wanted = mix.share * own + (1 - mix.share) * foreign
        item = dataset[index, view]
        assert item.pixels.dtype == torch.uint8
        assert float((item.pixels.double() - wanted).abs().max()) < 0.501  # rounded to whole levels
        shares = torch.zeros(len(pets.classes))
        shares[pets.labels[index]] += mix.share
        shares[pets.labels[other]] += 1 - mix.share
        torch.testing.assert_close(item.label, shares)


def test_cutmix_takes_a_rectangle_of_the_other_picture(pets: Pictures) -> None:
    mixed = mixed_views(pets, mixup=0.0, cutmix=1.0)
    plain, dataset = dataset_of(pets), dataset_of(pets, mixed)
    for index, view in MIXES:
        other, mix = partner_of(mixed, index, view)
        own, foreign = (plain[which, view].pixels for which in (index, other))
        item = dataset[index, view]
        left, top, right, bottom = (round(8 * place) for place in mix.box)
        wanted = own.clone()
        wanted[:, top:bottom, left:right] = foreign[:, top:bottom, left:right]
        assert torch.equal(item.pixels, wanted)
        taken = (bottom - top) * (right - left) / 64
        others = pets.labels[other] != pets.labels[index]
        assert float(item.label[pets.labels[index]]) == pytest.approx(1 - taken * others)


def test_all_labels_are_rows_so_that_they_fit_one_batch(pets: Pictures) -> None:
    dataset = dataset_of(pets, mixed_views(pets))
    (batch,) = every_view_loader(dataset, 0, 100, HERE)
    assert batch.label.shape == (24, len(pets.classes))
    torch.testing.assert_close(batch.label.sum(dim=1), torch.ones(24))
    unmixed = batch.label[batch.row % VIEWS < VIEWS - MIXED]
    assert unmixed.argmax(dim=1).tolist() == [label for label in pets.labels for _ in range(2)]


def test_rows_of_shares_are_mixed_as_they_are_and_pictures_without_labels_keep_none(pets: Pictures) -> None:
    rows = np.random.default_rng(0).dirichlet([1.0] * len(pets.classes), 6).astype(np.float32)
    mixed = mixed_views(replace(pets, labels=rows, kind="soft"))
    other, mix = partner_of(mixed, 4, 3)
    np.testing.assert_allclose(mixed.label(4, 3), mix.share * rows[4] + (1 - mix.share) * rows[other], atol=1e-6)
    several = mixed_views(replace(pets, labels=(rows > 0.2).astype(np.float32), kind="multi"))
    wanted = mix.share * (rows[4] > 0.2) + (1 - mix.share) * (rows[other] > 0.2)
    np.testing.assert_allclose(several.label(4, 3), wanted, atol=1e-6)
    none = replace(pets, labels=(-1,) * 6, kind="none")
    assert mixed_views(none).label(4, 3) == -1


def test_a_mix_depends_on_seed_picture_and_view_alone_and_leaves_the_random_state(pets: Pictures) -> None:
    state = torch.get_rng_state()
    drawn = {key: partner_of(mixed_views(pets), *key) for key in MIXES}
    assert drawn == {key: partner_of(mixed_views(pets), *key) for key in reversed(MIXES)}
    assert len({mix.share for _, mix in drawn.values()}) == len(MIXES)
    assert drawn != {key: partner_of(mixed_views(pets, seed=1), *key) for key in MIXES}
    assert torch.equal(state, torch.get_rng_state())


def test_partners_are_drawn_from_all_other_pictures(pets: Pictures) -> None:
    drawn = Counter(partner_of(mixed_views(pets, seed=seed), 2, 3)[0] for seed in range(100))
    assert set(drawn) == {0, 1, 3, 4, 5}


def test_only_the_given_share_of_these_views_is_mixed(pets: Pictures) -> None:
    found = [mixed_views(pets, seed=seed, probability=0.25).partner(1, 2) for seed in range(200)]
    assert 25 < sum(mix is not None for mix in found) < 75


def test_a_single_picture_has_nothing_to_be_mixed_with(pets: Pictures) -> None:
    assert mixed_views(pets.select([0])).partner(0, 3) is None


@pytest.mark.parametrize("epoch", range(VIEWS))
def test_stored_mixes_give_the_batches_of_the_pictures_they_were_drawn_from(epoch: int, pets: Pictures) -> None:
    dataset = dataset_of(pets, mixed_views(pets))
    pixels = torch.cat([batch.pixels for batch in every_view_loader(dataset, 0, 4, HERE)]).numpy()
    stored = StoredViewDataset(pixels, dataset.label, VIEWS)
    order = EpochOrder(6, 2, 1, VIEWS, 0)
    order.epoch = epoch
    for one, other in zip(training_loader(stored, order, HERE), training_loader(dataset, order, HERE), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
