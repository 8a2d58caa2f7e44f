"""Stopped at any moment and resumed, a run ends as one that was never stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bundle_weights import same, weights
from stopping_term import stopping_at
from thumbnet import fit
from thumbnet.config import (
    FeatureMappingSettings,
    StudentSettings,
    TrainSettings,
)
from thumbnet.run_folder import RunFolder

Settings = Callable[..., TrainSettings]


def test_another_network_with_all_that_draws_and_freezes_resumes_exactly(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    student = StudentSettings(
        network="timm/test_resnet", weights="random", trainable="norms_and_head", drop_path=0.3, extra_ratios=(2,)
    )
    settings = tiny_settings(student=student, feature_mapping=FeatureMappingSettings(), batch_size=12)
    fit(settings, output=tmp_path / "whole", terms=stopping_at(), quiet=True)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, terms=stopping_at(3), quiet=True)
    fit(settings, terms=stopping_at(), resume=True, quiet=True)
    assert same(weights(tmp_path / "whole"), weights(settings.output))
    evaluation = RunFolder(settings.output).read_evaluation()
    assert evaluation is not None
    assert 0 <= evaluation["student"]["top1"] <= 1
    assert "untrained_bicubic" in evaluation


def test_resuming_a_stopped_run_ends_with_the_same_weights(tiny_settings: Settings, tmp_path: Path) -> None:
    whole, stopped = tiny_settings(output=str(tmp_path / "whole"), epochs=3), tiny_settings(epochs=3)
    fit(whole, quiet=True)
    fit(tiny_settings(output=str(tmp_path / "with-term"), epochs=3), terms=stopping_at(), quiet=True)
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, terms=stopping_at(5), quiet=True)
    assert len(RunFolder(stopped.output).read_metrics()) == 1
    fit(stopped, terms=stopping_at(), resume=True, quiet=True)
    assert same(weights(tmp_path / "with-term"), weights(stopped.output))
    whole_metrics, resumed_metrics = (
        RunFolder(path).read_metrics() for path in (tmp_path / "with-term", stopped.output)
    )
    for expected, found in zip(whole_metrics, resumed_metrics, strict=True):
        assert {k: v for k, v in expected.items() if k != "seconds"} == {
            k: v for k, v in found.items() if k != "seconds"
        }


@pytest.mark.timeout(300)
def test_kill_9_at_any_moment_and_resume_equals_a_run_never_stopped(
    tiny_settings: Settings, photos: Path, tmp_path: Path
) -> None:
    """Killed within an epoch that has checkpoints at its end only, then again where every step has one."""
    settings = tiny_settings(output=str(tmp_path / "whole"), epochs=4, batch_size=4)
    fit(settings, quiet=True)
    killed = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "thumbnet",
        "train",
        "--teacher",
        "tiny_networks:two_stages",
        "--data",
        str(photos),
    ]
    command += [
        "--image-side",
        "32",
        "--epochs",
        "4",
        "--batch-size",
        "4",
        "--workers",
        "0",
        "--device",
        "cpu",
        "--views.per_image",
        "2",
    ]
    command += ["--feature_mapping.layers", '["1"]', "--cache.limit_gb", "0.1", "--output", str(killed), "--resume"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    for minutes, steps_before_the_kill in (("10", 7), ("1e-9", 14)):
        process = subprocess.Popen([*command, "--checkpoint-minutes", minutes], env=environment, stderr=subprocess.PIPE)
        _wait_for_step(killed, steps_before_the_kill - 1, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not (killed / "bundle").exists()
    fit(settings, output=str(killed), resume=True, quiet=True)
    assert same(weights(settings.output), weights(killed))


def _wait_for_step(run: Path, step: int, process: "subprocess.Popen[bytes]") -> None:
    checkpoint = run / "checkpoints" / "last" / "state.pt"
    while process.poll() is None:
        try:
            if torch.load(checkpoint, weights_only=True)["position"]["step"] >= step:
                return
        except FileNotFoundError:
            continue
