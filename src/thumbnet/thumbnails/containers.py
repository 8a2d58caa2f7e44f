"""What thumbnails are written into, and read back from: a mirrored folder, WebDataset shards, or parquet tables.

Files are written beside their place and renamed, so that at every moment there is a whole file or none.
"""

import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

from thumbnet.config import Container
from thumbnet.storage import storage_errors, sync_folder, synchronise
from thumbnet.thumbnails.manifest import Record
from thumbnet.thumbnails.stages import Outcome

# What the `datasets` library and the Hub take for a column of pictures.
_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TABLE = pa.schema(
    [
        ("image", _PICTURE),
        ("label", pa.string()),
        ("source", pa.string()),
        ("content_hash", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
    ]
)
_FEATURES = {"image": {"_type": "Image"}, "label": {"dtype": "string", "_type": "Value"}}


@runtime_checkable
class BlockWriter(Protocol):
    """Writes the thumbnails of one block."""

    def add(self, outcome: Outcome) -> str:
        """Takes a thumbnail; answers where it will be, below the folder of thumbnails."""
        ...

    def finish(self) -> None:
        """Puts everything in its place."""
        ...


def open_writer(container: Container, thumbnails: Path, partial: Path, index: int, suffix: str) -> BlockWriter:
    """The writer of a block.

    Args:
        container: What to write.
        thumbnails: The folder of thumbnails.
        partial: A folder on the same disk for what is not finished.
        index: Number of the block.
        suffix: Of the format's files.
    """
    if container == "webdataset":
        return ShardWriter(thumbnails, partial, index, suffix)
    if container == "parquet":
        return TableWriter(thumbnails, partial, index, suffix)
    return FolderWriter(thumbnails, partial, suffix)


class FolderWriter:
    """One file a picture, in the folders of the input."""

    def __init__(self, thumbnails: Path, partial: Path, suffix: str) -> None:
        self._thumbnails, self._partial, self._suffix = thumbnails, partial / "thumbnail", suffix
        self._made: Path | None = None

    def add(self, outcome: Outcome) -> str:
        """See `BlockWriter`."""
        output = outcome.target + self._suffix
        target = self._thumbnails / output
        assert ".." not in PurePosixPath(output).parts, "targets never leave the folder"
        assert outcome.content is not None
        with storage_errors(target):
            self._partial.write_bytes(outcome.content)  # first: it fails where the whole output has gone
            if target.parent != self._made:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._made = target.parent
            self._partial.replace(target)
        return output

    def finish(self) -> None:
        """Has the disk take what the system still holds: the block may then be recorded."""
        synchronise(self._thumbnails)


class ShardWriter:
    """One .tar of WebDataset a block: a picture, its label as .cls (a number) or .txt, and a .json of what is known."""

    def __init__(self, thumbnails: Path, partial: Path, index: int, suffix: str) -> None:
        self._target, self._partial = thumbnails / f"{index:08d}.tar", partial / "shard.tar"
        self._index, self._suffix, self._count = index, suffix, 0
        self._tar: tarfile.TarFile | None = None

    def add(self, outcome: Outcome) -> str:
        """See `BlockWriter`."""
        assert outcome.content is not None
        with storage_errors(self._target):
            if self._tar is None:
                self._tar = tarfile.open(self._partial, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
            key = f"{self._index:08d}{self._count:06d}"
            self._count += 1
            self._write(key + self._suffix, outcome.content)
            if outcome.label is not None:
                # WebDataset's decoders read .cls as a number.
                kind = "cls" if outcome.label.isdecimal() else "txt"
                self._write(f"{key}.{kind}", outcome.label.encode())
            self._write(f"{key}.json", json.dumps(_about(outcome), ensure_ascii=False).encode())
        return f"{self._target.name}#{key}{self._suffix}"

    def _write(self, name: str, content: bytes) -> None:
        assert self._tar is not None
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))

    def finish(self) -> None:
        """See `BlockWriter`."""
        if self._tar is not None:
            with storage_errors(self._target):
                self._tar.close()
                _put(self._partial, self._target)


class TableWriter:
    """One parquet table a block, as the `datasets` library reads it."""

    def __init__(self, thumbnails: Path, partial: Path, index: int, suffix: str) -> None:
        self._target, self._partial, self._suffix = thumbnails / f"{index:08d}.parquet", partial / "table", suffix
        self._rows: list[dict[str, Any]] = []

    def add(self, outcome: Outcome) -> str:
        """See `BlockWriter`."""
        path = PurePosixPath(outcome.target).name + self._suffix
        about = _about(outcome)
        known = {name: about[name] for name in ("source", "content_hash", "width", "height")}
        self._rows.append({"image": {"bytes": outcome.content, "path": path}, "label": outcome.label, **known})
        return f"{self._target.name}#{len(self._rows) - 1}"

    def finish(self) -> None:
        """See `BlockWriter`."""
        if self._rows:
            features = _FEATURES | {
                field.name: {"dtype": str(field.type), "_type": "Value"}
                for field in _TABLE
                if field.name not in _FEATURES
            }
            about = {"huggingface": json.dumps({"info": {"features": features}})}
            with storage_errors(self._target):
                table = pa.Table.from_pylist(self._rows, schema=_TABLE.with_metadata(about))
                pq.write_table(table, self._partial, compression="none")
                _put(self._partial, self._target)


def outputs(container: Container, thumbnails: Path, records: Sequence[Record]) -> Iterator[tuple[Record, bytes | None]]:
    """The thumbnails of one block's records that are done, read back; None of one that is missing or cannot be read."""
    done = [record for record in records if record.output is not None]
    if container == "folder":
        for record in done:
            yield record, _read(thumbnails / str(record.output))
        return
    if not done:
        return
    file = thumbnails / str(done[0].output).partition("#")[0]
    found = _members(file) if container == "webdataset" else _rows(file)
    for record in done:
        yield record, found.get(str(record.output).partition("#")[2])


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _members(file: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(file) as tar:
            for member in tar:
                opened = tar.extractfile(member)
                if opened is not None:
                    found[member.name] = opened.read()
    except (tarfile.TarError, OSError):
        pass  # what was read until here counts; the rest is missing
    return found


def _rows(file: Path) -> dict[str, bytes]:
    try:
        column = pq.read_table(file, columns=["image"])["image"]
    except (pa.ArrowException, OSError):
        return {}
    return {str(row): value["bytes"] for row, value in enumerate(column.to_pylist())}


def _about(outcome: Outcome) -> dict[str, Any]:
    facts = outcome.facts
    assert facts is not None
    return {
        "source": outcome.name,
        "label": outcome.label,
        "content_hash": facts.content_hash,
        "width": facts.width,
        "height": facts.height,
        "orientation": facts.orientation,
        "colour_profile": facts.colour_profile,
    }


def _put(partial: Path, target: Path) -> None:
    """A finished file to its place, and to the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    partial.replace(target)
    sync_folder(target.parent)
