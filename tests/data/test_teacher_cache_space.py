"""The space that the teacher's answers take: announced, reserved, limited and given back."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from teacher_answers import CPU, ROW_BYTES, OpenCache, answers, filled_cache
from thumbnet.data.teacher_cache import TeacherCache
from thumbnet.errors import ConfigError, StorageError


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_size_is_announced_before_any_space_is_taken(tmp_path: Path) -> None:
    lines: list[str] = []

    def announce(line: str) -> None:
        assert not folder.exists()
        lines.append(line)

    folder = tmp_path / "caches" / "key"
    TeacherCache(folder, 1_000_000, {"a": (3, 0)}, 1e9, announce)
    TeacherCache(tmp_path / "small", 1_000, {"a": (50,)}, 1e9, lines.append)
    assert lines[0] == f"teacher cache: 1,000,000 views × 0.0 kB = 0 MB of at most 1,000 MB in {folder} (new)"
    assert lines[1] == f"teacher cache: 1,000 views × 0.1 kB = 0 MB of at most 1,000 MB in {tmp_path / 'small'} (new)"


def test_the_announcement_says_how_far_the_cache_is_filled(open_cache: OpenCache, said: list[str]) -> None:
    cache = open_cache()
    cache.append(answers(4))
    cache.save()
    open_cache().append(answers(6))
    filled_cache(open_cache, "other")
    open_cache("other")
    assert [line.rpartition("(")[2] for line in said] == ["new)", "4 filled)", "new)", "complete)"]


@pytest.mark.parametrize("fallocate", [True, False])
def test_the_space_is_taken_at_once(
    fallocate: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    if not fallocate:  # as on macOS and Windows
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    folder = tmp_path / "key"
    cache = TeacherCache(folder, 3_000, {"a": (500,)}, 1e9, said.append)
    found = (folder / "a.npy").stat()
    assert found.st_size >= 3_000_000
    assert found.st_blocks * 512 >= 3_000_000, "the file is sparse"
    assert not cache.read(torch.arange(3_000), CPU)["a"].any()


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_that_cannot_reserve_space_is_written_to_instead(
    code: int, open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise OSError(code, "cannot")

    monkeypatch.setattr(os, "posix_fallocate", cannot, raising=False)
    assert filled_cache(open_cache).complete


def test_a_cache_over_the_limit_is_refused_naming_the_flags(open_cache: OpenCache, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_cache(limit_bytes=10 * ROW_BYTES - 1)
    problem = str(caught.value)
    assert problem.startswith("teacher cache: 10 views × 0.0 kB = 0 MB of at most 0 MB in ")
    for flag in ("--views.per_image", "--cache.pixels false", "--feature_mapping.layers", "--cache.limit_gb"):
        assert flag in problem
    assert problem.isprintable(), "a problem is one line of text"
    assert list(tmp_path.iterdir()) == []
    assert open_cache(limit_bytes=10 * ROW_BYTES).filled == 0


def test_pixels_count_towards_the_limit(open_cache: OpenCache) -> None:
    with pytest.raises(ConfigError):
        open_cache(limit_bytes=10 * (ROW_BYTES + 48) - 1, pixels_shape=(3, 4, 4))
    open_cache(limit_bytes=10 * (ROW_BYTES + 48), pixels_shape=(3, 4, 4))


@pytest.mark.parametrize("oldest", ["a", "b", "c"])
def test_the_cache_unused_for_longest_makes_way_and_is_announced(
    oldest: str, open_cache: OpenCache, said: list[str], tmp_path: Path
) -> None:
    for key in ("a", "b", "c"):
        cache = filled_cache(open_cache, key)
        age = 2 if key == oldest else 1
        os.utime(cache.folder / "state.json", (1e9 - age, 1e9 - age))
    taken = sum(path.stat().st_size for path in cache.folder.iterdir())
    said.clear()
    open_cache("new", limit_bytes=10 * ROW_BYTES + 2 * taken)
    left = {"a", "b", "c", "new"} - {oldest}
    assert {path.name for path in (tmp_path / "caches").iterdir()} == left
    removed = f"teacher cache: removing {tmp_path / 'caches' / oldest} (0 MB), unused for longest"
    assert said[1:] == [f"{removed}, to stay within the limit"]


def test_opening_a_cache_is_using_it(open_cache: OpenCache, tmp_path: Path) -> None:
    for age, key in enumerate(["used", "unused"], start=1):
        cache = filled_cache(open_cache, key)
        os.utime(cache.folder / "state.json", (1e9 - 10 + age, 1e9 - 10 + age))
    taken = sum(path.stat().st_size for path in cache.folder.iterdir())
    open_cache("used")
    open_cache("new", limit_bytes=10 * ROW_BYTES + taken)
    assert sorted(path.name for path in (tmp_path / "caches").iterdir()) == ["new", "used"]


def test_folders_that_are_no_caches_never_make_way(open_cache: OpenCache, tmp_path: Path) -> None:
    precious = tmp_path / "caches" / "precious" / "thesis.npy"
    precious.parent.mkdir(parents=True)
    precious.write_bytes(bytes(10_000))
    open_cache(limit_bytes=10 * ROW_BYTES)
    assert precious.stat().st_size == 10_000


def test_a_full_disk_is_a_storage_error_and_takes_no_space(
    open_cache: OpenCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", full_disk, raising=False)
    with pytest.raises(StorageError) as caught:
        open_cache()
    place = tmp_path / "caches" / "key"
    assert (
        str(caught.value)
        == f"no space left on the disk for {place}; free some and run it again (with --resume what was begun)"
    )
    assert caught.value.exit_code == 1
    assert not place.exists()


def test_a_full_disk_costs_no_answers_that_are_kept_already(
    open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled_cache(open_cache)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        with pytest.raises(StorageError):
            open_cache()
    assert open_cache().complete


def test_a_full_disk_while_saving_is_a_storage_error_and_keeps_the_last_position(
    open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = open_cache()
    cache.append(answers(3))
    cache.save()
    cache.append(answers(4))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(StorageError):
            cache.save()
    assert json.loads((cache.folder / "state.json").read_text()) == {"filled": 3, "rows": 10, "asked": ""}


def test_a_place_that_may_not_be_written_to_is_a_config_error(open_cache: OpenCache, tmp_path: Path) -> None:
    (tmp_path / "caches").write_text("a file is in the way")
    with pytest.raises(ConfigError, match=r"cannot write to .* choose another folder"):
        open_cache()
