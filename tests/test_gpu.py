"""What only an accelerator can show; these tests skip themselves where there is none."""

from collections.abc import Callable

import pytest
import torch

from thumbnet import fit
from thumbnet.config import TrainSettings
from thumbnet.data.preprocessing import levels_to_values
from thumbnet.networks.downscaler import to_8bit

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_levels_are_the_same_to_the_last_bit_as_on_the_processor() -> None:
    levels = torch.arange(256.0)
    assert torch.equal(levels_to_values(levels.cuda()).cpu(), levels_to_values(levels))
    thumbnail = torch.rand(1, 3, 64, 64)
    assert torch.equal(to_8bit(thumbnail.cuda()).cpu(), to_8bit(thumbnail))


def test_training_in_mixed_precision_is_finite_and_its_bundle_works(
    tiny_settings: Callable[..., TrainSettings],
) -> None:
    bundle = fit(tiny_settings(device="cuda"), quiet=True)
    assert bundle.thumbnail_side == 8
