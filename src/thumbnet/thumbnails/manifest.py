"""The manifest: one record a picture, in one parquet file a block, written when the block's thumbnails are.

A block is finished if and only if its file is there. So a run that is killed leaves nothing to repair: what has no file
is done again.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from thumbnet.errors import CheckpointError, ConfigError
from thumbnet.storage import storage_errors, write_atomically
from thumbnet.thumbnails.blocks import Block
from thumbnet.thumbnails.stages import Outcome

Status = Literal["done", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What became of one picture.

    Attributes:
        source: Its name within the input.
        content_hash: SHA-256 of its file; null if it was not read.
        status: `done` or `failed`.
        reason: Why it failed.
        output: Where its thumbnail is, below `thumbnails/`; within a shard or table after a `#`.
        output_hash: SHA-256 of the thumbnail's file.
        output_bytes: Size of the thumbnail's file.
        label: Its class by name, if the input says so.
        width: As stored, px.
        height: As stored, px.
        orientation: EXIF's, 1 to 8; the thumbnail is upright.
        colour_profile: Name of the profile within its file; the thumbnail is in sRGB.
        source_bytes: Size of its file.
    """

    source: str
    content_hash: str | None
    status: Status
    reason: str | None
    output: str | None
    output_hash: str | None
    output_bytes: int | None
    label: str | None
    width: int | None
    height: int | None
    orientation: int | None
    colour_profile: str | None
    source_bytes: int | None


_NUMBERS = ("output_bytes", "width", "height", "orientation", "source_bytes")
SCHEMA = pa.schema([(field.name, pa.int64() if field.name in _NUMBERS else pa.string()) for field in fields(Record)])


def record_of(outcome: Outcome, output: str | None) -> Record:
    """The record of a picture; `output` is where its thumbnail was written."""
    facts, content = outcome.facts, outcome.content
    return Record(
        source=outcome.name,
        content_hash=facts.content_hash if facts else None,
        status="failed" if content is None else "done",
        reason=outcome.reason,
        output=output,
        output_hash=hashlib.sha256(content).hexdigest() if content is not None else None,
        output_bytes=len(content) if content is not None else None,
        label=outcome.label,
        width=facts.width if facts else None,
        height=facts.height if facts else None,
        orientation=facts.orientation if facts else None,
        colour_profile=facts.colour_profile if facts else None,
        source_bytes=facts.source_bytes if facts else None,
    )


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Counts over a manifest.

    Attributes:
        done: Thumbnails.
        failed: Pictures, or parts of the input, without one.
        source_bytes: Size of the files that were read.
        thumbnail_bytes: Size of the thumbnails.
    """

    done: int = 0
    failed: int = 0
    source_bytes: int = 0
    thumbnail_bytes: int = 0


@dataclass(frozen=True)
class Manifest:
    """The manifest in a folder.

    Attributes:
        folder: Holds one file a finished block, `00000012.parquet`.
    """

    folder: Path

    def finished(self) -> set[int]:
        """Numbers of the finished blocks."""
        return {int(file.stem) for file in self.folder.glob("*.parquet") if file.stem.isdecimal()}

    def commit(self, block: Block, records: Sequence[Record], downscaler_hash: str) -> None:
        """Records a block as finished; the last thing that is done for it.

        Raises:
            StorageError: If the disk is full.
        """
        columns = {name: [getattr(record, name) for record in records] for name in SCHEMA.names}
        about = {"block": block.name, "stamp": block.stamp, "downscaler": downscaler_hash}
        table = pa.table(columns, schema=SCHEMA.with_metadata(about))
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="zstd")
        write_atomically(self._file(block.index), buffer.getvalue().to_pybytes())

    def require_same(self, block: Block) -> None:
        """Makes sure that a finished block is what the input still holds.

        Raises:
            ConfigError: If the input has changed.
        """
        stamp = (self._open(block.index).schema_arrow.metadata or {}).get(b"stamp", b"").decode()
        if stamp != block.stamp:
            raise _changed(f"{block.name} is not what it was")

    def require_no_more(self, finished: set[int], blocks: int) -> None:
        """Makes sure that no block is finished which the input no longer has.

        Args:
            finished: Numbers of the finished blocks.
            blocks: How many the input has.

        Raises:
            ConfigError: If the input has become shorter.
        """
        gone = min((index for index in finished if index >= blocks), default=None)
        if gone is not None:
            name = (self._open(gone).schema_arrow.metadata or {}).get(b"block", b"").decode()
            raise _changed(f"{name} is gone")

    def records(self, index: int) -> list[Record]:
        """The records of a finished block.

        Raises:
            CheckpointError: If its file is damaged.
        """
        return [Record(**row) for row in self._read(index).to_pylist()]

    def totals(self) -> Totals:
        """Counts over all finished blocks."""
        counts = dict.fromkeys((field.name for field in fields(Totals)), 0)
        for index in sorted(self.finished()):
            table = self._read(index)
            done = sum(1 for status in table["status"].to_pylist() if status == "done")
            counts["done"] += done
            counts["failed"] += len(table) - done
            counts["source_bytes"] += _total(table, "source_bytes")
            counts["thumbnail_bytes"] += _total(table, "output_bytes")
        return Totals(**counts)

    def write_failures(self, target: Path) -> None:
        """Writes the records of all failures to one parquet file, which is there even if there are none.

        Raises:
            StorageError: If the disk is full.
        """
        partial = target.with_name(f".{target.name}")
        with storage_errors(target):
            with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
                for table in self._failures():
                    writer.write_table(table)
            partial.replace(target)

    def first_failures(self, most: int) -> list[Record]:
        """The records of the first failures."""
        found = (Record(**row) for table in self._failures() for row in table.to_pylist())
        return list(islice(found, most))

    def _failures(self) -> Iterator[pa.Table]:
        for index in sorted(self.finished()):
            table = self._read(index)
            failed = table.filter(pa.array([status == "failed" for status in table["status"].to_pylist()]))
            if len(failed):
                yield failed.replace_schema_metadata(None)

    def _file(self, index: int) -> Path:
        return self.folder / f"{index:08d}.parquet"

    def _open(self, index: int) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self._file(index))
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self._file(index)) from error

    def _read(self, index: int) -> pa.Table:
        try:
            return self._open(index).read()
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self._file(index)) from error


def _changed(what: str) -> ConfigError:
    problem = f"the input has changed since this was begun: {what}"
    return ConfigError(f"resume: {problem}; thumbnail it into another folder, or begin again with --overwrite")


def _damaged(file: Path) -> CheckpointError:
    return CheckpointError(f"manifest: {file} is damaged; remove it and give --resume to make its block again")


def _total(table: Any, column: str) -> int:
    return sum(value for value in table[column].to_pylist() if value is not None)
