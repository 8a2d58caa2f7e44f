"""Means, spreads and intervals of what several runs say of the same pictures: pure functions of arrays.

Intervals are those of a bootstrap over pictures and seeds at once: each resample draws pictures and, by themselves,
seeds, with replacement, and takes the mean over the drawn pairs (Owen, "The pigeonhole bootstrap", Annals of Applied
Statistics 2007, arXiv 0712.1111). It holds the chance of which pictures were held out and of which seeds were drawn;
where runs differ from picture to picture by chance alone, it errs on the wide side. With one seed it holds the
pictures' chance alone, and with S seeds the seeds' variance counts as (S − 1)/S of its estimate.

Of several splits each resample draws splits, then seeds and pictures within each drawn one: every split has trainings
of its own, so splits hold the chance in training as well, even with one seed. K splits count for (K − 1)/K of it, so
where that chance dominates, the interval of four splits holds the truth in 82% of simulated tries, of two in 70%; where
there is none it is up to a third too wide, for pictures count twice (benchmarks/interval_coverage.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

RESAMPLES = 10_000
CONFIDENCE = 0.95
# Resampled values in memory at a time.
_BLOCK = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Values of several seeds.

    Attributes:
        mean: Of all.
        std: Sample standard deviation over seeds; None for one seed.
        values: In the order of the seeds.
    """

    mean: float
    std: float | None
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number and the 95% interval around it.

    Attributes:
        mean: Of the pictures and seeds as they are.
        low: 2.5th percentile over resamples.
        high: 97.5th percentile.
    """

    mean: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Mean and sample standard deviation of one value a seed."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(mean=float(np.mean(values)), std=std, values=tuple(values))


def paired_difference(
    ours: Float[np.ndarray, "seeds pictures"],
    others: Float[np.ndarray, "seeds pictures"],
    resamples: int = RESAMPLES,
    seed: int = 0,
    splits: Sequence[int] = (),
) -> Interval:
    """Mean of `ours − others`, paired by picture and seed, with its interval.

    Args:
        ours: Score of each picture under each seed, such as 1 where the network is right.
        others: The same pictures and seeds.
        resamples: Draws of the bootstrap.
        seed: Of those draws.
        splits: How many pictures each split has, in their order; empty for one.

    Raises:
        ValueError: If that is not how many pictures there are.
    """
    differences = (ours - others)[None]
    means = _resampled(differences, splits, resamples, seed)[0]
    return _interval(float(differences.mean()), means)


def paired_ratio(
    ours: Float[np.ndarray, "seeds pictures"],
    others: Float[np.ndarray, "seeds pictures"],
    resamples: int = RESAMPLES,
    seed: int = 0,
    splits: Sequence[int] = (),
) -> Interval | None:
    """Ratio of the means `ours / others`, paired as in `paired_difference`; None where others may be 0."""
    both = np.stack([ours, others])
    means = _resampled(both, splits, resamples, seed)
    if not others.any() or not means[1].all():
        return None
    return _interval(float(ours.mean() / others.mean()), means[0] / means[1])


def _resampled(
    scores: Float[np.ndarray, "kinds seeds pictures"], splits: Sequence[int], resamples: int, seed: int
) -> Float[np.ndarray, "kinds resamples"]:
    """Means of each kind of score, of every resample."""
    if splits and sum(splits) != scores.shape[2]:
        raise ValueError(f"splits of {sum(splits)} pictures, and scores of {scores.shape[2]}")
    random = np.random.default_rng(seed)
    parts = np.split(scores, np.cumsum(splits)[:-1], axis=2) if splits else [scores]
    if len(parts) == 1:
        return np.concatenate(list(_resampled_means(scores, resamples, random)), axis=1)
    sums, pictures = np.zeros((len(scores), resamples)), np.zeros(resamples)
    for drawn in random.integers(0, len(parts), (len(parts), resamples)):
        for number, part in enumerate(parts):
            where = np.flatnonzero(drawn == number)
            for means in _resampled_means(part, len(where), random):
                now, where = where[: means.shape[1]], where[means.shape[1] :]
                sums[:, now] += part.shape[2] * means
                pictures[now] += part.shape[2]
    return sums / pictures


def _resampled_means(
    scores: Float[np.ndarray, "kinds seeds pictures"], resamples: int, random: np.random.Generator
) -> Iterator[Float[np.ndarray, "kinds block"]]:
    """Means of each kind of score over the same drawn seeds and pictures, a block of resamples at a time."""
    _, seeds, pictures = scores.shape
    for start in range(0, resamples, max(1, _BLOCK // pictures)):
        count = min(resamples - start, max(1, _BLOCK // pictures))
        drawn_seeds = random.integers(0, seeds, (count, seeds))
        shares = (drawn_seeds[:, :, None] == np.arange(seeds)).mean(axis=1)
        drawn_pictures = random.integers(0, pictures, (count, pictures))
        rows = np.arange(count)[:, None]
        yield np.stack([(shares @ kind)[rows, drawn_pictures].mean(axis=1) for kind in scores])


def _interval(mean: float, resampled: Float[np.ndarray, " resamples"]) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(mean=mean, low=float(low), high=float(high))
