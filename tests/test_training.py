"""Training keeps its promises: the teacher stays, losses fall, stops change nothing, the cache changes nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bundle_weights import same, weights
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
from thumbnet.errors import ConfigError
from thumbnet.networks.processor_layers import SubsampledFirst
from thumbnet.networks.teacher import Teacher
from thumbnet.run_folder import RunFolder
from tiny_networks import two_stages

Settings = Callable[..., TrainSettings]


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


def test_on_a_processor_training_goes_through_the_layers_made_for_it(
    tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: list[int] = []
    original = SubsampledFirst.forward

    def noting(self: SubsampledFirst, values: Tensor) -> Tensor:
        sides.append(values.shape[-1])
        return original(self, values)

    monkeypatch.setattr(SubsampledFirst, "forward", noting)
    settings = tiny_settings(teacher="timm/repvgg_a0", teacher_weights="random", image_side=64, ratio=2, epochs=1)
    bundle = fit(replace(settings, feature_mapping=FeatureMappingSettings()), quiet=True)
    assert set(sides) == {32}
    assert not any(isinstance(layer, SubsampledFirst) for layer in bundle.student.modules())


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


def test_a_run_with_fewer_losses_reads_the_cache_of_one_with_all(
    tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, fewer = CacheSettings(folder=str(tmp_path / "cache")), LossSettings(fm=0)
    alone = tiny_settings(output=str(tmp_path / "alone"), cache=CacheSettings(folder=str(tmp_path / "own")), loss=fewer)
    fit(alone, quiet=True)
    fit(tiny_settings(output=str(tmp_path / "all"), cache=cache), quiet=True)
    monkeypatch.delattr(Teacher, "forward")
    fit(replace(alone, output=str(tmp_path / "shared"), cache=cache), quiet=True)
    assert same(weights(tmp_path / "alone"), weights(tmp_path / "shared"))


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
