"""Writing to disk so that nothing is ever half-written, and saying in one line why a write was refused."""

import contextlib
import ctypes
import errno
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thumbnet.errors import ConfigError, StorageError


@contextlib.contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Turns the operating system's refusal to write at `place` into one clear line.

    Raises:
        StorageError: If the disk is full or fails.
        ConfigError: If the place may not be written to.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(place) from error
        if error.errno in (
            errno.EACCES,
            errno.EPERM,
            errno.EROFS,
            errno.ENOTDIR,
            errno.EEXIST,
            errno.EISDIR,
            errno.ENAMETOOLONG,
            errno.ENOENT,
        ):
            raise ConfigError(f"cannot write to {place} ({error.strerror}); choose another folder") from error
        raise StorageError(f"cannot write to {place} ({error.strerror or error}); check the disk") from error
    except RuntimeError as error:
        # torch.save and safetensors report a full disk in words of their own.
        if "No space left" in str(error) or "iostream error" in str(error) or "file write failed" in str(error):
            raise _full(place) from error
        raise


def _full(place: Path) -> StorageError:
    return StorageError(
        f"no space left on the disk for {place}; free some and run it again (with --resume what was begun)"
    )


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a crash leaves the old content or the new, never a part.

    Raises:
        StorageError: If the disk is full.
        ConfigError: If the folder may not be written to.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Has the disk take the names of a folder's files, where the file system can."""
    with contextlib.suppress(OSError):  # not every file system can
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def synchronise(folder: Path) -> None:
    """Has the disk take everything that was written below a folder: one call for any number of files.

    Raises:
        StorageError: If the disk fails.
    """
    with storage_errors(folder):
        handle = os.open(folder, os.O_RDONLY)
        try:
            syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None) if sys.platform != "win32" else None
            if syncfs is None:
                os.sync() if hasattr(os, "sync") else None
            elif syncfs(handle) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(handle)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes readable JSON, atomically."""
    write_atomically(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
