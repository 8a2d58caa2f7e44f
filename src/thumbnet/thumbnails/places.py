"""Where an input is: a path on this machine, or an address such as `s3://bucket/photos` that fsspec knows.

The rest of an input sees both as text, and asks here what is there. Paths may hold surrogates in place of bytes that
are no UTF-8.
"""

import contextlib
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from thumbnet.errors import DataError, ThumbNetError
from thumbnet.thumbnails.naming import raw_bytes, readable

Kind = Literal["file", "folder", "other"]
BUFFER_BYTES = 2**18
_PATTERN = re.compile(r"[*?\[]")
_VERSION_KEYS = ("size", "mtime", "ETag", "etag", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What a folder holds directly.

    Attributes:
        name: Within the folder.
        place: Path or address of it.
        kind: `other` is nothing that can be read: a pipe, a device, or a link to nowhere.
    """

    name: str
    place: str
    kind: Kind


def is_address(place: str) -> bool:
    """Whether this is for fsspec, and not a path on this machine."""
    return "://" in place


def is_pattern(place: str) -> bool:
    """Whether this stands for several files; an existing file may have such a name as well."""
    return bool(_PATTERN.search(place)) and (is_address(place) or not os.path.lexists(place))


def without_file_scheme(place: str) -> str:
    """`file:///photos` as the path that it is."""
    return place.removeprefix("file://") if place.startswith("file:///") else place


def parent(place: str) -> str:
    """The folder that a file or pattern lies in; of a pattern, the last folder without a wildcard."""
    folder = place.rpartition("/")[0] if is_address(place) else str(Path(place).parent)
    return parent(folder) if is_pattern(folder) else folder


def joined(folder: str, name: str) -> str:
    """A path or address within a folder; one that is whole by itself stays."""
    if is_address(name) or name.startswith("/"):
        return name
    return f"{folder.rstrip('/')}/{name}" if is_address(folder) else str(Path(folder) / name)


def below(place: str, root: str) -> str:
    """A place as it is called within a folder, with `/`."""
    if is_address(place):
        start = root.rstrip("/") + "/"
        return place.removeprefix(start) if root else place
    return os.path.relpath(place, root or ".").replace(os.sep, "/")


def kind_of(place: str) -> Kind | None:
    """What is there; None for nothing.

    Raises:
        DataError: If that cannot be found out.
    """
    with _one_line_errors(place):
        try:
            if is_address(place):
                system, path = _system(place)
                return "folder" if system.info(path)["type"] == "directory" else "file"
            mode = os.stat(place).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
    return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"


def entries(folder: str) -> list[Entry]:
    """What a folder holds, in the order of the names' bytes; links are followed.

    Raises:
        OSError: Or what else fsspec raises, if it cannot be listed.
    """
    found = _address_entries(folder) if is_address(folder) else _path_entries(folder)
    return sorted(found, key=lambda entry: raw_bytes(entry.name))


def matching(pattern: str) -> list[str]:
    """All files of a pattern, in the order of their bytes.

    Raises:
        DataError: If they cannot be listed.
    """
    with _one_line_errors(pattern):
        if is_address(pattern):
            system, path = _system(pattern)
            found = [_address(system, name, pattern) for name in system.glob(path)]
        else:
            root = parent(pattern)
            found = [str(path) for path in Path(root).glob(below(pattern, root))]
    return sorted(found, key=raw_bytes)


def open_binary(place: str) -> io.BufferedReader:
    """Opens a file to read from anywhere in it.

    Raises:
        OSError: Or what else fsspec raises.
    """
    if is_address(place):
        system, path = _system(place)
        # Headers of archives are read in pieces of 512 bytes, each of which costs fsspec some work in Python.
        return io.BufferedReader(system.open(path, "rb"), BUFFER_BYTES)
    return io.BufferedReader(io.FileIO(place), BUFFER_BYTES)


def version_of(place: str) -> str:
    """A hash that changes when the file is another one: over its place, size and time (or a store's tag)."""
    try:
        if is_address(place):
            system, path = _system(place)
            info = system.info(path)
            found = [str(info.get(key)) for key in _VERSION_KEYS]
        else:
            state = os.stat(place)
            found = [str(state.st_size), str(state.st_mtime_ns)]
    except Exception:  # whatever it is, reading the file will say it better
        found = ["cannot be read"]
    return hashlib.sha256(b"\0".join([raw_bytes(place), *(part.encode() for part in found)])).hexdigest()


def reason_of(error: BaseException) -> str:
    """What an exception says, in one line."""
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    if isinstance(error, OSError) and error.strerror:
        return readable(error.strerror)
    return readable(next((line for line in str(error).splitlines() if line.strip()), type(error).__name__))


@contextlib.contextmanager
def _one_line_errors(place: str) -> Iterator[None]:
    try:
        yield
    except ThumbNetError:
        raise
    except ImportError as error:
        raise DataError(f"pictures: {readable(place)} needs another package ({reason_of(error)})") from error
    except Exception as error:  # every store has exceptions of its own
        advice = "check the address, its permissions and the network" if is_address(place) else "check its permissions"
        raise DataError(f"pictures: cannot look at {readable(place)} ({reason_of(error)}); {advice}") from error


def _system(place: str) -> tuple[Any, str]:
    import fsspec

    system, path = fsspec.core.url_to_fs(place)
    return system, path


def _address(system: Any, path: str, beside: str) -> str:
    chained = beside.partition("::")[2]
    whole = str(system.unstrip_protocol(path))
    return f"{whole}::{chained}" if chained else whole


def _address_entries(folder: str) -> Iterator[Entry]:
    system, path = _system(folder)
    listed = system.ls(path, detail=True)
    system.invalidate_cache(path)  # else every listing of a large store stays in memory
    own = path.strip("/")
    for found in listed:
        name = found["name"].strip("/")
        if name != own:  # the empty object that some tools leave in place of a folder
            kind: Kind = "folder" if found["type"] == "directory" else "file"
            place = _address(system, found["name"], folder)
            yield Entry(name=name.rpartition("/")[2], place=place, kind=kind)


def _path_entries(folder: str) -> Iterator[Entry]:
    with os.scandir(folder) as listed:
        for found in listed:
            kind: Kind = "other"
            with contextlib.suppress(OSError):  # a link to itself
                kind = "folder" if found.is_dir() else "file" if found.is_file() else "other"
            yield Entry(name=found.name, place=found.path, kind=kind)
