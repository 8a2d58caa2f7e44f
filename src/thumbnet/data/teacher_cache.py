"""The teacher's answers for every fixed view, in half precision on disk.

Arrays by name and row; knows nothing of what they mean. Filling can be stopped and goes on where it was. Other caches in
the same folder make way, least recently used first, when the size limit asks for it.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from thumbnet.errors import ConfigError
from thumbnet.storage import storage_errors, write_atomically

STATE_FILE = "state.json"
BYTES_PER_VALUE = 2
LARGEST_HALF = 65504.0


class TeacherCache:
    """Arrays `[rows, *shape]` in float16, memory-mapped.

    Args:
        folder: Where this cache lives; its name is the key of teacher, data and views.
        rows: Number of views.
        shapes: Shape of one row of each array, by name.
        limit_bytes: Most bytes that all caches beside this one, and it, may take.
        announce: Called with one line before any space is taken.

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
    ) -> None:
        self.folder = folder
        self.rows = rows
        row_bytes = sum(BYTES_PER_VALUE * int(np.prod(shape)) for shape in shapes.values())
        size_bytes = rows * row_bytes
        size = f"{rows:,} views × {row_bytes / 1e3:.1f} kB = {size_bytes / 1e6:,.0f} MB of at most {limit_bytes / 1e6:,.0f} MB"
        if size_bytes > limit_bytes:
            advice = "use fewer --views.per_image, a smaller --feature_mapping.layers, or raise --cache.limit_gb"
            raise ConfigError(f"teacher cache: {size} in {folder.parent}; {advice}")
        self.filled = self._recall_filled()
        state = "complete" if self.filled == rows else f"{self.filled:,} filled" if self.filled else "new"
        announce(f"teacher cache: {size} in {folder} ({state})")
        _make_room(folder, size_bytes, limit_bytes, announce)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._arrays = {name: self._map(name, shape) for name, shape in shapes.items()}
            self._remember()

    @property
    def complete(self) -> bool:
        """Whether every view has its answer."""
        return self.filled == self.rows

    def append(self, values: Mapping[str, Tensor]) -> None:
        """Writes the next rows, in order."""
        count = len(next(iter(values.values())))
        with storage_errors(self.folder):
            for name, value in values.items():
                half = value.detach().float().clamp(-LARGEST_HALF, LARGEST_HALF).half().cpu().numpy()
                self._arrays[name][self.filled : self.filled + count] = half
        self.filled += count

    def save(self) -> None:
        """Makes what was appended durable."""
        with storage_errors(self.folder):
            for array in self._arrays.values():
                array.flush()
            self._remember()

    def read(self, rows: Tensor, device: torch.device) -> dict[str, Tensor]:
        """The answers of the given views, in full precision on the given device."""
        positions = rows.cpu().numpy()
        return {name: torch.from_numpy(array[positions]).to(device).float() for name, array in self._arrays.items()}

    def _map(self, name: str, shape: tuple[int, ...]) -> np.memmap:  # type: ignore[type-arg]
        path = self.folder / f"{name}.npy"
        if self.filled and path.exists():
            return open_memmap(path, mode="r+")
        self.filled = 0
        array = open_memmap(path, mode="w+", dtype=np.float16, shape=(self.rows, *shape))
        # A sparse file meets a full disk as a fatal signal at some later write: take the space now, while it is an error.
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        return array

    def _recall_filled(self) -> int:
        try:
            state = json.loads((self.folder / STATE_FILE).read_text())
            return int(state["filled"]) if state["rows"] == self.rows else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def _remember(self) -> None:
        write_atomically(self.folder / STATE_FILE, json.dumps({"filled": self.filled, "rows": self.rows}).encode())


def _make_room(folder: Path, needed_bytes: int, limit_bytes: float, announce: Callable[[str], None]) -> None:
    others = [path.parent for path in folder.parent.glob(f"*/{STATE_FILE}") if path.parent != folder]
    others.sort(key=lambda other: (other / STATE_FILE).stat().st_mtime)
    sizes = {other: sum(file.stat().st_size for file in other.iterdir()) for other in others}
    taken = needed_bytes + sum(sizes.values())
    for other in others:
        if taken <= limit_bytes:
            return
        announce(f"teacher cache: removing {other} ({sizes[other] / 1e6:,.0f} MB), unused for longest, to stay within the limit")
        shutil.rmtree(other, ignore_errors=True)
        taken -= sizes[other]
