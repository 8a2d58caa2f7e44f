"""A folder with all its subfolders, or one picture, here or at an address, as pictures in the order of their names."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thumbnet.data.pictures import PICTURE_SUFFIXES
from thumbnet.thumbnails.blocks import ArchivePicture, Damage
from thumbnet.thumbnails.naming import PATH_BYTES, readable, safe_part, safe_target, without_suffixes
from thumbnet.thumbnails.places import Entry, entries, is_address, reason_of

Identity = tuple[int, int]


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its suffix."""
    return name.lower().endswith(PICTURE_SUFFIXES)


def one_picture(place: str) -> Iterator[ArchivePicture | Damage]:
    """A single file as an input."""
    name = place.rpartition("/")[2] if is_address(place) else Path(place).name
    yield ArchivePicture(name=readable(name), target=safe_part(without_suffixes([name])[0]), file=place)


@dataclass(frozen=True, kw_only=True)
class _Folder:
    place: str
    parts: tuple[str, ...]
    ancestors: tuple[Identity, ...]


def pictures_below(root: str, exclude: Path | None) -> Iterator[ArchivePicture | Damage]:
    """All pictures of a tree: those of a folder by name, then those of its subfolders.

    Args:
        root: Path or address.
        exclude: A folder that is left out with all that is in it.

    Yields:
        Pictures, and folders that cannot be listed. A folder that links lead back to is not entered again.
    """
    left_out = os.path.realpath(exclude) if exclude is not None else None
    waiting = [_Folder(place=root, parts=(), ancestors=())]
    while waiting:
        folder = waiting.pop()
        if folder.parts and left_out is not None and _is(folder.place, left_out):
            continue
        try:
            ancestors = _lineage(folder)
            listed = entries(folder.place) if ancestors is not None else []
        except Exception as error:  # every store has exceptions of its own
            yield Damage(name=_name(folder.parts), reason=f"folder cannot be listed ({reason_of(error)})")
            continue
        yield from _pictures_in(folder, [entry for entry in listed if entry.kind != "folder"])
        below = [entry for entry in reversed(listed) if entry.kind == "folder"]
        waiting += [
            _Folder(place=entry.place, parts=(*folder.parts, entry.name), ancestors=ancestors or ()) for entry in below
        ]


def _pictures_in(folder: _Folder, listed: list[Entry]) -> Iterator[ArchivePicture | Damage]:
    found = [entry for entry in listed if is_picture(entry.name)]
    label = readable(folder.parts[-1]) if folder.parts else None
    above = "".join(f"{safe_part(part, folder=True)}/" for part in folder.parts)
    for entry, stem in zip(found, without_suffixes([entry.name for entry in found]), strict=True):
        name = _name((*folder.parts, entry.name))
        if entry.kind == "other":
            yield Damage(name=name, reason="no file, but a pipe, a device or a link to nowhere")
            continue
        target = above + safe_part(stem)
        if len(target.encode()) > PATH_BYTES:
            target = safe_target("/".join((*folder.parts, stem)))
        yield ArchivePicture(name=name, target=target, file=entry.place, label=label)


def _lineage(folder: _Folder) -> tuple[Identity, ...] | None:
    """Identities of a folder and all above it; None if it is its own ancestor."""
    if is_address(folder.place):
        return ()
    state = os.stat(folder.place)
    identity = (state.st_dev, state.st_ino)
    return None if identity in folder.ancestors else (*folder.ancestors, identity)


def _is(place: str, left_out: str) -> bool:
    return not is_address(place) and os.path.realpath(place) == left_out


def _name(parts: tuple[str, ...]) -> str:
    return readable("/".join(parts)) or "."
