"""Pictures that are found one by one, as files with names of their own, cut into blocks as they come."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from thumbnet.thumbnails.blocks import ArchivePicture, Block, Damage


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedBlock:
    """A block that holds where its pictures are; see `Block`."""

    index: int
    name: str
    stamp: str
    found: tuple[ArchivePicture | Damage, ...]

    @property
    def pictures(self) -> int:
        """How many it holds."""
        return sum(isinstance(one, ArchivePicture) for one in self.found)

    def read(self) -> Iterator[ArchivePicture | Damage]:
        """As they were found; the files are opened by whoever works on them."""
        return iter(self.found)


@dataclass(frozen=True, kw_only=True)
class ListedSource:
    """An input whose pictures are found one by one; see `Source`.

    Attributes:
        description: One phrase for messages.
        find: Starts from the beginning at each call, and finds the same.
        block_pictures: How many make a block.
    """

    description: str
    find: Callable[[], Iterable[ArchivePicture | Damage]]
    block_pictures: int

    def blocks(self) -> Iterator[Block]:
        """Slices of what is found; what cannot be read counts as one, so that no block is without bounds."""
        found = iter(self.find())
        index = 0
        while part := tuple(islice(found, self.block_pictures)):
            digest = hashlib.sha256()
            for one in part:
                digest.update(one.name.encode() + b"\n")
            name = part[0].name if len(part) == 1 else f"{part[0].name} to {part[-1].name}"
            yield ListedBlock(index=index, name=name, stamp=digest.hexdigest(), found=part)
            index += 1
