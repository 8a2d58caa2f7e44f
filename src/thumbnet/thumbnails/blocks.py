"""What an input is made of: blocks of pictures that can be read anywhere, in any order, and again.

A block is the unit in which work is finished: its pictures are written and recorded together. It is a description and
not the pictures themselves, so it travels to other processes and machines and is read there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, runtime_checkable

# Enough for E to be fast, few enough for chunks to be even work for processes.
CHUNK_PICTURES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchivePicture:
    """One picture of an input, not read yet.

    Attributes:
        name: What it is called within the input, such as `cats/001.jpg` or `shard-0001.tar/000012.jpg`; printable
            UTF-8, the same on every machine.
        target: Where its thumbnail goes below a mirrored folder, without the suffix of its format: relative, with `/`,
            never leaving the folder, and no other picture's.
        file: The file's bytes; or its path or fsspec address, to be read where the picture is worked on.
        label: Its class by name, if the input says so.
    """

    name: str
    target: str
    file: bytes | str
    label: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """A part of an input that cannot be read, with whatever pictures were in it.

    Attributes:
        name: What is damaged, such as `shard-0001.tar`, the same on every machine.
        reason: What is wrong, and where; one line.
    """

    name: str
    reason: str


@runtime_checkable
class Block(Protocol):
    """Pictures that are finished together. Can be pickled.

    Attributes:
        index: Its number within the input, from 0.
        name: What to call it in messages.
        stamp: Changes when the input has changed, as far as that can be seen without reading pictures: a hash over
            names, or over path, size and time of a container.
        pictures: How many there are, if that is known before reading.
    """

    @property
    def index(self) -> int: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def stamp(self) -> str: ...  # noqa: D102

    @property
    def pictures(self) -> int | None: ...  # noqa: D102

    def read(self) -> Iterator[ArchivePicture | Damage]:
        """Its pictures, in an order that is the same every time; never raises for a damaged input."""
        ...


@runtime_checkable
class Source(Protocol):
    """An input, opened.

    Attributes:
        description: One phrase for messages.
    """

    @property
    def description(self) -> str: ...  # noqa: D102

    def blocks(self) -> Iterator[Block]:
        """All blocks by index, found while they are asked for, so that memory does not grow with the input."""
        ...


def chunks_of(block: Block, size: int = CHUNK_PICTURES) -> Iterator[list[ArchivePicture | Damage]]:
    """The pictures of a block, a few at a time."""
    pictures = block.read()
    while chunk := list(islice(pictures, size)):
        yield chunk
