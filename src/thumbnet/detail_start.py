"""Before training: a downscaler and the student's detail decoder learn to write and to read detail, by themselves.

They begin as a plain thumbnail and a plain enlargement. The student's losses, which reach them through many layers,
were not seen to bring them to this by themselves; pixels alone do so in a minute or two (decision 0015).
"""

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from thumbnet import losses
from thumbnet.config import LossSettings
from thumbnet.data.preprocessing import denormalise, normalise
from thumbnet.networks.codec_noise import CodecNoise
from thumbnet.networks.detail_decoder import decoder_of
from thumbnet.networks.downscaler import to_8bit
from thumbnet.networks.pair import Pair
from thumbnet.progress import Announcer

LR = 1.5e-3
CROP_THUMBNAIL_SIDE = 32
CROPS_OF_A_BATCH = 4


def start_detail(
    pair: Pair,
    images: Iterable[Float[Tensor, "batch 3 side side"]],
    steps: int,
    ratio: int,
    weights: LossSettings,
    codec_noise: CodecNoise,
    announcer: Announcer,
) -> None:
    """Trains E and the detail decoder on crops, towards the image at twice the thumbnail's side; in place.

    Args:
        pair: On its device; its student has a detail decoder. A downscaler that is frozen or a filter stays as it is.
        images: Batches of views, as many as are asked for, values in [0, 1].
        steps: Of the optimiser.
        ratio: Of the image side to the thumbnail side; crops begin on whole thumbnail pixels.
        weights: Of `dm` and `pm`, whose ratio is what counts here.
        codec_noise: Between the two, as in training; of one process, since each sees whole batches here.
        announcer: Shows progress.
    """
    decoder = decoder_of(pair.student.network)
    assert decoder is not None
    was_training = pair.training
    pair.train()
    trained = [each for each in (*pair.downscaler.parameters(), *decoder.parameters()) if each.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=LR)
    schedule = OneCycleLR(optimizer, LR, total_steps=steps)
    crops = announcer.track(_crops(images, steps, ratio), steps, "starting downscaler and detail decoder")
    for step, crop in enumerate(crops):
        thumbnail = to_8bit(pair.downscaler(crop))
        stored = codec_noise(thumbnail, epoch=0, micro_batch=step, whole=len(thumbnail))
        detail = denormalise(decoder(normalise(stored, pair.mean, pair.std)), pair.mean, pair.std)
        loss = weights.dm * losses.pixel_matching(detail, crop) + weights.pm * losses.pixel_matching(thumbnail, crop)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
    optimizer.zero_grad()
    pair.train(was_training)


def _crops(images: Iterable[Tensor], steps: int, ratio: int) -> Iterator[Tensor]:
    """Crops of whole thumbnail pixels, several of each batch: reading pictures is most of the cost."""
    generator = torch.Generator().manual_seed(0)
    made = 0
    for image in images:
        places = image.shape[-1] // ratio
        side = min(CROP_THUMBNAIL_SIDE, places)
        for _ in range(CROPS_OF_A_BATCH):
            top, left = (ratio * int(torch.randint(places - side + 1, (), generator=generator)) for _ in range(2))
            yield image[..., top : top + ratio * side, left : left + ratio * side]
            made += 1
            if made == steps:
                return
