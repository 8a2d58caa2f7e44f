"""`--overwrite`: the old run is gone only once the new one has something to go on with."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle_weights import same, weights
from stopping_term import stopping_at
from thumbnet import fit
from thumbnet.config import CacheSettings, TrainSettings
from thumbnet.errors import ConfigError, StorageError
from thumbnet.run_folder import RunFolder

Settings = Callable[..., TrainSettings]
OLD = {"epochs": 3, "recorded": {"data_fingerprint": "0"}}
NEW = {**OLD, "epochs": 5}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with a checkpoint."""
    run = RunFolder(tmp_path / "run")
    run.begin(OLD, overwrite=False)
    save(run, b"old")
    return run


def save(run: RunFolder, state: bytes) -> None:
    run.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    run.checkpoint.write_bytes(state)


def is_old(run: RunFolder) -> bool:
    return run.read_config() == OLD and run.checkpoint.read_bytes() == b"old"


def beside(run: RunFolder) -> list[str]:
    return sorted(path.name for path in run.path.parent.iterdir())


def test_a_discarded_run_gives_its_place_back_to_the_one_it_was_to_replace(run: RunFolder) -> None:
    run.begin(NEW, overwrite=True)
    assert run.read_config() == NEW
    assert not run.checkpoint.exists()
    run.discard()
    assert is_old(run)
    assert beside(run) == ["run"]


def test_the_old_run_is_gone_once_the_new_one_is_there_to_stay(run: RunFolder) -> None:
    run.begin(NEW, overwrite=True)
    save(run, b"new")
    run.forget_replaced()
    run.discard()
    assert run.checkpoint.read_bytes() == b"new"
    assert beside(run) == ["run"]


def test_behind_a_link_the_old_run_comes_back_too(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link").symlink_to(run.path)
    linked = RunFolder(tmp_path / "other" / "link")
    linked.begin(NEW, overwrite=True)
    linked.discard()
    assert is_old(run)
    assert linked.path.is_symlink()
    assert beside(linked) == ["link"]


def test_a_full_disk_at_the_beginning_leaves_the_old_run(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left on the disk"):
        run.begin(NEW, overwrite=True)
    assert is_old(run)
    assert beside(run) == ["run"]


def test_a_run_that_cannot_be_moved_stays(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", busy)
    with pytest.raises(StorageError, match="Device or resource busy"):
        run.begin(NEW, overwrite=True)
    assert is_old(run)


def test_a_finished_run_whose_checkpoint_was_removed_is_never_discarded(run: RunFolder) -> None:
    run.checkpoint.unlink()
    run.bundle.mkdir()
    run.discard()
    assert run.bundle.exists()


# Killed in between.


def test_killed_after_it_began_the_next_start_says_where_the_old_run_is(run: RunFolder, tmp_path: Path) -> None:
    run.begin(NEW, overwrite=True)
    with pytest.raises(ConfigError) as caught:
        run.check(resume=False, overwrite=False)
    problem = f"{run.path} exists, and the run that it was to replace is in {tmp_path / '.run.replaced'}"
    choices = "give --resume to go on, --overwrite to replace it, or another --output"
    assert str(caught.value) == f"output: {problem}; {choices}"


def test_killed_and_overwritten_again_the_old_run_is_still_the_one_that_comes_back(run: RunFolder) -> None:
    run.begin(NEW, overwrite=True)
    again = RunFolder(run.path)
    again.check(resume=False, overwrite=True)
    again.begin({**NEW, "epochs": 7}, overwrite=True)
    again.discard()
    assert is_old(run)


def test_killed_and_resumed_it_still_takes_the_place_of_the_old_one(run: RunFolder) -> None:
    run.begin(NEW, overwrite=True)
    again = RunFolder(run.path)
    again.check(resume=True, overwrite=False)
    again.begin(NEW, overwrite=False)
    save(again, b"new")
    again.forget_replaced()
    assert run.read_config() == NEW
    assert beside(run) == ["run"]


@pytest.mark.parametrize("resume", [False, True])
def test_killed_before_it_began_the_next_start_does_not_begin_another_in_its_place(
    resume: bool, run: RunFolder, tmp_path: Path
) -> None:
    aside = tmp_path / ".run.replaced"
    run.path.rename(aside)
    with pytest.raises(ConfigError) as caught:
        run.check(resume=resume, overwrite=False)
    problem = f"output: a stopped --overwrite left the run that it was to replace in {aside}"
    assert str(caught.value) == f"{problem}; rename it to {run.path} to keep it, or give --overwrite to replace it"
    run.check(resume=False, overwrite=True)
    run.begin(NEW, overwrite=True)
    run.discard()
    assert is_old(run)


@pytest.mark.parametrize("overwrite", [False, True])
def test_killed_after_its_first_checkpoint_it_is_the_run_and_the_older_one_is_gone(
    overwrite: bool, run: RunFolder
) -> None:
    run.begin(NEW, overwrite=True)
    save(run, b"new")
    RunFolder(run.path).begin(NEW, overwrite=overwrite)
    run.discard()
    assert run.checkpoint.read_bytes() == b"new"
    assert beside(run) == ["run"]


# In training.


def test_a_mistake_found_before_the_first_step_leaves_the_old_run(tiny_settings: Settings, tmp_path: Path) -> None:
    settings = tiny_settings(epochs=1)
    fit(settings, quiet=True)
    before, written = weights(settings.output), (tmp_path / "run" / "config.yaml").read_bytes()
    small = CacheSettings(folder=str(tmp_path / "cache"), limit_gb=1e-6)
    with pytest.raises(ConfigError, match=r"--cache\.limit_gb"):
        fit(settings, cache=small, seed=5, overwrite=True, quiet=True)
    assert same(before, weights(settings.output))
    assert (tmp_path / "run" / "config.yaml").read_bytes() == written
    assert not (tmp_path / ".run.replaced").exists()


def test_the_old_run_waits_for_the_first_checkpoint_and_not_for_the_end(
    tiny_settings: Settings, tmp_path: Path
) -> None:
    settings, aside = tiny_settings(), tmp_path / ".run.replaced"
    fit(settings, terms=stopping_at(), quiet=True)
    for call, waits in ((2, True), (5, False)):  # of three steps an epoch
        with pytest.raises(KeyboardInterrupt):
            fit(settings, terms=stopping_at(call), overwrite=True, quiet=True)
        assert aside.exists() == waits
    fit(settings, terms=stopping_at(), resume=True, quiet=True)
    assert (tmp_path / "run" / "report.html").exists()
