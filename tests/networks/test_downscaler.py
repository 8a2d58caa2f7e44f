"""E: image to thumbnail."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.config import FIXED_DOWNSCALERS, FIXED_FILTERS, DownscalerKind, DownscalerSettings, student_channels
from thumbnet.data.preprocessing import image_to_picture, picture_to_image
from thumbnet.errors import ConfigError
from thumbnet.networks.downscaler import (
    FixedDownscaler,
    PaperDownscaler,
    ResidualDownscaler,
    build_downscaler,
    strides_for,
    to_8bit,
)
from thumbnet.profiling import count_macs

SmoothImages = Callable[[int, int, int], Tensor]
RATIOS = range(2, 9)
KINDS: tuple[DownscalerKind, ...] = get_args(DownscalerKind)
every_ratio = pytest.mark.parametrize("ratio", RATIOS)
every_kind = pytest.mark.parametrize("kind", KINDS)


def build(kind: DownscalerKind, ratio: int) -> nn.Module:
    torch.manual_seed(0)
    return build_downscaler(DownscalerSettings(kind=kind), ratio)


def channels_of(kind: DownscalerKind, ratio: int) -> int:
    return student_channels(DownscalerSettings(kind=kind), ratio)


@every_ratio
@every_kind
def test_thumbnail_is_ratio_times_smaller_at_any_divisible_size(kind: DownscalerKind, ratio: int) -> None:
    downscaler = build(kind, ratio)
    for rows, columns in ((1, 2), (4, 4), (7, 5)):
        image = torch.rand(2, 3, rows * ratio, columns * ratio)
        assert downscaler(image).shape == (2, channels_of(kind, ratio), rows, columns)


@every_ratio
@every_kind
def test_thumbnail_stays_within_0_and_1_at_the_edge_of_black_and_white(kind: DownscalerKind, ratio: int) -> None:
    torch.manual_seed(1)
    squares = torch.rand(4, 3, 3, 3).round().repeat_interleave(3 * ratio, 2).repeat_interleave(3 * ratio, 3)
    downscaler = build(kind, ratio)
    if isinstance(downscaler, ResidualDownscaler):
        nn.init.ones_(downscaler.correction.norm2.weight)
    thumbnail = downscaler(squares)
    assert thumbnail.min() >= 0
    assert thumbnail.max() <= 1


@every_ratio
@every_kind
def test_a_flat_image_stays_flat_up_to_its_border(kind: DownscalerKind, ratio: int) -> None:
    downscaler = build(kind, ratio)
    grey = torch.full((2, 3, 6 * ratio, 6 * ratio), 0.25)
    if isinstance(downscaler, PaperDownscaler):
        downscaler.calibrate(grey)
    wanted = torch.full((2, channels_of(kind, ratio), 6, 6), 0.25)
    assert torch.allclose(downscaler.eval()(grey), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("ratio", "strides"), [(2, (2, 1)), (3, (3, 1)), (4, (2, 2)), (5, (5, 1)), (6, (3, 2)), (7, (7, 1)), (8, (4, 2))]
)
def test_the_two_strides_multiply_to_the_ratio_as_evenly_as_they_can(ratio: int, strides: tuple[int, int]) -> None:
    assert strides_for(ratio) == strides
    layers = PaperDownscaler(ratio, channels=4).layers
    assert (layers.conv1.stride[0], layers.conv2.stride[0]) == strides


@pytest.mark.parametrize("ratio", [0, 9])
def test_ratio_out_of_range_is_refused_with_the_range(ratio: int) -> None:
    with pytest.raises(ConfigError, match=f"ratio is {ratio}, but must be a whole number from 1 to 8"):
        build_downscaler(DownscalerSettings(), ratio)


@every_ratio
def test_bicubic_equals_torch_antialiased_interpolation(ratio: int) -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 9 * ratio, 5 * ratio)
    wanted = functional.interpolate(image, size=(9, 5), mode="bicubic", antialias=True).clamp(0, 1)
    assert torch.allclose(FixedDownscaler(ratio, "bicubic")(image), wanted, atol=1e-5)


@every_ratio
def test_area_equals_average_pooling(ratio: int) -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 9 * ratio, 5 * ratio)
    assert torch.allclose(FixedDownscaler(ratio, "area")(image), functional.avg_pool2d(image, ratio), atol=1e-5)


@every_ratio
@pytest.mark.parametrize(
    ("kind", "resampling"),
    [
        ("bicubic", Image.Resampling.BICUBIC),
        ("lanczos", Image.Resampling.LANCZOS),
        ("area", Image.Resampling.BOX),
    ],
)
def test_fixed_filters_equal_pillow_within_one_grey_level_border_included(
    kind: DownscalerKind, resampling: Image.Resampling, ratio: int, smooth_images: SmoothImages
) -> None:
    picture = image_to_picture(smooth_images(1, 16 * ratio, 12 * ratio)[0])
    wanted = np.asarray(picture.resize((12, 16), resampling)).astype(int)
    thumbnail = to_8bit(build(kind, ratio)(picture_to_image(picture)[None]))
    ours = np.asarray(image_to_picture(thumbnail[0])).astype(int)
    assert np.abs(ours - wanted).max() <= 1


@every_ratio
@pytest.mark.parametrize("training", [True, False])
def test_residual_starts_at_the_bicubic_thumbnail(ratio: int, training: bool) -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, 8 * ratio, 8 * ratio)
    residual = build("residual", ratio).train(training)
    assert torch.equal(residual(image), FixedDownscaler(ratio, "bicubic")(image))


def test_residual_learns_from_its_first_step() -> None:
    residual = ResidualDownscaler(4, channels=8)
    torch.manual_seed(0)
    image = torch.rand(4, 3, 32, 32)
    residual(image).square().mean().backward()
    scale = residual.correction.norm2.weight
    assert scale.grad is not None
    assert (scale.grad != 0).all()
    torch.optim.SGD(residual.parameters(), lr=0.1).step()
    residual.zero_grad()
    residual(image).square().mean().backward()
    for name, parameter in residual.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@every_ratio
@pytest.mark.parametrize("training", [True, False])
def test_paper_starts_close_to_bicubic_after_calibration(
    ratio: int, training: bool, smooth_images: SmoothImages
) -> None:
    image = smooth_images(8, 12 * ratio, 12 * ratio)
    paper = build("paper", ratio)
    assert isinstance(paper, PaperDownscaler)
    paper.calibrate(image)
    thumbnail = paper.train(training)(image)
    bicubic = FixedDownscaler(ratio, "bicubic")(image)
    assert (thumbnail - bicubic).abs().max() < 0.03
    assert bicubic.std() > 0.2  # so that being close is not being grey
    assert thumbnail.std() > 0.2


def test_paper_once_calibrated_keeps_other_images_close_to_bicubic_too(smooth_images: SmoothImages) -> None:
    paper = PaperDownscaler(4, channels=16)
    paper.calibrate(smooth_images(8, 48, 48))
    other = smooth_images(5, 64, 56)
    assert (paper.eval()(other) - FixedDownscaler(4, "bicubic")(other)).abs().max() < 0.03


def test_calibration_leaves_the_mode_of_every_layer(smooth_images: SmoothImages) -> None:
    for training in (True, False):
        paper = PaperDownscaler(4, channels=8).train(training)
        paper.calibrate(smooth_images(2, 32, 32))
        assert {module.training for module in paper.modules()} == {training}


@every_kind
def test_learned_kinds_have_parameters_and_fixed_ones_have_none(kind: DownscalerKind) -> None:
    trainable = [parameter for parameter in build(kind, 4).parameters() if parameter.requires_grad]
    assert bool(trainable) == (kind not in FIXED_DOWNSCALERS)


@pytest.mark.parametrize("kind", ["paper", "residual"])
def test_channels_is_the_width_between_the_two_layers(kind: DownscalerKind) -> None:
    downscaler = build_downscaler(DownscalerSettings(kind=kind, channels=5), 4)
    weights = [tuple(p.shape) for p in downscaler.parameters() if p.dim() == 4]
    assert weights == [(5, 3, 5, 5), (3, 5, 5, 5)]


@pytest.mark.parametrize("kind", FIXED_FILTERS)
def test_at_ratio_1_a_filter_is_the_identity_and_costs_nothing(kind: DownscalerKind) -> None:
    downscaler = build(kind, 1)
    image = torch.rand(1, 3, 6, 5)
    assert torch.equal(downscaler(image), image)
    assert count_macs(downscaler, 32) == 0


def test_at_ratio_1_there_is_nothing_to_learn() -> None:
    with pytest.raises(ConfigError, match=r"downscaler\.kind is paper, but must be one of bicubic, area, lanczos"):
        build_downscaler(DownscalerSettings(kind="paper"), 1)


def filter_macs(side: int, ratio: int, taps: int, planes: int) -> int:
    """One pass down, one across, and in each a line of ones for the border."""
    small = side // ratio
    return taps * (planes * (small * side + small * small) + 2 * small)


@pytest.mark.parametrize(
    ("kind", "macs"),
    [
        ("area", filter_macs(32, 4, 4, 3)),
        ("bicubic", filter_macs(32, 4, 16, 3)),
        ("lanczos", filter_macs(32, 4, 24, 3)),
        ("paper", 16 * 16 * 16 * 75 + 8 * 8 * 3 * 25 * 16),
        ("residual", filter_macs(32, 4, 16, 3) + 16 * 16 * 16 * 75 + 8 * 8 * 3 * 25 * 16),
        (
            "learned_resizer",
            32 * 32 * (16 * 3 * 49 + 16 * 16)
            + filter_macs(32, 4, 8, 3)
            + filter_macs(32, 4, 8, 16)
            + 8 * 8 * (3 * 16 * 16 * 9 + 3 * 16 * 49),
        ),
        # Two blurs of 9 taps, the pass down on 8 px more a row; three resizes.
        ("muller", 2 * 3 * 9 * (32 * 40 + 32 * 32) + 3 * filter_macs(32, 4, 16, 3)),
        ("all_information", filter_macs(32, 4, 16, 3)),
    ],
)
def test_every_kind_costs_what_its_layers_cost_by_hand(kind: DownscalerKind, macs: int) -> None:
    assert count_macs(build(kind, 4), 32) == macs


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in FIXED_DOWNSCALERS])
def test_gradients_reach_every_parameter_after_a_first_step(kind: DownscalerKind) -> None:
    downscaler = build(kind, 4)
    torch.manual_seed(0)
    image, target = torch.rand(4, 3, 32, 32) * 0.5 + 0.25, torch.rand(4, 3, 8, 8)
    optimizer = torch.optim.SGD(downscaler.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (downscaler(image) - target).square().mean().backward()
        optimizer.step()
    for name, parameter in downscaler.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("kind", ["paper", "residual", "learned_resizer"])
def test_a_random_start_is_not_a_plain_thumbnail(kind: DownscalerKind, smooth_images: SmoothImages) -> None:
    image = smooth_images(4, 32, 32)
    torch.manual_seed(0)
    random = build_downscaler(DownscalerSettings(kind=kind, start="random"), 4)
    assert (random(image) - FixedDownscaler(4, "bicubic")(image)).abs().mean() > 0.05
    for module in random.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
        if isinstance(module, nn.Conv2d):
            assert (module.weight != 0).all()


@every_kind
def test_every_kind_exports_as_plain_operations(kind: DownscalerKind) -> None:
    downscaler = build(kind, 4).eval()
    image = torch.rand(1, 3, 32, 32)
    program = torch.export.export(downscaler, (image,))
    assert torch.allclose(program.module()(image), downscaler(image), atol=1e-6)
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [name for name in called if "upsample" in name or "interpolate" in name]
