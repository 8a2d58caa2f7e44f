"""The teacher's answers for every fixed view, in half precision on disk, and the view's pixels beside them.

Arrays by name and row; knows nothing of what they mean. Filling can be stopped and goes on where it was. Other caches
in the same folder make way, least recently used first, when the size limit asks for it.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from thumbnet.errors import ConfigError, StorageError
from thumbnet.storage import storage_errors, write_atomically

STATE_FILE = "state.json"
PIXELS = "pixels"
BYTES_PER_VALUE = 2
LARGEST_HALF = 65504.0
CHUNK_BYTES = 2**20


class TeacherCache:
    """Arrays `[rows, *shape]` in float16, and pixels in uint8, memory-mapped.

    Args:
        folder: Where this cache lives; its name is the key of teacher, data and views.
        rows: Number of views.
        shapes: Shape of one row of each array, by name.
        limit_bytes: Most bytes that all caches beside this one, and it, may take.
        announce: Called with one line before any space is taken.
        pixels_shape: Shape of one view's pixels, to keep them too; later epochs then read no pictures.
        asked: Name of teacher, data and views alone: caches of one name differ only in which answers they hold.

    Raises:
        ConfigError: If this cache alone would not fit the limit.
        StorageError: If the disk is full.
    """

    def __init__(
        self,
        folder: Path,
        rows: int,
        shapes: Mapping[str, tuple[int, ...]],
        limit_bytes: float,
        announce: Callable[[str], None],
        pixels_shape: tuple[int, ...] | None = None,
        asked: str = "",
    ) -> None:
        self.folder = folder
        self.asked = asked
        self.rows = rows
        row_bytes = sum(BYTES_PER_VALUE * int(np.prod(shape)) for shape in shapes.values())
        row_bytes += int(np.prod(pixels_shape)) if pixels_shape else 0
        size_bytes = rows * row_bytes
        limit = f"at most {limit_bytes / 1e6:,.0f} MB"
        size = f"{rows:,} views × {row_bytes / 1e3:.1f} kB = {size_bytes / 1e6:,.0f} MB of {limit}"
        if size_bytes > limit_bytes:
            smaller = "use fewer --views.per_image, --cache.pixels false or a smaller --feature_mapping.layers"
            advice = f"{smaller}, or raise --cache.limit_gb"
            raise ConfigError(f"teacher cache: {size} in {folder.parent}; {advice}")
        self.filled = self._recall_filled()
        state = "complete" if self.filled == rows else f"{self.filled:,} filled" if self.filled else "new"
        announce(f"teacher cache: {size} in {folder} ({state})")
        make_room(folder, size_bytes, limit_bytes, announce)
        with storage_errors(folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._remember()  # from here on this folder is a cache, and can make way for others
                self._arrays = {name: self._map(name, shape, np.float16) for name, shape in shapes.items()}
                self.pixels = self._map(PIXELS, pixels_shape, np.uint8) if pixels_shape else None
                self._remember()
            except (OSError, StorageError):
                if not self.filled:
                    shutil.rmtree(folder, ignore_errors=True)  # it takes space and holds nothing
                raise

    @property
    def complete(self) -> bool:
        """Whether every view has its answer."""
        return self.filled == self.rows

    def append(self, values: Mapping[str, Tensor], pixels: Tensor | None = None) -> None:
        """Writes the next rows, in order."""
        count = len(next(iter(values.values())))
        with storage_errors(self.folder):
            for name, value in values.items():
                half = value.detach().float().clamp(-LARGEST_HALF, LARGEST_HALF).half().cpu().numpy()
                self._arrays[name][self.filled : self.filled + count] = half
            if self.pixels is not None and pixels is not None:
                self.pixels[self.filled : self.filled + count] = pixels.cpu().numpy()
        self.filled += count

    def save(self) -> None:
        """Makes what was appended durable."""
        with storage_errors(self.folder):
            for array in (*self._arrays.values(), self.pixels):
                if array is not None:
                    array.flush()
            self._remember()

    def read(self, rows: Tensor, device: torch.device) -> dict[str, Tensor]:
        """The answers of the given views, in full precision on the given device."""
        positions = rows.cpu().numpy()
        return {name: torch.from_numpy(array[positions]).to(device).float() for name, array in self._arrays.items()}

    def _map(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> np.memmap:
        path = self.folder / f"{name}.npy"
        if self.filled:
            with contextlib.suppress(FileNotFoundError, ValueError):  # missing or damaged: fill it again
                size_bytes = path.stat().st_size  # before numpy extends a file that is too short
                array = open_memmap(path, mode="r+")
                fits = array.dtype == dtype and array.shape == (self.rows, *shape)
                if fits and size_bytes == array.offset + array.nbytes:
                    return array
        self.filled = 0
        self._remember()  # a stop from here on must not leave empty rows taken for answers
        array = open_memmap(path, mode="w+", dtype=dtype, shape=(self.rows, *shape))
        _take_space(path, array.offset, array.nbytes)
        return array

    def _recall_filled(self) -> int:
        state = _state_of(self.folder)
        filled = state.get("filled")
        return filled if isinstance(filled, int) and state.get("rows") == self.rows else 0

    def _remember(self) -> None:
        state = {"filled": self.filled, "rows": self.rows, "asked": self.asked}
        write_atomically(self.folder / STATE_FILE, json.dumps(state).encode())


def find_complete(parent: Path, asked: str, rows: int, names: Iterable[str]) -> Path | None:
    """A complete cache that holds at least these arrays, None where there is none.

    Args:
        parent: Folder of caches.
        asked: Name of teacher, data and views; see `TeacherCache`.
        rows: Number of views.
        names: Arrays that are wanted, pixels included.
    """
    wanted = list(names)
    for path in sorted(parent.glob(f"*/{STATE_FILE}")):
        held = all((path.parent / f"{name}.npy").is_file() for name in wanted)
        if held and _state_of(path.parent) == {"filled": rows, "rows": rows, "asked": asked}:
            return path.parent
    return None


def _state_of(folder: Path) -> dict[str, Any]:
    """What the file of the state says, nothing where it is missing or no state."""
    try:
        state = json.loads((folder / STATE_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _take_space(path: Path, start: int, size_bytes: int) -> None:
    """Gives a new file of zeros its blocks: a sparse file meets a full disk later, as a signal that kills."""
    with open(path, "r+b") as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, start + size_bytes)
                return
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):  # this file system cannot
                    raise
        file.seek(start)
        for written in range(0, size_bytes, CHUNK_BYTES):
            file.write(bytes(min(CHUNK_BYTES, size_bytes - written)))
        file.flush()
        os.fsync(file.fileno())


def make_room(folder: Path, needed_bytes: int, limit_bytes: float, announce: Callable[[str], None]) -> None:
    """Removes caches beside `folder`, least recently used first, until this one fits the limit with the rest.

    Args:
        folder: The cache that is to be written; a cache is a folder with a `STATE_FILE`, whose time is its last use.
        needed_bytes: Its size.
        limit_bytes: Most bytes that all may take.
        announce: Called with one line for each that is removed.
    """
    others = [path.parent for path in folder.parent.glob(f"*/{STATE_FILE}") if path.parent != folder]
    others.sort(key=lambda other: (other / STATE_FILE).stat().st_mtime)
    sizes = {other: sum(file.stat().st_size for file in other.iterdir()) for other in others}
    taken = needed_bytes + sum(sizes.values())
    for other in others:
        if taken <= limit_bytes:
            return
        removed = f"removing {other} ({sizes[other] / 1e6:,.0f} MB)"
        announce(f"teacher cache: {removed}, unused for longest, to stay within the limit")
        shutil.rmtree(other, ignore_errors=True)
        taken -= sizes[other]
