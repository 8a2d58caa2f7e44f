import errno
import json
import os
from pathlib import Path

import pytest

from thumbnet.errors import ConfigError, StorageError
from thumbnet.storage import storage_errors, write_atomically, write_json


def failing_with(code: int) -> object:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_file_is_written_with_the_folders_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.bin"
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path], "a temporary file was left"


def test_a_file_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"a longer old content")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_file_can_be_read_by_others(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
@pytest.mark.parametrize("crash", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_crash_at_any_step_leaves_the_old_content_and_no_temporary_file(
    step: str, crash: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise crash

    path = tmp_path / "a"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises((StorageError, KeyboardInterrupt)):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_it_takes_the_place_of_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    for step in ("fsync", "replace"):
        real = getattr(os, step)
        monkeypatch.setattr(os, step, lambda *args, step=step, real=real: (steps.append(step), real(*args))[1])
    write_atomically(tmp_path / "a", b"new")
    assert steps[:2] == ["fsync", "replace"]


def test_a_file_system_that_cannot_sync_a_folder_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "open", failing_with(errno.EACCES))
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: _created(tmp_path / "temporary"))
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def _created(path: Path) -> tuple[int, str]:
    with path.open("wb") as file:
        return os.dup(file.fileno()), str(path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_storage_error_that_says_how_to_go_on(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", failing_with(code))
    with pytest.raises(StorageError) as caught:
        write_atomically(tmp_path / "a", b"new")
    place = tmp_path / "a"
    assert (
        str(caught.value)
        == f"no space left on the disk for {place}; free some and run it again (with --resume what was begun)"
    )
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_place_that_may_not_be_written_to_is_a_config_error(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.mkstemp", failing_with(code))
    with pytest.raises(ConfigError) as caught:
        write_atomically(tmp_path / "a", b"new")
    reason = os.strerror(code)
    assert str(caught.value) == f"cannot write to {tmp_path / 'a'} ({reason}); choose another folder"
    assert caught.value.exit_code == 2


def test_a_file_where_a_folder_should_be_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    for path in (tmp_path / "file" / "a", tmp_path / "file" / "b" / "a"):
        with pytest.raises(ConfigError, match=r"cannot write to .* choose another folder"):
            write_atomically(path, b"new")
    assert (tmp_path / "file").read_bytes() == b"precious"


def test_a_folder_where_a_file_should_be_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="choose another folder"):
        write_atomically(tmp_path / "folder", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_failing_disk_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing_with(errno.EIO))
    with pytest.raises(StorageError, match=r"cannot write to .* \(Input/output error\); check the disk"):
        write_atomically(tmp_path / "a", b"new")


@pytest.mark.parametrize(
    "message", ["[enforce fail] file write failed", "basic_ios::clear: iostream error", "No space left on device"]
)
def test_a_full_disk_in_the_words_of_torch_is_a_storage_error(message: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no space left on the disk"), storage_errors(tmp_path):
        raise RuntimeError(message)


def test_other_faults_keep_their_traceback(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a fault of ours"), storage_errors(tmp_path):
        raise RuntimeError("a fault of ours")


def test_json_is_readable_and_ends_in_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"größe": 1, "list": [1, 2]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"größe": 1, "list": [1, 2]}
    assert '"größe": 1' in text
    assert text.endswith("}\n")
