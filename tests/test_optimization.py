"""The optimiser, its schedule, and the moving average."""

import math

import pytest
import torch
from torch import nn

from thumbnet.config import DownscalerKind, DownscalerSettings, OptimizerSettings
from thumbnet.networks.downscaler import build_downscaler
from thumbnet.networks.feature_mapping import Decoder, FeatureMapping
from thumbnet.networks.pair import Pair
from thumbnet.networks.taps import TappedNetwork
from thumbnet.optimization import averaged, build_average, build_optimizer, build_schedule


def build_pair(kind: DownscalerKind = "residual") -> Pair:
    torch.manual_seed(0)
    student = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    mapping = FeatureMapping({"1": Decoder((4, 2, 2), (4, 8, 8), channels=4)})
    downscaler = build_downscaler(DownscalerSettings(kind=kind), 4)
    return Pair(downscaler, TappedNetwork(student, ("1",)), mapping, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


def learning_rates(steps: int, warmup_share: float) -> list[float]:
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=1.0)
    schedule = build_schedule(optimizer, steps, warmup_share)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [*rates, optimizer.param_groups[0]["lr"]]


def test_learning_rate_warms_up_linearly_then_follows_a_cosine_to_0() -> None:
    rates = learning_rates(steps=20, warmup_share=0.2)
    assert rates[:5] == pytest.approx([1 / 5, 2 / 5, 3 / 5, 4 / 5, 1.0])
    cosine = [0.5 * (1 + math.cos(math.pi * i / 16)) for i in range(17)]
    assert rates[4:] == pytest.approx(cosine)
    assert rates[12] == pytest.approx(0.5)
    assert rates[20] == pytest.approx(0.0)


def test_without_warmup_the_first_step_is_the_largest() -> None:
    rates = learning_rates(steps=10, warmup_share=0.0)
    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("warmup_share", [0.0, 0.1, 0.5, 0.99])
def test_even_the_shortest_run_learns(steps: int, warmup_share: float) -> None:
    rates = learning_rates(steps, warmup_share)
    assert all(0 < rate <= 1 for rate in rates[:steps])


def test_norms_and_biases_have_no_weight_decay_and_everything_else_has() -> None:
    pair = build_pair()
    optimizer = build_optimizer(pair, OptimizerSettings(weight_decay=0.3), lr=0.1)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in pair.named_parameters():
        assert decays[id(parameter)] == (0.3 if parameter.dim() > 1 else 0.0), name
    assert len(decays) == len(list(pair.parameters()))


def test_weight_decay_alone_shrinks_matrices_and_leaves_norms() -> None:
    pair = build_pair()
    before = {name: value.detach().clone() for name, value in pair.named_parameters()}
    optimizer = build_optimizer(pair, OptimizerSettings(weight_decay=0.5), lr=0.1)
    for parameter in pair.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in pair.named_parameters():
        shrunk = before[name] * (1 - 0.1 * 0.5) if parameter.dim() > 1 else before[name]
        assert torch.allclose(parameter, shrunk), name


def test_the_downscaler_learns_at_its_own_rate() -> None:
    pair = build_pair()
    optimizer = build_optimizer(pair, OptimizerSettings(downscaler_lr_factor=0.25), lr=0.1)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in pair.downscaler.parameters()} == {0.025}
    assert {rates[id(p)] for p in pair.student.parameters()} == {0.1}
    assert {rates[id(p)] for p in pair.feature_mapping.parameters()} == {0.1}


def test_the_schedule_keeps_the_downscalers_factor() -> None:
    optimizer = build_optimizer(build_pair(), OptimizerSettings(downscaler_lr_factor=0.25), lr=0.1)
    schedule = build_schedule(optimizer, 10, 0.0)
    for _ in range(5):
        optimizer.step()
        schedule.step()
    assert {round(group["lr"], 9) for group in optimizer.param_groups} == {0.0125, 0.05}


def test_what_has_nothing_to_learn_is_left_out() -> None:
    pair = build_pair("bicubic")
    pair.student.network.get_submodule("0").requires_grad_(False)
    optimizer = build_optimizer(pair, OptimizerSettings(), lr=0.1)
    given = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert given == {id(p) for p in pair.parameters() if p.requires_grad}


def test_the_average_follows_weights_and_buffers() -> None:
    pair = build_pair()
    average = build_average(pair, decay=0.75)
    norm = pair.student.network.get_submodule("1")
    with torch.no_grad():
        norm.weight.fill_(5.0)
        norm.running_mean.fill_(8.0)
        norm.num_batches_tracked.fill_(7)
    average.update(pair, step=1000)
    mean = averaged(average, pair).student.network.get_submodule("1")
    assert torch.allclose(mean.weight, torch.full((4,), 0.75 * 1 + 0.25 * 5))
    assert torch.allclose(mean.running_mean, torch.full((4,), 0.25 * 8))
    assert mean.num_batches_tracked == 7


def test_the_average_follows_quickly_at_first_and_slowly_later() -> None:
    shares = []
    for step in (1, 2, 10, 1000):
        pair = build_pair()
        average = build_average(pair, decay=0.99)
        with torch.no_grad():
            pair.student.network.get_parameter("1.weight").fill_(2.0)
        average.update(pair, step=step)
        shares.append(averaged(average, pair).student.network.get_parameter("1.weight")[0].item() - 1)
    # The share of the newest weights: step^-0.75, until that is less than 1 - decay.
    assert shares == pytest.approx([1, 2**-0.75, 10**-0.75, 0.01], abs=1e-5)


def test_the_average_is_a_copy_that_reads_its_own_features() -> None:
    pair = build_pair().eval()
    average = build_average(pair, decay=0.9)
    image = torch.rand(1, 3, 8, 8)
    before = averaged(average, pair)(image).features["1"]
    with torch.no_grad():
        for parameter in pair.parameters():
            parameter.zero_()
    assert torch.equal(averaged(average, pair)(image).features["1"], before)
    assert not pair(image).features["1"].any()


def test_without_an_average_the_pair_itself_is_evaluated() -> None:
    pair = build_pair()
    assert averaged(None, pair) is pair
