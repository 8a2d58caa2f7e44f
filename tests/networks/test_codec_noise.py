"""Compression in training: which thumbnails, what S gets, and what the gradient does."""

import pytest
import torch
from torch import Tensor

from thumbnet.config import ThumbnailSettings
from thumbnet.data.preprocessing import image_to_picture, picture_to_image
from thumbnet.networks.codec_noise import CodecNoise
from thumbnet.networks.downscaler import to_8bit
from thumbnet.thumbnail_codec import decode, encode

HALF = ThumbnailSettings(codec_noise=0.5, quality=(30, 60))


def thumbnails(size: int = 12) -> Tensor:
    return to_8bit(torch.rand(size, 3, 16, 16, generator=torch.Generator().manual_seed(0)))


def test_none_is_compressed_by_default() -> None:
    given = thumbnails()
    assert CodecNoise(ThumbnailSettings(), seed=0)(given, epoch=0, micro_batch=0, whole=12) is given


@pytest.mark.parametrize("codec", ["jpeg", "jpeg444", "webp"])
def test_what_is_drawn_is_what_the_file_holds_and_the_rest_stays(codec: str) -> None:
    noise = CodecNoise(ThumbnailSettings(codec_noise=0.5, codec=codec, quality=(30, 60)), seed=0)  # type: ignore[arg-type]
    given = thumbnails()
    formats = noise.formats(12, epoch=1, micro_batch=2, whole=12)
    assert {chosen is None for chosen in formats} == {True, False}
    for before, after, chosen in zip(given, noise(given, epoch=1, micro_batch=2, whole=12), formats, strict=True):
        if chosen is None:
            assert torch.equal(before, after)
        else:
            assert (chosen.name, 30 <= (chosen.quality or 0) <= 60) == (codec, True)
            assert torch.equal(after, picture_to_image(decode(encode(image_to_picture(before), chosen))))
            assert not torch.equal(before, after)


def test_gradients_pass_as_if_nothing_were_compressed() -> None:
    given = thumbnails().requires_grad_()
    weights = torch.rand(given.shape)
    noise = CodecNoise(ThumbnailSettings(codec_noise=1.0), seed=0)
    (noise(given, epoch=0, micro_batch=0, whole=12) * weights).sum().backward()
    assert given.grad is not None
    assert torch.equal(given.grad, weights)


def test_draws_depend_on_seed_epoch_and_micro_batch_alone() -> None:
    drawn = {
        str(CodecNoise(HALF, seed).formats(12, epoch, micro_batch, 12))
        for seed, epoch, micro_batch in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    }
    assert len(drawn) == 4
    again = CodecNoise(HALF, 0)
    again.formats(12, 5, 5, 12)
    assert str(again.formats(12, 0, 0, 12)) in drawn


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_several_processes_together_draw_what_one_draws(processes: int) -> None:
    sizes = [len(part) for part in torch.arange(13).tensor_split(processes)]
    parts = [CodecNoise(HALF, 0, rank, processes).formats(sizes[rank], 3, 4, 13) for rank in range(processes)]
    assert [chosen for part in parts for chosen in part] == CodecNoise(HALF, 0).formats(13, 3, 4, 13)


def test_every_quality_is_drawn() -> None:
    noise = CodecNoise(ThumbnailSettings(codec_noise=1.0, quality=(40, 43)), seed=0)
    drawn = [chosen.quality for chosen in noise.formats(200, 0, 0, 200) if chosen]
    assert len(drawn) == 200
    assert set(drawn) == {40, 41, 42, 43}
