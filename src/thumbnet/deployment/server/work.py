"""What the server asks of the networks, for many requests together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from thumbnet.classification import Given
from thumbnet.data.pictures import PictureLimits
from thumbnet.data.working_view import Pixels

Wanted = Literal["thumbnail", "student", "teacher"]


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A picture, ready for the networks.

    Attributes:
        pixels: uint8 `[height, width, 3]`: the working view of a full picture, or a thumbnail.
        given: Which of them.
    """

    pixels: Pixels
    given: Given


@runtime_checkable
class Networks(Protocol):
    """E, S and T, as the server needs them; all of it may be called from several threads.

    Attributes:
        labels: Names of the classes.
        thumbnail_side: Side of a thumbnail, px.
        has_teacher: Whether T is there.
    """

    labels: tuple[str, ...]
    thumbnail_side: int
    has_teacher: bool

    def decode(self, content: bytes, given: Given | None, limits: PictureLimits) -> Decoded:
        """A file's bytes as pixels.

        Raises:
            PictureError: If it is no picture, damaged, or larger than that.
            ConfigError: If it is given as a thumbnail and has another size.
        """
        ...

    def thumbnails(self, views: Pixels) -> Pixels:
        """E: uint8 working views `[batch, side, side, 3]` to thumbnails."""
        ...

    def plain(self, view: Pixels) -> Pixels:
        """A working view's bicubic thumbnail."""
        ...

    def scores(self, thumbnails: Pixels) -> np.ndarray:
        """S: uint8 thumbnails to probabilities `[batch, classes]`."""
        ...

    def teacher_scores(self, views: Pixels) -> np.ndarray:
        """T: uint8 working views to probabilities `[batch, classes]`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One picture, and what is wanted of it."""

    decoded: Decoded
    wanted: Wanted


def answer(networks: Networks, asked: Sequence[Asked]) -> list[np.ndarray]:
    """A thumbnail or probabilities for each; what goes through the same network goes together."""
    answers: dict[int, np.ndarray] = {}
    by_teacher = [place for place, one in enumerate(asked) if one.wanted == "teacher"]
    if by_teacher:
        answers.update(zip(by_teacher, networks.teacher_scores(_pixels(asked, by_teacher)), strict=True))
    through_e = [place for place, one in enumerate(asked) if one.wanted != "teacher" and one.decoded.given == "picture"]
    thumbnails = {place: one.decoded.pixels for place, one in enumerate(asked) if one.decoded.given == "thumbnail"}
    if through_e:
        thumbnails.update(zip(through_e, networks.thumbnails(_pixels(asked, through_e)), strict=True))
    by_student = [place for place, one in enumerate(asked) if one.wanted == "student"]
    if by_student:
        scores = networks.scores(np.stack([thumbnails[place] for place in by_student]))
        answers.update(zip(by_student, scores, strict=True))
    answers.update({place: thumbnails[place] for place, one in enumerate(asked) if one.wanted == "thumbnail"})
    return [answers[place] for place in range(len(asked))]


def _pixels(asked: Sequence[Asked], places: Sequence[int]) -> Pixels:
    return np.stack([asked[place].decoded.pixels for place in places])
