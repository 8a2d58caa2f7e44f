"""Networks for tests of the server: they say what they are told, at once."""

import threading
from typing import Any

import numpy as np

from thumbnet.data.pictures import PictureLimits, read_picture
from thumbnet.deployment.server.work import Decoded
from thumbnet.errors import ConfigError, LargePictureError

SIDE = 8


class Greys:
    """Three classes: dark, grey and bright, by a picture's mean; what it was asked is kept."""

    labels = ("dark", "grey", "bright")
    thumbnail_side = SIDE
    has_teacher = True

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False

    def decode(self, content: bytes, given: Any, limits: PictureLimits) -> Decoded:
        picture = read_picture(content)
        if picture.width * picture.height > limits.pixels:
            raise LargePictureError(f"{picture.width}×{picture.height} pixels, more than {limits.pixels}")
        small = picture.size == (SIDE, SIDE)
        if given == "thumbnail" and not small:
            raise ConfigError("given as thumbnail, but of another size")
        kind = given or ("thumbnail" if small else "picture")
        return Decoded(pixels=np.asarray(picture if kind == "thumbnail" else picture.resize((32, 32))), given=kind)

    def thumbnails(self, views: np.ndarray) -> np.ndarray:
        self.gate.wait(10)
        if self.broken:
            raise RuntimeError("/secret/place is missing")
        self.batches.append(len(views))
        return views[:, ::4, ::4]

    def plain(self, view: np.ndarray) -> np.ndarray:
        return np.full((SIDE, SIDE, 3), 9, dtype=np.uint8)

    def teacher_scores(self, views: np.ndarray) -> np.ndarray:
        return np.tile([0.25, 0.5, 0.25], (len(views), 1))

    def scores(self, thumbnails: np.ndarray) -> np.ndarray:
        means = thumbnails.reshape(len(thumbnails), -1).mean(1)
        scores = np.stack([-abs(means - middle) for middle in (0, 128, 255)], 1)
        return np.exp(scores / 50) / np.exp(scores / 50).sum(1, keepdims=True)
