"""Blocks as rows of Ray Data, and back. Imports no torch, so that the processes that only read start at once."""

import pickle
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from thumbnet.thumbnails.blocks import Block, chunks_of


def rows_of(block: Block) -> Iterator[pa.Table]:
    """A block as rows of one chunk each, and an empty one that ends it."""
    for chunk in chunks_of(block):
        yield _row(block, chunk, last=False)
    yield _row(block, [], last=True)


def source_of(window: list[Block]) -> Any:
    """Blocks as a source that Ray Data reads one by one, on whichever machine has a core free."""
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    class Blocks(Datasource):  # type: ignore[misc]
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *_: object, **__: object) -> list[Any]:
            unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(_Read(block), unknown) for block in window]

    return Blocks()


def payload(row: dict[str, Any]) -> Any:
    """What a row carries; made by our own tasks."""
    return pickle.loads(row["payload"])


def with_payload(row: dict[str, Any], content: object) -> dict[str, Any]:
    """The same row, carrying something else."""
    return {**row, "payload": pickle.dumps(content, protocol=5)}


class _Read:
    """A task that reads one block."""

    def __init__(self, block: Block) -> None:
        self._block = block

    def __call__(self) -> Iterator[pa.Table]:
        return rows_of(self._block)


def _row(block: Block, content: object, *, last: bool) -> pa.Table:
    return pa.table({"block": [block.index], "last": [last], "payload": [pickle.dumps(content, protocol=5)]})
