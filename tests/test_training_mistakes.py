"""What training refuses: in one line, before anything is lost."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bundle_weights import same, weights
from conftest import write_photos
from stopping_term import stopping_at
from thumbnet import StepTensors, Term, fit, train_teacher
from thumbnet.config import (
    CacheSettings,
    TrainSettings,
)
from thumbnet.errors import ConfigError, DataError, NetworkError, TrainingError
from thumbnet.run_folder import RunFolder

Settings = Callable[..., TrainSettings]


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


def test_a_step_that_does_not_fit_into_memory_says_what_to_give_and_leaves_nothing(tiny_settings: Settings) -> None:
    def fills_the_memory(_: StepTensors) -> Tensor:
        return torch.empty(2**56, dtype=torch.uint8)

    settings = tiny_settings()
    advice = r"; give --optimizer\.accumulation_steps 2 or more, .* or a smaller --batch-size$"
    with pytest.raises(TrainingError, match=f"not enough memory .*{advice}"):
        fit(settings, terms={"full": Term(1.0, fills_the_memory)}, quiet=True)
    assert not Path(settings.output).exists()


def test_an_evaluation_that_does_not_fit_into_memory_keeps_what_was_trained(
    tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fills_the_memory(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr("thumbnet.training.evaluate", fills_the_memory)
    settings = tiny_settings(epochs=1)
    with pytest.raises(TrainingError, match=r"written: evaluate it by `thumbnet evaluate .*run --batch-size 8`"):
        fit(settings, quiet=True)
    assert (Path(settings.output) / "bundle" / "thumbnet.json").is_file()


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


def test_resuming_with_another_teacher_in_the_same_file_is_refused(tiny_settings: Settings, tmp_path: Path) -> None:
    teachers = [
        train_teacher(tiny_settings(output=str(tmp_path / f"{n}"), epochs=1, seed=n), quiet=True) for n in (0, 1)
    ]
    weights_file = tmp_path / "teacher.safetensors"
    shutil.copy(teachers[0], weights_file)
    settings = tiny_settings(teacher_weights=str(weights_file))
    with pytest.raises(KeyboardInterrupt):
        fit(settings, terms=stopping_at(2), quiet=True)
    shutil.copy(teachers[1], weights_file)
    with pytest.raises(ConfigError, match=rf"the weights of the teacher \({weights_file}\) changed since"):
        fit(settings, terms=stopping_at(), resume=True, quiet=True)
    shutil.copy(teachers[0], weights_file)
    fit(settings, terms=stopping_at(), resume=True, quiet=True)


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
