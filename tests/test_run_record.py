from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from thumbnet.config import CacheSettings, LossSettings, StudentSettings, ThumbnailSettings, TrainSettings, ViewSettings
from thumbnet.errors import CheckpointError, ConfigError
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import (
    differing_setting,
    held_out_in_training,
    record_of,
    require_same_record,
    settings_of,
)

LOSSES = {"cl": 1.0}
SETTINGS = TrainSettings(
    teacher="timm/resnet18", data="photos", output="runs/one", lr=1e-5, views=ViewSettings(per_image=2)
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run that was begun with SETTINGS."""
    run = RunFolder(tmp_path / "one")
    run.begin(record_of(SETTINGS, "fingerprint", LOSSES), overwrite=False)
    return run


def difference(run: RunFolder, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        require_same_record(run, record_of(replace(SETTINGS, **changes), "fingerprint", LOSSES))
    problem = str(caught.value)
    assert problem.startswith("--resume: ")
    assert problem.isprintable(), "a problem is one line of text"
    return problem


def test_a_record_holds_every_setting_the_data_and_the_versions(run: RunFolder) -> None:
    record = run.read_config()
    recorded = record.pop("recorded")
    assert record == SETTINGS.as_dict()
    assert recorded["data_fingerprint"] == "fingerprint"
    assert recorded["versions"]["torch"] == version("torch")
    assert recorded["versions"].keys() == {"python", "thumbnet", "torch", "torchvision", "timm", "accelerate"}


def test_the_settings_of_a_run_are_those_it_was_made_with(run: RunFolder) -> None:
    assert settings_of(run) == SETTINGS


def test_settings_that_this_version_does_not_know_are_a_config_error(run: RunFolder) -> None:
    run.begin({**record_of(SETTINGS, "fingerprint", LOSSES), "novel": 1}, overwrite=False)
    with pytest.raises(ConfigError, match="novel"):
        settings_of(run)


def test_the_settings_of_a_damaged_run_are_a_checkpoint_error(run: RunFolder) -> None:
    run.config.write_bytes(b"")
    with pytest.raises(CheckpointError, match="damaged"):
        settings_of(run)


def test_a_run_goes_on_with_the_same_settings_and_data(run: RunFolder) -> None:
    require_same_record(run, record_of(SETTINGS, "fingerprint", LOSSES))


def test_a_run_of_an_older_version_goes_on_with_the_defaults_of_what_is_new(run: RunFolder) -> None:
    record = record_of(SETTINGS, "fingerprint", LOSSES)
    del record["thumbnail"]
    run.begin(record, overwrite=False)
    require_same_record(run, record_of(SETTINGS, "fingerprint", LOSSES))
    noisy = ThumbnailSettings(codec_noise=0.5)
    assert "was begun with thumbnail.codec_noise 0.0, not 0.5;" in difference(run, thumbnail=noisy)


def test_a_run_that_never_began_goes_on_with_any(tmp_path: Path) -> None:
    require_same_record(RunFolder(tmp_path / "new"), record_of(SETTINGS, "fingerprint", LOSSES))


def test_what_does_not_change_the_result_may_differ(run: RunFolder) -> None:
    free = replace(
        SETTINGS,
        output="elsewhere",
        workers=7,
        device="cpu",
        checkpoint_minutes=1.0,
        tracker="tensorboard",
        allow_unreadable=0.5,
        cache=CacheSettings(folder="/tmp", limit_gb=1.0),
    )
    require_same_record(run, record_of(free, "fingerprint", LOSSES))


def test_the_first_setting_that_differs_is_named(run: RunFolder) -> None:
    assert difference(run, lr=0.1, ratio=2) == (
        f"--resume: {run.path} was begun with ratio 4, not 2; give the same settings, or --overwrite to start again"
    )


def test_a_setting_within_a_group_is_named_as_its_flag(run: RunFolder) -> None:
    assert "was begun with loss.kd 1.0, not 2.0;" in difference(run, loss=LossSettings(kd=2.0))
    views = ViewSettings(per_image=2, scale=(0.25, 1.0))
    assert "was begun with views.scale [0.5, 1.0], not [0.25, 1.0];" in difference(run, views=views)


def test_a_run_begun_before_a_setting_was_there_goes_on_with_its_default(run: RunFolder) -> None:
    record = run.read_config()
    del record["views"]["cached_flips"], record["seed"]
    run.begin(record, overwrite=False)
    require_same_record(run, record_of(SETTINGS, "fingerprint", LOSSES))
    assert "was begun with seed 0, not 1;" in difference(run, seed=1)


def test_changed_pictures_are_noticed(run: RunFolder) -> None:
    with pytest.raises(ConfigError) as caught:
        require_same_record(run, record_of(SETTINGS, "another fingerprint", LOSSES))
    assert str(caught.value) == (
        f"--resume: the pictures changed since {run.path} was begun; put them back, or give --overwrite"
    )


def test_another_teacher_in_the_same_file_is_noticed(run: RunFolder) -> None:
    run.begin(record_of(SETTINGS, "fingerprint", LOSSES, teacher="weights"), overwrite=False)
    require_same_record(run, record_of(SETTINGS, "fingerprint", LOSSES, teacher="weights"))
    with pytest.raises(ConfigError) as caught:
        require_same_record(run, record_of(SETTINGS, "fingerprint", LOSSES, teacher="other weights"))
    problem = f"--resume: the weights of the teacher (pretrained) changed since {run.path} was begun"
    assert str(caught.value) == f"{problem}; put them back, or give --overwrite"


def test_a_run_from_before_the_teacher_was_recorded_goes_on(run: RunFolder) -> None:
    require_same_record(run, record_of(SETTINGS, "fingerprint", LOSSES, teacher="weights"))


def test_the_held_out_pictures_are_recorded_and_not_known_of_an_older_run(run: RunFolder) -> None:
    assert held_out_in_training(run) is None
    run.begin(record_of(SETTINGS, "fingerprint", LOSSES, held_out="names"), overwrite=False)
    assert held_out_in_training(run) == "names"


def test_a_run_without_a_record_of_its_data_does_not_go_on(run: RunFolder) -> None:
    run.begin({**SETTINGS.as_dict(), "recorded": None}, overwrite=False)
    with pytest.raises(ConfigError, match="begun with the losses others"):
        require_same_record(run, record_of(SETTINGS, "fingerprint", LOSSES))


def test_other_losses_do_not_go_on(run: RunFolder) -> None:
    with pytest.raises(ConfigError, match=r"begun with the losses cl; give the same `terms`"):
        require_same_record(run, record_of(SETTINGS, "fingerprint", {"cl": 1.0, "edges": 0.1}))


def test_what_a_kind_of_run_has_no_use_for_is_neither_kept_nor_compared(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "teacher")
    record = record_of(SETTINGS, "fingerprint", LOSSES, unused=("downscaler", "loss.kd"))
    run.begin(record, overwrite=False)
    kept = run.read_config()
    assert "downscaler" not in kept
    assert "kd" not in kept["loss"]
    assert "cl" in kept["loss"]
    require_same_record(run, record)
    assert settings_of(run) == SETTINGS


def test_a_run_begun_before_a_setting_was_known_goes_on_with_its_default(run: RunFolder) -> None:
    content = run.read_config()
    del content["student"]["drop_path"]
    run.begin(content, overwrite=False)
    require_same_record(run, record_of(SETTINGS, "fingerprint", LOSSES))
    assert "begun with student.drop_path 0.0, not 0.1" in difference(run, student=StudentSettings(drop_path=0.1))


def test_a_run_from_before_embedding_matching_had_none(run: RunFolder) -> None:
    content = run.read_config()
    del content["loss"]["em"]
    run.begin(content, overwrite=False)
    assert settings_of(run).loss.em == 0
    without = replace(SETTINGS, loss=replace(SETTINGS.loss, em=0.0))
    require_same_record(run, record_of(without, "fingerprint", LOSSES))
    assert differing_setting(run, without) is None
    assert differing_setting(run, SETTINGS) == ("loss.em", 0.0, 10.0)


def test_a_setting_left_out_is_the_same_as_its_default_given(run: RunFolder) -> None:
    given = replace(SETTINGS, loss=replace(SETTINGS.loss, em=10.0))
    assert differing_setting(run, given) is None
    require_same_record(run, record_of(given, "fingerprint", LOSSES))
    nearer = replace(SETTINGS, student=StudentSettings(upsample=True))
    named = ("student.upsample", False, True)
    assert differing_setting(run, nearer) == named, "what the weight follows from is named first"


def test_a_run_begun_with_one_weight_for_all_goes_on_with_it_where_it_is_given(tmp_path: Path) -> None:
    run, near = RunFolder(tmp_path / "far"), RunFolder(tmp_path / "near")
    nearer = replace(SETTINGS, ratio=2)
    for place, settings in ((run, SETTINGS), (near, nearer)):
        before = replace(settings, loss=replace(settings.loss, em=2.0))
        place.begin(record_of(before, "fingerprint", LOSSES), overwrite=False)
    assert "begun with loss.em 2.0, not 10.0" in difference(run)
    assert differing_setting(run, replace(SETTINGS, loss=replace(SETTINGS.loss, em=2.0))) is None
    assert differing_setting(near, nearer) is None
