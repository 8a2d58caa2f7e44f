"""Intervals of a bootstrap over pictures and seeds: values by hand, edge cases, and how often they hold the truth."""

import numpy as np
import pytest

from thumbnet.comparison import statistics
from thumbnet.comparison.statistics import paired_difference, paired_ratio, spread


def slow_difference(ours: np.ndarray, others: np.ndarray, resamples: int) -> tuple[float, float]:
    """The same by a loop over resamples, as one would write it down."""
    random = np.random.default_rng(1)
    seeds, pictures = ours.shape
    means = []
    for _ in range(resamples):
        s, p = random.integers(0, seeds, seeds), random.integers(0, pictures, pictures)
        means.append((ours - others)[np.ix_(s, p)].mean())
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def test_a_spread_is_mean_and_sample_standard_deviation() -> None:
    found = spread([0.8, 0.9])
    assert found.mean == pytest.approx(0.85)
    assert found.std == pytest.approx(0.1 / 2**0.5)
    assert found.values == (0.8, 0.9)
    assert spread([0.8]).std is None


def test_networks_that_say_the_same_do_not_differ_at_all() -> None:
    right = np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    found = paired_difference(right, right)
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_difference_that_every_picture_shows_is_certain() -> None:
    found = paired_difference(np.ones((2, 5)), np.zeros((2, 5)))
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)


def test_one_seed_gives_the_interval_of_the_pictures() -> None:
    # Differences 1, 0, 0, 0: a resample's sum is binomial with 4 draws of 1/4. P(sum = 0) = 0.316, P(sum ≤ 2) = 0.949
    # and P(sum ≤ 3) = 0.996: the quantiles 2.5% and 97.5% are 0 and 3 of 4.
    found = paired_difference(np.array([[1.0, 0, 0, 0]]), np.zeros((1, 4)))
    assert (found.mean, found.low, found.high) == (0.25, 0.0, 0.75)


def test_one_picture_gives_the_interval_of_the_seeds() -> None:
    # Both seeds drawn alike with probability 1/4 each.
    found = paired_difference(np.array([[1.0], [0.0]]), np.zeros((2, 1)))
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)


def test_it_agrees_with_a_loop_over_resamples() -> None:
    random = np.random.default_rng(0)
    ours, others = (random.random((3, 300)) < share for share in (0.8, 0.7))
    found = paired_difference(ours.astype(float), others.astype(float), resamples=4000)
    low, high = slow_difference(ours.astype(float), others.astype(float), 4000)
    assert found.low == pytest.approx(low, abs=0.006)
    assert found.high == pytest.approx(high, abs=0.006)


def test_many_pictures_are_resampled_in_blocks_to_the_same_law(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    ours, others = random.random((2, 200)), random.random((2, 200))
    whole = paired_difference(ours, others, resamples=3000)
    monkeypatch.setattr(statistics, "_BLOCK", 1000)
    blocks = paired_difference(ours, others, resamples=3000)
    assert blocks.mean == whole.mean
    assert blocks.low == pytest.approx(whole.low, abs=0.01)
    assert blocks.high == pytest.approx(whole.high, abs=0.01)


def test_pairing_takes_the_pictures_difficulty_out() -> None:
    random = np.random.default_rng(0)
    hard = random.random((1, 400)) < 0.5
    better = np.where(random.random((1, 400)) < 0.03, 1.0, hard)
    paired = paired_difference(better, hard.astype(float))
    unpaired = paired_difference(random.permutation(better, axis=1), hard.astype(float))
    assert paired.high - paired.low < (unpaired.high - unpaired.low) / 3


@pytest.mark.parametrize("seeds", [1, 4])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(seeds: int) -> None:
    # Two networks, right where they are lucky, on pictures of different difficulty: the true difference is 0.05.
    held, trials = 0, 200
    for trial in range(trials):
        random = np.random.default_rng(trial)
        difficulty = random.uniform(0.2, 0.9, 250)
        ours, others = (random.random((seeds, 250)) < difficulty + more for more in (0.05, 0.0))
        found = paired_difference(ours.astype(float), others.astype(float), resamples=400, seed=trial)
        held += found.low <= 0.05 <= found.high
    assert 0.9 <= held / trials <= 1
    if seeds == 1:
        assert held / trials < 0.99


def test_one_split_is_as_good_as_none() -> None:
    random = np.random.default_rng(0)
    ours, others = random.random((2, 50)), random.random((2, 50))
    assert paired_difference(ours, others, 500, splits=(50,)) == paired_difference(ours, others, 500)


def test_the_mean_over_splits_is_that_of_all_pictures() -> None:
    ours = np.array([[1.0, 1, 1, 0, 0, 0]])
    found = paired_difference(ours, np.zeros((1, 6)), splits=(3, 3))
    # Every resample draws two splits, whose pictures are all alike: 0, a half or 1.
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)
    ratio = paired_ratio(ours, np.ones((1, 6)), splits=(3, 3))
    assert ratio is not None
    assert (ratio.mean, ratio.low, ratio.high) == (0.5, 0.0, 1.0)


def test_splits_weigh_by_their_pictures() -> None:
    # All right in a split of two pictures, all wrong in one of four: drawn together the mean is a third, not a half.
    scores = np.array([[[1.0, 1, 0, 0, 0, 0]]])
    drawn = statistics._resampled(scores, (2, 4), resamples=300, seed=0)
    assert set(np.unique(drawn.round(3))) == {0.0, 0.333, 1.0}
    with pytest.raises(ValueError, match="splits of 5 pictures, and scores of 6"):
        paired_difference(scores[0], scores[0], splits=(1, 4))


def test_splits_hold_the_chance_in_training_that_pictures_do_not() -> None:
    """Each split's two networks differ by what their training brought, 0 in the mean: 3 points and more either way."""
    held = {"pictures": 0, "splits": 0}
    trials = 100
    for trial in range(trials):
        random = np.random.default_rng(trial)
        brought = np.repeat(random.normal(0, 0.03, 6), 600)[None]
        ours, others = random.random((1, 3600)) < 0.8 + brought, random.random((1, 3600)) < 0.8
        for name, splits in (("pictures", ()), ("splits", (600,) * 6)):
            found = paired_difference(ours.astype(float), others.astype(float), 300, trial, splits)
            held[name] += found.low <= 0 <= found.high
    assert held["splits"] / trials >= 0.9
    assert held["pictures"] / trials < 0.8


def test_a_ratio_is_that_of_the_means_drawn_together() -> None:
    student, teacher = np.array([[1.0, 1, 0, 0]]), np.array([[1.0, 1, 1, 1]])
    found = paired_ratio(student, teacher)
    assert found is not None
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)
    same = paired_ratio(np.tile(teacher * [[1, 1, 1, 0]], (1, 20)), np.tile(teacher * [[1, 1, 1, 0]], (1, 20)))
    assert same is not None
    assert (same.low, same.high) == (1.0, 1.0)


def test_there_is_no_ratio_to_nothing() -> None:
    assert paired_ratio(np.ones((1, 3)), np.zeros((1, 3))) is None
    assert paired_ratio(np.ones((1, 2)), np.array([[1.0, 0.0]])) is None
