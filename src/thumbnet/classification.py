"""The answer for one picture: what a bundle and every runtime of it give. Imports no torch."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thumbnet.errors import ConfigError

Given = Literal["picture", "thumbnail"]


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One class and its probability."""

    label: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The answer for one picture.

    Attributes:
        label: The most probable class.
        score: Its probability, 0 to 1.
        ranked: The `top` most probable classes, best first. Where a picture may have several labels, each score is the
            probability that it has this one.
        given: Whether the input was taken as a full `picture` or as a ready `thumbnail`.
    """

    label: str
    score: float
    ranked: tuple[Ranked, ...]
    given: Given


def check_top(top: int) -> None:
    """Makes sure that a number of classes can be ranked.

    Raises:
        ConfigError: If it is less than 1.
    """
    if top < 1:
        raise ConfigError(f"top is {top}, but must be 1 or more")


def what_is_given(size: tuple[int, int], thumbnail_side: int, given: Given | None) -> Given:
    """Whether an upright picture is a full one or a ready thumbnail; by its size where it is not said.

    Raises:
        ConfigError: If it is said to be a thumbnail and has another size.
    """
    is_small = size == (thumbnail_side, thumbnail_side)
    if given == "thumbnail" and not is_small:
        wanted = f"thumbnails of this bundle are {thumbnail_side}×{thumbnail_side} px"
        raise ConfigError(f"given as thumbnail, but {size[0]}×{size[1]} px; {wanted}")
    return given or ("thumbnail" if is_small else "picture")


def ranked_classes(scores: NDArray[Any], labels: tuple[str, ...], top: int, given: Given) -> Classification:
    """The answer from one probability a label."""
    best = np.argsort(-scores, kind="stable")[:top]
    ranked = tuple(Ranked(label=labels[index], score=float(scores[index])) for index in best)
    return Classification(label=ranked[0].label, score=ranked[0].score, ranked=ranked, given=given)
