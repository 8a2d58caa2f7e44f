"""Training goes round a crash in oneDNN: RepVGG's first layer, on a processor with AVX2 and no AVX-512."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import timm
import torch
from torch import Tensor, nn

from thumbnet import StepTensors, Term, fit
from thumbnet.config import FeatureMappingSettings, TrainSettings
from thumbnet.onednn import crashes_backward, for_backward

Settings = Callable[..., TrainSettings]
CPU = torch.device("cpu")


@pytest.fixture
def without_avx512(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


@pytest.mark.parametrize(("name", "crashes"), [("repvgg_a0", True), ("resnet18", False), ("vgg11", False)])
def test_only_a_strided_look_at_single_pixels_crashes(name: str, crashes: bool, without_avx512: None) -> None:
    assert crashes_backward(timm.create_model(name), CPU) == crashes


@pytest.mark.parametrize(("capability", "device"), [("AVX512", "cpu"), ("NO AVX", "cpu"), ("AVX2", "cuda")])
def test_other_processors_and_devices_keep_onednn(
    capability: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert not crashes_backward(nn.Conv2d(3, 8, 1, stride=2), torch.device(device))


def test_onednn_is_off_within_and_as_it_was_afterwards() -> None:
    before = torch.backends.mkldnn.enabled
    with for_backward(crashes=True):
        assert not torch.backends.mkldnn.enabled
    assert torch.backends.mkldnn.enabled == before
    with for_backward(crashes=False):
        assert torch.backends.mkldnn.enabled == before


def test_every_backward_pass_of_training_goes_round_it(
    tiny_settings: Settings, without_avx512: None, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[bool] = []

    def noted(step: StepTensors) -> Tensor:
        step.student_logits.register_hook(lambda _: seen.append(torch.backends.mkldnn.enabled))
        return step.student_logits.square().mean()

    settings = tiny_settings(teacher="timm/repvgg_a0", teacher_weights="random", image_side=64, ratio=2, epochs=1)
    terms = {"noted": Term(1.0, noted, needs_teacher=False, needs_features=False)}
    fit(replace(settings, feature_mapping=FeatureMappingSettings()), terms=terms)
    assert seen
    assert not any(seen)
    assert "backward passes go without it" in capsys.readouterr().err
