import csv
import json
import os
from pathlib import Path

import pytest

from thumbnet.errors import CheckpointError, ConfigError, StorageError
from thumbnet.run_folder import RunFolder

SETTINGS = {
    "teacher": "timm/resnet18",
    "epochs": 3,
    "views": {"scale": [0.5, 1.0]},
    "data": "fotos/größe",
    "recorded": {"data_fingerprint": "0"},
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run that has begun."""
    run = RunFolder(tmp_path / "runs" / "one")
    run.begin(SETTINGS, overwrite=False)
    return run


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# Checking, before any work.


@pytest.mark.parametrize("resume", [False, True])
def test_a_new_place_may_be_written_to_and_is_not_made_yet(resume: bool, tmp_path: Path) -> None:
    RunFolder(tmp_path / "runs" / "one").check(resume=resume, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_may_be_written_to(tmp_path: Path) -> None:
    RunFolder(tmp_path).check(resume=False, overwrite=False)


def test_a_relative_place_may_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    RunFolder("runs/one").check(resume=False, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_run_is_refused_with_every_choice(run: RunFolder) -> None:
    before = contents(run.path)
    with pytest.raises(ConfigError) as caught:
        run.check(resume=False, overwrite=False)
    choices = "give --resume to go on, --overwrite to replace it, or another --output"
    assert str(caught.value) == f"output: {run.path} exists; {choices}"
    assert contents(run.path) == before


@pytest.mark.parametrize("choice", ["resume", "overwrite"])
def test_an_existing_run_may_be_resumed_or_overwritten_and_is_not_touched_yet(choice: str, run: RunFolder) -> None:
    before = contents(run.path)
    run.check(resume=choice == "resume", overwrite=choice == "overwrite")
    assert contents(run.path) == before


def test_resuming_and_overwriting_exclude_each_other(run: RunFolder) -> None:
    with pytest.raises(ConfigError, match="--resume and --overwrite exclude each other; give one"):
        run.check(resume=True, overwrite=True)


def test_what_is_no_run_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError) as caught:
        RunFolder(tmp_path).check(resume=False, overwrite=True)
    assert str(caught.value) == f"output: {tmp_path} holds something that is no run; --overwrite replaces runs only"
    assert (tmp_path / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize("choice", ["neither", "resume", "overwrite"])
def test_a_file_in_the_way_is_refused(choice: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ConfigError) as caught:
            RunFolder(path).check(resume=choice == "resume", overwrite=choice == "overwrite")
        assert str(caught.value).isprintable(), "a problem is one line of text"
    assert (tmp_path / "file").read_text() == "precious"


def test_a_place_that_may_not_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(ConfigError, match=r"cannot write to .* \(Permission denied\); choose another folder"):
        RunFolder(tmp_path / "run").check(resume=False, overwrite=False)


# Beginning.


def test_a_run_begins_with_its_settings(run: RunFolder) -> None:
    assert run.read_config() == SETTINGS
    assert list(run.read_config()) == list(SETTINGS), "the order of settings was lost"
    assert RunFolder.open(run.path).read_config() == SETTINGS


def test_overwriting_leaves_nothing_of_the_old_run(run: RunFolder) -> None:
    run.append_metrics({"epoch": 1})
    run.checkpoint.parent.mkdir(parents=True)
    run.checkpoint.write_bytes(b"old")
    run.begin({**SETTINGS, "epochs": 5}, overwrite=True)
    assert contents(run.path).keys() == {"config.yaml"}
    assert run.read_config() == {**SETTINGS, "epochs": 5}


def test_resuming_keeps_everything_but_the_settings(run: RunFolder) -> None:
    run.append_metrics({"epoch": 1})
    run.begin({**SETTINGS, "epochs": 5}, overwrite=False)
    assert run.read_config() == {**SETTINGS, "epochs": 5}
    assert run.read_metrics() == [{"epoch": 1}]


def test_overwriting_a_run_behind_a_link_keeps_the_link(run: RunFolder, tmp_path: Path) -> None:
    run.append_metrics({"epoch": 1})
    (tmp_path / "link").symlink_to(run.path)
    linked = RunFolder(tmp_path / "link")
    linked.check(resume=False, overwrite=True)
    linked.begin({**SETTINGS, "epochs": 5}, overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert run.read_config() == {**SETTINGS, "epochs": 5}
    assert run.read_metrics() == []


def test_a_full_disk_leaves_the_old_settings(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left on the disk"):
        run.begin({**SETTINGS, "epochs": 5}, overwrite=False)
    assert run.read_config() == SETTINGS


# Reading what may be damaged.


def test_opening_what_is_no_run_says_what_to_give(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "gone"):
        with pytest.raises(CheckpointError) as caught:
            RunFolder.open(place)
        advice = "give the --output folder of `thumbnet train`"
        assert str(caught.value) == f"no run in {place} (no config.yaml); {advice}"


@pytest.mark.parametrize(
    "content",
    [b"", b"epochs: [1, 2", b"- a\n- b\n", b"just words", b"\xff\xfe\x00", b"a: b: c"],
)
def test_a_torn_config_is_a_checkpoint_error(content: bytes, run: RunFolder) -> None:
    run.config.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        run.read_config()
    assert str(caught.value).startswith(f"{run.config} ")
    assert str(caught.value).endswith("; the run folder is damaged")
    assert str(caught.value).isprintable(), "a problem is one line of text"


def test_a_config_from_a_stranger_runs_no_code(run: RunFolder, tmp_path: Path) -> None:
    run.config.write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path / 'hacked'}']")
    with pytest.raises(CheckpointError, match="damaged"):
        run.read_config()
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("content", [b'{"epoch": 1}\n{"epo', b"\xff\n"])
def test_torn_metrics_are_a_checkpoint_error(content: bytes, run: RunFolder) -> None:
    run.metrics.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read; the run folder is damaged"):
        run.read_metrics()


def test_a_torn_evaluation_is_a_checkpoint_error(run: RunFolder) -> None:
    run.evaluation.write_bytes(b'{"teacher": {"to')
    with pytest.raises(CheckpointError, match="cannot be read; the run folder is damaged"):
        run.read_evaluation()


# Metrics, lists and evaluation.


def test_metrics_are_one_line_an_epoch(run: RunFolder) -> None:
    assert run.read_metrics() == []
    for epoch in (1, 2):
        run.append_metrics({"epoch": epoch, "top1": epoch / 10, "name": "größe\u2028"})
    lines = run.metrics.read_bytes().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert run.read_metrics() == [{"epoch": epoch, "top1": epoch / 10, "name": "größe\u2028"} for epoch in (1, 2)]


def test_an_epoch_that_is_done_again_replaces_its_line_and_the_later_ones(run: RunFolder) -> None:
    for epoch in (1, 2, 3):
        run.append_metrics({"epoch": epoch, "top1": 0.1})
    run.append_metrics({"epoch": 2, "top1": 0.2})
    assert run.read_metrics() == [{"epoch": 1, "top1": 0.1}, {"epoch": 2, "top1": 0.2}]


def test_unreadable_pictures_are_listed_and_the_file_is_there_without_any(run: RunFolder) -> None:
    run.write_unreadable([])
    assert run.unreadable.read_bytes() == b""
    unreadable = [{"split": "train", "picture": "cats/0.png", "reason": "damaged"}]
    run.write_unreadable(unreadable)
    assert [json.loads(line) for line in run.unreadable.read_text().splitlines()] == unreadable


def test_an_evaluation_is_read_back(run: RunFolder) -> None:
    assert run.read_evaluation() is None
    run.write_evaluation({"retention": 0.98, "teacher": {"top1": 0.9}})
    assert run.read_evaluation() == {"retention": 0.98, "teacher": {"top1": 0.9}}


def test_predictions_are_a_table_that_quotes_what_needs_it(run: RunFolder) -> None:
    rows = [{"picture": 'cats/a, "b".png', "teacher": "cats"}, {"picture": "dogs/ö.png", "teacher": "dogs"}]
    run.write_predictions(rows)
    with run.predictions.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == rows


def test_teacher_weights_are_written_as_they_are(run: RunFolder) -> None:
    run.write_teacher_weights(b"weights")
    assert run.teacher_weights.read_bytes() == b"weights"
    assert run.teacher_weights.name == "teacher.safetensors"
