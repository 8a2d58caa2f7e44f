"""Training keeps its promises: the teacher stays, losses fall, stops change nothing, the cache changes nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from conftest import write_photos
from thumbnet import StepTensors, Term, fit, train_teacher
from thumbnet.config import (
    CacheSettings,
    DownscalerSettings,
    FeatureMappingSettings,
    LossSettings,
    OptimizerSettings,
    StudentSettings,
    TrainSettings,
    ViewSettings,
)
from thumbnet.errors import ConfigError, DataError, NetworkError, TrainingError
from thumbnet.networks.teacher import Teacher
from thumbnet.run_folder import RunFolder
from tiny_networks import two_stages

Settings = Callable[..., TrainSettings]


def weights(run: str | Path) -> dict[str, Tensor]:
    bundle = Path(run) / "bundle"
    return {**load_file(bundle / "student.safetensors"), **load_file(bundle / "downscaler.safetensors")}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_leaves_everything_that_the_documentation_names(trained_run: Path) -> None:
    for name in (
        "config.yaml",
        "metrics.jsonl",
        "unreadable.jsonl",
        "evaluation.json",
        "predictions.csv",
        "report.html",
    ):
        assert (trained_run / name).is_file(), name
    for name in ("thumbnet.json", "student.safetensors", "downscaler.safetensors"):
        assert (trained_run / "bundle" / name).is_file(), name
    assert (trained_run / "checkpoints" / "last" / "state.pt").is_file()


def test_every_loss_is_logged_by_name_every_epoch(trained_run: Path) -> None:
    records = [json.loads(line) for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert all({"mm", "cl", "kd", "fm", "top1", "lr", "seconds", "step"} <= record.keys() for record in records)


def test_training_learns_what_the_pictures_show(tiny_settings: Settings) -> None:
    settings = tiny_settings(epochs=12, lr=5e-3, loss=LossSettings(mm=0.0, kd=0.0, fm=0.0, em=0.0))
    fit(settings, quiet=True)
    records = RunFolder(settings.output).read_metrics()
    assert records[-1]["cl"] < 0.6 * records[0]["cl"]
    assert records[-1]["top1"] == 1.0


def test_same_seed_gives_the_same_weights_and_another_seed_others(tiny_settings: Settings, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(tiny_settings(output=str(tmp_path / name), seed=seed), quiet=True)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_the_teacher_is_never_changed(tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    teachers: list[Teacher] = []
    original = Teacher.__init__

    def remember(self: Teacher, *arguments: object) -> None:
        original(self, *arguments)  # type: ignore[arg-type]
        teachers.append(self)

    monkeypatch.setattr(Teacher, "__init__", remember)
    fit(tiny_settings(views=ViewSettings(per_image=0), epochs=4), quiet=True)
    expected = two_stages().state_dict()
    found = teachers[0].tapped.network.state_dict()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


@pytest.mark.parametrize("kind", ["paper", "residual", "bicubic", "area", "lanczos"])
def test_every_downscaler_trains(kind: str, tiny_settings: Settings) -> None:
    bundle = fit(tiny_settings(downscaler=DownscalerSettings(kind=kind), epochs=1), quiet=True)  # type: ignore[arg-type]
    assert bundle.thumbnail_side == 8


def test_another_network_with_all_that_draws_and_freezes_resumes_exactly(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    student = StudentSettings(
        network="timm/test_resnet", weights="random", trainable="norms_and_head", drop_path=0.3, extra_ratios=(2,)
    )
    settings = tiny_settings(student=student, feature_mapping=FeatureMappingSettings(), batch_size=12)
    calls: list[int] = []

    def counted(step: StepTensors) -> Tensor:
        calls.append(1)
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return step.student_logits.sum() * 0

    stop_at, terms = 0, {"counted": Term(1.0, counted, needs_teacher=False)}
    fit(settings, output=tmp_path / "whole", terms=terms, quiet=True)
    stop_at, calls = 3, []
    with pytest.raises(KeyboardInterrupt):
        fit(settings, terms=terms, quiet=True)
    stop_at = 0
    fit(settings, terms=terms, resume=True, quiet=True)
    assert same(weights(tmp_path / "whole"), weights(settings.output))
    evaluation = RunFolder(settings.output).read_evaluation()
    assert evaluation is not None
    assert 0 <= evaluation["student"]["top1"] <= 1
    assert "untrained_bicubic" in evaluation


def test_a_pruned_student_starts_from_another_runs_student_and_ships(
    tiny_settings: Settings, trained_run: Path
) -> None:
    settings = tiny_settings(student=StudentSettings(weights=str(trained_run), prune=0.5), epochs=1)
    bundle = fit(settings, quiet=True)
    assert bundle.student.get_submodule("1.0").out_channels < 16  # type: ignore[operator]
    evaluation = RunFolder(settings.output).read_evaluation()
    assert evaluation is not None
    whole = RunFolder(trained_run).read_evaluation()
    assert whole is not None
    assert evaluation["student"]["macs"] <= 0.5 * whole["student"]["macs"]


def test_a_run_that_a_student_starts_from_is_not_replaced_by_it(tiny_settings: Settings, trained_run: Path) -> None:
    start = StudentSettings(weights=str(trained_run))
    with pytest.raises(ConfigError, match="would remove"):
        fit(tiny_settings(student=start, output=str(trained_run)), overwrite=True, quiet=True)


def test_only_learned_downscalers_change(tiny_settings: Settings, tmp_path: Path) -> None:
    fit(tiny_settings(output=str(tmp_path / "a"), epochs=1), quiet=True)
    fit(tiny_settings(output=str(tmp_path / "b"), epochs=4, lr=1e-2), quiet=True)
    first, second = (load_file(tmp_path / name / "bundle" / "downscaler.safetensors") for name in "ab")
    key = "correction.conv1.weight"
    assert not torch.equal(first[key], second[key])


def test_a_loss_of_the_users_own_needs_no_change_to_the_package(tiny_settings: Settings) -> None:
    seen: list[StepTensors] = []

    def brightness(step: StepTensors) -> Tensor:
        seen.append(step)
        return (step.thumbnail.mean() - 0.75).square()

    settings = tiny_settings(epochs=1)
    fit(settings, terms={"brightness": Term(0.5, brightness)}, quiet=True)
    assert RunFolder(settings.output).read_metrics()[0]["brightness"] > 0
    assert seen[0].teacher_features["1"].shape[1:] == (16, 8, 8)
    assert seen[0].decoded_features["1"].shape == seen[0].teacher_features["1"].shape
    assert seen[0].thumbnail.requires_grad


def test_accumulated_slices_step_once_a_batch(tiny_settings: Settings) -> None:
    settings = tiny_settings(epochs=1, optimizer=OptimizerSettings(accumulation_steps=4))
    fit(settings, quiet=True)
    assert RunFolder(settings.output).read_metrics()[0]["step"] == 3  # 24 pictures in batches of 8


def test_the_cache_gives_the_same_training_as_asking_the_teacher(tiny_settings: Settings, tmp_path: Path) -> None:
    """Half precision is the only difference between a cached answer and a live one."""
    views = ViewSettings(per_image=1)
    fit(tiny_settings(output=str(tmp_path / "cached"), views=views, epochs=1), quiet=True)
    # With one epoch, fresh views are view number 0 of each picture, as fixed ones are.
    fit(tiny_settings(output=str(tmp_path / "live"), views=replace(views, per_image=0), epochs=1), quiet=True)
    cached, live = (RunFolder(tmp_path / name).read_metrics()[0] for name in ("cached", "live"))
    for loss in ("mm", "cl", "kd", "fm"):
        assert cached[loss] == pytest.approx(live[loss], rel=2e-3), loss


@pytest.mark.parametrize("pixels", [True, False])
def test_a_cached_epoch_never_runs_the_teacher(
    pixels: bool, tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = CacheSettings(folder=str(tmp_path / "cache"), pixels=pixels)
    fit(tiny_settings(output=str(tmp_path / "first"), cache=cache), quiet=True)

    def refuse(self: Teacher, normalised: Tensor) -> None:
        raise AssertionError("the teacher was asked")

    monkeypatch.setattr(Teacher, "forward", refuse)
    fit(tiny_settings(output=str(tmp_path / "second"), cache=cache), quiet=True)
    assert same(weights(tmp_path / "first"), weights(tmp_path / "second"))


def test_stored_pixels_change_nothing(tiny_settings: Settings, tmp_path: Path) -> None:
    for name, pixels in (("stored", True), ("read", False)):
        cache = CacheSettings(folder=str(tmp_path / name / "cache"), pixels=pixels)
        fit(tiny_settings(output=str(tmp_path / name / "run"), cache=cache), quiet=True)
    assert same(weights(tmp_path / "stored" / "run"), weights(tmp_path / "read" / "run"))


def test_another_seed_asks_the_teacher_again(tiny_settings: Settings, tmp_path: Path) -> None:
    cache = CacheSettings(folder=str(tmp_path / "cache"))
    for seed in (0, 1):
        fit(tiny_settings(output=str(tmp_path / f"run{seed}"), cache=cache, seed=seed, epochs=1), quiet=True)
    assert len(list((tmp_path / "cache" / "teacher").glob("*/pixels.npy"))) == 2


def test_a_cache_above_its_limit_is_refused_before_space_is_taken(tiny_settings: Settings, tmp_path: Path) -> None:
    settings = tiny_settings(cache=CacheSettings(folder=str(tmp_path / "cache"), limit_gb=1e-6))
    with pytest.raises(ConfigError, match=r"--cache\.limit_gb"):
        fit(settings, quiet=True)
    assert not (tmp_path / "cache" / "teacher").exists()


def test_nan_stops_training_and_names_the_term_and_the_step(tiny_settings: Settings) -> None:
    def breaks(step: StepTensors) -> Tensor:
        return step.student_logits.sum() * float("nan")

    with pytest.raises(TrainingError, match="loss 'mine' became nan at step 0"):
        fit(tiny_settings(), terms={"mine": Term(1.0, breaks, needs_teacher=False)}, quiet=True)


def test_a_gradient_that_is_not_finite_stops_training_before_it_reaches_the_weights(tiny_settings: Settings) -> None:
    def infinite_slope(step: StepTensors) -> Tensor:
        return (step.student_logits - step.student_logits.detach()).abs().sqrt().sum()

    settings = tiny_settings()
    with pytest.raises(TrainingError, match="'gradient norm' became nan at step 0"):
        fit(settings, terms={"slope": Term(1.0, infinite_slope)}, quiet=True)
    assert not Path(settings.output).exists()


def test_a_run_that_fails_before_its_first_checkpoint_leaves_nothing(tiny_settings: Settings, tmp_path: Path) -> None:
    settings = tiny_settings(cache=CacheSettings(folder=str(tmp_path / "cache"), limit_gb=1e-6))
    with pytest.raises(ConfigError):
        fit(settings, quiet=True)
    assert not Path(settings.output).exists()


def test_overwriting_never_removes_what_the_new_run_needs(tiny_settings: Settings) -> None:
    settings = tiny_settings(epochs=1)
    file = train_teacher(settings, quiet=True)
    with pytest.raises(ConfigError, match="would remove"):
        fit(settings, teacher_weights=str(file), overwrite=True, quiet=True)
    assert file.exists()


def test_a_teacher_of_other_class_names_is_refused(tiny_settings: Settings, tmp_path: Path) -> None:
    file = train_teacher(tiny_settings(output=str(tmp_path / "teacher"), epochs=1), quiet=True)
    counts = {split: {"dark": 4, "round": 4} for split in ("train", "val")}
    other = write_photos(tmp_path / "other", counts)
    with pytest.raises(NetworkError, match="the teacher's classes are flat, round, the data's dark, round"):
        fit(tiny_settings(data=str(other), teacher_weights=str(file)), quiet=True)


def test_python_settings_take_paths_and_name_misspellings(
    tiny_settings: Settings, photos: Path, tmp_path: Path
) -> None:
    fit(tiny_settings(epochs=1), data=photos, output=tmp_path / "by-path", quiet=True)
    assert (tmp_path / "by-path" / "report.html").exists()
    with pytest.raises(ConfigError, match="epoch"):
        fit(tiny_settings(), epoch=3, quiet=True)


def test_a_teacher_that_answers_with_infinities_is_named(tiny_settings: Settings) -> None:
    with pytest.raises(TrainingError, match="teacher's answer is not finite"):
        fit(tiny_settings(teacher="tiny_networks:explodes"), quiet=True)


def test_a_teacher_of_other_classes_is_refused_and_leaves_nothing(tiny_settings: Settings) -> None:
    settings = tiny_settings(teacher="tiny_networks:thousand_classes")
    with pytest.raises(NetworkError, match="1000 classes, the data has 2"):
        fit(settings, quiet=True)
    assert not Path(settings.output).exists()


def test_a_ratio_that_leaves_too_few_pixels_names_the_layer_and_the_side(tiny_settings: Settings) -> None:
    with pytest.raises(NetworkError, match=r"layer '2'.*smallest side that works is 17 px"):
        fit(tiny_settings(teacher="tiny_networks:no_padding"), quiet=True)


def test_a_ratio_that_does_not_divide_the_side_is_refused_with_the_nearest_side(tiny_settings: Settings) -> None:
    with pytest.raises(ConfigError, match="--image-side 33"):
        fit(tiny_settings(ratio=3), quiet=True)


def test_random_teacher_weights_are_allowed_with_a_warning(
    tiny_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(tiny_settings(teacher_weights="random", epochs=1))
    assert "it teaches nothing" in capsys.readouterr().err


def test_an_existing_run_is_refused_and_kept(tiny_settings: Settings) -> None:
    settings = tiny_settings(epochs=1)
    fit(settings, quiet=True)
    before = weights(settings.output)
    with pytest.raises(ConfigError, match="--overwrite"):
        fit(settings, seed=5, quiet=True)
    with pytest.raises(ConfigError, match="begun with seed 0, not 5"):
        fit(settings, seed=5, resume=True, quiet=True)
    with pytest.raises(NetworkError):
        fit(settings, teacher="tiny_networks:thousand_classes", overwrite=True, quiet=True)
    assert same(before, weights(settings.output))
    fit(settings, seed=5, overwrite=True, quiet=True)
    assert not same(before, weights(settings.output))


def test_too_many_unreadable_pictures_stop_the_run_and_few_are_listed(
    tiny_settings: Settings, photos: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for path in photos.rglob("*.png"):
        target = data / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (data / "train" / "flat" / "000.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 24 pictures \(4\.2%\) cannot be read"):
        fit(tiny_settings(data=str(data)), quiet=True)
    settings = tiny_settings(data=str(data), allow_unreadable=0.05, epochs=1)
    fit(settings, quiet=True)
    listed = json.loads(RunFolder(settings.output).unreadable.read_text())
    assert listed == {"split": "train", "picture": "flat/000.png", "reason": "the file is empty (0 bytes)"}


def test_resuming_a_stopped_run_ends_with_the_same_weights(tiny_settings: Settings, tmp_path: Path) -> None:
    whole, stopped = tiny_settings(output=str(tmp_path / "whole"), epochs=3), tiny_settings(epochs=3)
    fit(whole, quiet=True)

    def stop_in_the_second_epoch(step: StepTensors) -> Tensor:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return step.student_logits.sum() * 0

    calls: list[int] = []
    silent = {"stop": Term(1.0, lambda step: step.student_logits.sum() * 0, needs_teacher=False)}
    fit(tiny_settings(output=str(tmp_path / "with-term"), epochs=3), terms=silent, quiet=True)
    stopping = {"stop": Term(1.0, stop_in_the_second_epoch, needs_teacher=False)}
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, terms=stopping, quiet=True)
    assert len(RunFolder(stopped.output).read_metrics()) == 1
    fit(stopped, terms=silent, resume=True, quiet=True)
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


def test_a_teacher_is_trained_by_the_same_loop_and_teaches(tiny_settings: Settings, tmp_path: Path) -> None:
    settings = tiny_settings(output=str(tmp_path / "teacher"), epochs=12, lr=5e-3)
    file = train_teacher(settings, quiet=True)
    assert file == tmp_path / "teacher" / "teacher.safetensors"
    evaluation = RunFolder(settings.output).read_evaluation()
    assert evaluation is not None
    assert evaluation["teacher"]["top1"] == 1.0
    assert load_file(file).keys() == two_stages().state_dict().keys()
    fit(tiny_settings(teacher_weights=str(file), epochs=1), quiet=True)
    student = RunFolder(tiny_settings().output).read_evaluation()
    assert student is not None
    assert student["teacher"]["top1"] == 1.0


def test_a_teachers_training_gives_a_thousand_class_network_a_new_head(tiny_settings: Settings) -> None:
    file = train_teacher(tiny_settings(teacher="tiny_networks:thousand_classes", epochs=1), quiet=True)
    assert load_file(file)["5.weight"].shape == (2, 16)


def test_evaluation_every_few_epochs_and_after_the_last_changes_no_weight(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    weights = []
    for every in (1, 3):
        settings = tiny_settings(output=str(tmp_path / str(every)), evaluate_every=every, epochs=4)
        weights.append(fit(settings, quiet=True).student.state_dict())
    measured = [[("top1" in line) for line in RunFolder(tmp_path / name).read_metrics()] for name in "13"]
    assert measured == [[True] * 4, [False, False, True, True]]
    every_epoch, seldom = (RunFolder(tmp_path / name).read_metrics()[-1]["top1"] for name in "13")
    assert every_epoch == seldom
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
