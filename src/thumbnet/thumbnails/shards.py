"""WebDataset shards: tar archives whose consecutive files of one key are a sample. One block a shard."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from thumbnet.config import ColumnSettings
from thumbnet.thumbnails.blocks import ArchivePicture, Block, Damage
from thumbnet.thumbnails.cells import label_of
from thumbnet.thumbnails.naming import readable, safe_target, without_suffixes
from thumbnet.thumbnails.places import below, open_binary, reason_of, version_of
from thumbnet.thumbnails.tar_entries import TarEntries
from thumbnet.thumbnails.trees import is_picture

SHARD_SUFFIX = ".tar"
LABELS = ("cls", "txt", "json.label")
LABEL_BYTES = 10**6
SAMPLE_BYTES = 256 * 10**6  # of pictures that wait for a label; a key that never changes is no sample
PICTURE_COST = 1000  # what an empty picture takes in memory


@dataclass(frozen=True, kw_only=True)
class ShardSource:
    """Shards in their order; see `Source`.

    Attributes:
        description: One phrase for messages.
        root: What names count from.
        places: Paths or addresses.
        columns: Which of a sample's files are its picture and its label, by what follows the first dot.
    """

    description: str
    root: str
    places: Sequence[str]
    columns: ColumnSettings

    def blocks(self) -> Iterator[Block]:
        """One a shard."""
        names = [below(place, self.root) for place in self.places]
        # `a.tar` beside a folder `a` of shards would write into that folder's thumbnails.
        folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
        stems = without_suffixes(names)
        for index, (place, name, stem) in enumerate(zip(self.places, names, stems, strict=True)):
            yield ShardBlock(
                index=index,
                name=readable(name),
                stamp=version_of(place),
                place=place,
                folder=f"{name if stem in folders else stem}/",
                columns=self.columns,
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardBlock:
    """One shard; see `Block`.

    Attributes:
        place: Its path or address.
        folder: What its pictures' targets are below, not made safe yet.
        columns: As in `ShardSource`.
    """

    index: int
    name: str
    stamp: str
    place: str
    folder: str
    columns: ColumnSettings
    pictures: int | None = None

    def read(self) -> Iterator[ArchivePicture | Damage]:
        """Its pictures, in the order of the archive."""
        reading = _Reading(self)
        try:
            with open_binary(self.place) as file:
                yield from reading.found(TarEntries(file))
        except Exception as error:  # every store has exceptions of its own
            yield from reading.sample()
            yield Damage(name=self.name, reason=f"cannot be read ({reason_of(error)})")


class _Reading:
    """What is known of a shard while it is read: the sample so far, and the targets that are taken."""

    def __init__(self, block: ShardBlock) -> None:
        self._block = block
        self._wanted = (block.columns.label,) if block.columns.label else LABELS
        self._taken: set[str] = set()
        self._key: str | None = None
        self._pictures: list[tuple[str, str, bytes]] = []
        self._held_bytes = 0
        self._labels: dict[str, str] = {}

    def found(self, entries: TarEntries) -> Iterator[ArchivePicture | Damage]:
        for entry in entries:
            if isinstance(entry, str):
                yield Damage(name=self._block.name, reason=entry)
                continue
            member = _without_dots(entry.name)
            key, extension = _parts(member)
            if key != self._key or self._held_bytes > SAMPLE_BYTES:
                yield from self.sample()
                self._key, self._labels = key, self._labels if key == self._key else {}
            damage = self._take(entries, entry, member, extension)
            if damage is not None:
                yield damage
        yield from self.sample()

    def _take(self, entries: TarEntries, entry: tarfile.TarInfo, member: str, extension: str) -> Damage | None:
        """Adds a file to the sample."""
        chosen = self._block.columns.picture
        if extension == chosen if chosen else is_picture(member):
            content = entries.content(entry) if entry.isreg() else _kind(entry)
            if isinstance(content, str):
                return Damage(name=f"{self._block.name}/{readable(member)}", reason=content)
            if content is not None:
                name, target = self._free(f"{self._block.name}/{readable(member)}", member)
                self._pictures.append((name, target, content))
                self._held_bytes += len(content) + PICTURE_COST
        elif entry.isreg() and entry.size <= LABEL_BYTES:
            for wanted in self._wanted:
                if wanted.partition(".")[0] == extension:
                    content = entries.content(entry)
                    label = _label(content, wanted) if isinstance(content, bytes) else None
                    if label:
                        self._labels[wanted] = label
        return None

    def sample(self) -> Iterator[ArchivePicture]:
        """The pictures that wait, with the label that was found for them."""
        label = next((self._labels[wanted] for wanted in self._wanted if wanted in self._labels), None)
        for name, target, content in self._pictures:
            yield ArchivePicture(name=name, target=target, file=content, label=label)
        self._pictures, self._held_bytes = [], 0

    def _free(self, name: str, member: str) -> tuple[str, str]:
        """Name and target, with a number if an earlier file of the shard had the same."""
        target = safe_target(self._block.folder + member)
        number, mark = 1, ""
        while f"{target}{mark}" in self._taken:
            number += 1
            mark = f"#{number}"
        self._taken.add(f"{target}{mark}")
        return f"{name}{mark}", f"{target}{mark}"


def _without_dots(name: str) -> str:
    # `tar -c .` writes all names so.
    while name.startswith("./"):
        name = name[2:]
    return name


def _parts(member: str) -> tuple[str, str]:
    """Key of the sample, and what follows the first dot of the base name."""
    folder, slash, base = member.rpartition("/")
    stem, _, extension = base.partition(".")
    return (folder + slash + stem, extension) if stem else (member, "")


def _kind(entry: tarfile.TarInfo) -> str | None:
    """Why an entry is no picture, although it is called like one; None for a folder."""
    if entry.isdir():
        return None
    if entry.issym() or entry.islnk():
        return f"a link to {readable(entry.linkname)}, not a file"
    return "a device or pipe, not a file"


def _label(content: bytes, wanted: str) -> str | None:
    if "." not in wanted:
        return readable(content.strip())
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return label_of(record.get(wanted.partition(".")[2]), None) if isinstance(record, dict) else None
