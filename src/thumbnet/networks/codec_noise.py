"""Compression between E and S in training, so that S meets thumbnails as lossy files hold them.

What is drawn is a pure function of (seed, epoch, micro-batch, place in it), so a resumed run compresses what the
stopped one would have compressed, on any number of processes.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from thumbnet.config import ThumbnailSettings
from thumbnet.data.preprocessing import image_to_picture, picture_to_image
from thumbnet.networks.downscaler import straight_through
from thumbnet.thumbnail_codec import ThumbnailFormat, decode, encode


class CodecNoise:
    """Sends a random part of the thumbnails through a lossy codec, each at a quality of its own.

    Args:
        settings: How often, through which codec and at which qualities.
        seed: The run's.
        process: Which of the processes this is; its part of a micro-batch is the one that `EpochOrder` gives it.
        processes: How many there are.
    """

    def __init__(self, settings: ThumbnailSettings, seed: int, process: int = 0, processes: int = 1) -> None:
        self.settings = settings
        self.seed = seed
        self.process, self.processes = process, processes

    def __call__(
        self, thumbnail: Float[Tensor, "batch channels height width"], epoch: int, micro_batch: int, whole: int
    ) -> Float[Tensor, "batch channels height width"]:
        """Thumbnails in [0, 1], those that were drawn as the codec gives them back; gradients pass straight through.

        Args:
            thumbnail: This process's part of the micro-batch.
            epoch: From 0.
            micro_batch: Its number in the epoch, from 0.
            whole: Thumbnails in the micro-batch over all processes.
        """
        formats = self.formats(len(thumbnail), epoch, micro_batch, whole)
        if not any(formats):
            return thumbnail
        values = thumbnail.detach()
        stored = [values[i] if chosen is None else _through(values[i], chosen) for i, chosen in enumerate(formats)]
        return straight_through(thumbnail, torch.stack(stored))

    def formats(self, size: int, epoch: int, micro_batch: int, whole: int) -> list[ThumbnailFormat | None]:
        """What each of `size` thumbnails of this process is compressed with; None leaves it as it is."""
        settings = self.settings
        if not settings.codec_noise:
            return [None] * size
        # Drawn for the whole micro-batch, so that the draws do not depend on how it is divided.
        random = np.random.default_rng([self.seed, epoch, micro_batch])
        share, surplus = divmod(whole, self.processes)
        first = self.process * share + min(self.process, surplus)
        draws = random.random((whole, 2))[first : first + size]
        low, high = settings.quality
        return [
            ThumbnailFormat(name=settings.codec, quality=low + int(share * (high - low + 1)))
            if draw < settings.codec_noise
            else None
            for draw, share in draws
        ]


def _through(thumbnail: Float[Tensor, "3 height width"], stored_as: ThumbnailFormat) -> Tensor:
    return picture_to_image(decode(encode(image_to_picture(thumbnail), stored_as))).to(thumbnail.device)
