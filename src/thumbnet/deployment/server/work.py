"""What the server asks of the networks; the runtime behind it reads no files here, only bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from PIL import Image

Given = Literal["picture", "thumbnail"]


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A picture, ready for the networks.

    Attributes:
        pixels: uint8 `[height, width, 3]`: the working view of a full picture, or a thumbnail.
        given: Which of them.
    """

    pixels: np.ndarray
    given: Given


@runtime_checkable
class Networks(Protocol):
    """E and S, as the server needs them; all of it may be called from several threads.

    Attributes:
        labels: Names of the classes.
        thumbnail_side: Side of a thumbnail, px.
    """

    labels: Sequence[str]
    thumbnail_side: int

    def decode(self, content: bytes, given: Given | None, max_pixels: int) -> Decoded:
        """A file's bytes as pixels.

        Raises:
            PictureError: If it is no picture, damaged, or larger than that.
            ConfigError: If it is given as a thumbnail and has another size.
        """
        ...

    def thumbnails(self, views: np.ndarray) -> np.ndarray:
        """uint8 working views `[batch, side, side, 3]` to thumbnails."""
        ...

    def scores(self, thumbnails: np.ndarray) -> np.ndarray:
        """uint8 thumbnails to probabilities `[batch, classes]`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What the networks say of one picture.

    Attributes:
        thumbnail: Its pixels.
        scores: A probability a class; None where only the thumbnail was asked for.
    """

    thumbnail: np.ndarray
    scores: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One picture, and whether its class is asked for."""

    decoded: Decoded
    classify: bool


def answer(networks: Networks, asked: Sequence[Asked]) -> list[Answered]:
    """Full pictures go through E together, and those that are to be classified through S together."""
    thumbnails: dict[int, np.ndarray] = {
        place: one.decoded.pixels for place, one in enumerate(asked) if one.decoded.given == "thumbnail"
    }
    full = [place for place, one in enumerate(asked) if one.decoded.given == "picture"]
    if full:
        made = networks.thumbnails(np.stack([asked[place].decoded.pixels for place in full]))
        thumbnails.update(zip(full, made, strict=True))
    scores: dict[int, np.ndarray] = {}
    classified = [place for place, one in enumerate(asked) if one.classify]
    if classified:
        found = networks.scores(np.stack([thumbnails[place] for place in classified]))
        scores.update(zip(classified, found, strict=True))
    return [Answered(thumbnail=thumbnails[place], scores=scores.get(place)) for place in range(len(asked))]


def picture_of(thumbnail: np.ndarray) -> Image.Image:
    """A thumbnail's pixels as a picture."""
    return Image.fromarray(thumbnail)
