"""Before training: a downscaler and what reads its thumbnails learn to write and to read detail, by themselves.

What reads is the student's detail decoder or, with `downscaler.start detail`, its own first layer. They begin as a
plain thumbnail and a plain reading of it. The student's losses, which reach them through many layers, were not seen to
bring them to this by themselves; pixels alone do so in a minute or two (decisions 0015 and 0016).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR

from thumbnet import losses
from thumbnet.config import LossSettings
from thumbnet.data.preprocessing import denormalise, normalise
from thumbnet.networks.codec_noise import CodecNoise
from thumbnet.networks.detail_decoder import ENLARGEMENT, decoder_of
from thumbnet.networks.downscaler import to_8bit
from thumbnet.networks.pair import Pair
from thumbnet.progress import Announcer

DECODER_LR = 1.5e-3
FIRST_LAYER_LR = 3e-3
CROP_THUMBNAIL_SIDE = 32
CROPS_OF_A_BATCH = 4
# From what is stored of a thumbnail, and the crop of the image: what is not read of the crop, with its weight.
Unread = Callable[[Tensor, Tensor], Tensor]


def start_detail(
    pair: Pair,
    before: Mapping[str, nn.Conv2d],
    images: Iterable[Float[Tensor, "batch 3 side side"]],
    steps: int,
    ratio: int,
    weights: LossSettings,
    codec_noise: CodecNoise,
    announcer: Announcer,
) -> None:
    """Trains E and what reads its thumbnails on crops, towards the image at twice the thumbnail's side; in place.

    Args:
        pair: On its device; its student has a detail decoder, or first layers that lost half their stride. A downscaler
            that is frozen or a filter stays as it is.
        before: Those first layers with their stride, by name; of a student with a detail decoder none are asked for.
        images: Batches of views, as many as are asked for, values in [0, 1].
        steps: Of the optimiser.
        ratio: Of the image side to the thumbnail side; crops begin on whole thumbnail pixels.
        weights: Of `dm` and `pm`, whose ratio is what counts here; first layers have a weight of 1 beside `pm`.
        codec_noise: Between the two, as in training; of one process, since each sees whole batches here.
        announcer: Shows progress.
    """
    decoder = decoder_of(pair.student.network)
    if decoder is not None:
        readers: list[nn.Module] = [decoder]
        unread, lr, reader = _unread_pixels(pair, decoder, weights.dm), DECODER_LR, "detail decoder"
    else:
        readers = [pair.student.network.get_submodule(name) for name in before]
        unread, lr, reader = _unread_features(pair, before), FIRST_LAYER_LR, "first layer"
    was_training = pair.training
    pair.train()
    parts = (pair.downscaler, *readers)
    trained = [each for part in parts for each in part.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=lr)
    schedule = OneCycleLR(optimizer, lr, total_steps=steps)
    learns = any(each.requires_grad for each in pair.downscaler.parameters())
    named = f"downscaler and {reader}" if learns else reader
    crops = announcer.track(_crops(images, steps, ratio), steps, f"starting {named}")
    for step, crop in enumerate(crops):
        thumbnail = to_8bit(pair.downscaler(crop))
        stored = codec_noise(thumbnail, epoch=0, micro_batch=step, whole=len(thumbnail))
        loss = unread(stored, crop) + weights.pm * losses.pixel_matching(thumbnail, crop)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
    optimizer.zero_grad()
    pair.train(was_training)


def _unread_pixels(pair: Pair, decoder: nn.Module, weight: float) -> Unread:
    def unread(stored: Tensor, crop: Tensor) -> Tensor:
        detail = denormalise(decoder(normalise(stored, pair.mean, pair.std)), pair.mean, pair.std)
        return weight * losses.pixel_matching(detail, crop)

    return unread


def _unread_features(pair: Pair, before: Mapping[str, nn.Conv2d]) -> Unread:
    """Of the features that the first layers, with their stride, give of the picture at twice the thumbnail's side."""
    device = next(pair.student.parameters()).device
    wanted = {name: layer.to(device) for name, layer in before.items()}

    def unread(stored: Tensor, crop: Tensor) -> Tensor:
        with torch.no_grad():
            side = ENLARGEMENT * stored.shape[-1]
            finer = functional.interpolate(crop, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
            features = {name: layer(normalise(finer, pair.mean, pair.std)) for name, layer in wanted.items()}
        thumbnail = normalise(stored, pair.mean, pair.std)
        own = {name: pair.student.network.get_submodule(name)(thumbnail) for name in wanted}
        return torch.stack([losses.layer_matching(*_common(own[name], features[name])) for name in wanted]).mean()

    return unread


def _common(own: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """What both have: without padding, a layer loses one row fewer where it has its stride."""
    height, width = (min(own.shape[axis], wanted.shape[axis]) for axis in (-2, -1))
    return own[..., :height, :width], wanted[..., :height, :width]


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
