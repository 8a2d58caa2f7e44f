"""A list of pictures in a text file: one path or address a line, or a table of them with a column of labels."""

import csv
import io
from collections.abc import Iterator

from thumbnet.config import ColumnSettings
from thumbnet.errors import DataError
from thumbnet.thumbnails.blocks import ArchivePicture, Damage
from thumbnet.thumbnails.cells import columns_of
from thumbnet.thumbnails.naming import readable, safe_target
from thumbnet.thumbnails.places import below, joined, open_binary, parent, reason_of

LIST_SUFFIXES = (".txt", ".lst")
TABLE_SUFFIXES = {".csv": ",", ".tsv": "\t"}
LINE_BYTES = 65536  # a file without line breaks is no list
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def pictures_of_list(place: str) -> Iterator[ArchivePicture | Damage]:
    """The pictures of a list. Blank lines are skipped; relative paths count from the list's folder."""
    folder, own_name = parent(place), readable(below(place, parent(place)))
    number = 0
    try:
        with open_binary(place) as file:
            while line := file.readline(LINE_BYTES):
                number += 1
                if len(line) == LINE_BYTES and not line.endswith(b"\n"):
                    yield Damage(name=own_name, reason=f"line {number} is too long to be a path; the rest is left out")
                    return
                line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
                if line.strip():
                    yield _picture(line.rstrip(b"\r\n").decode(errors="surrogateescape"), folder, None)
    except Exception as error:  # every store has exceptions of its own
        yield Damage(name=own_name, reason=f"cannot be read after line {number} ({reason_of(error)})")


def pictures_of_table(place: str, columns: ColumnSettings) -> Iterator[ArchivePicture | Damage]:
    """The pictures of a `.csv` or `.tsv` of paths; its first row has the names of the columns."""
    folder, own_name = parent(place), readable(below(place, parent(place)))
    row = 0
    try:
        with _open_text(place) as file:
            rows = csv.reader(file, delimiter=_delimiter(place))
            names = next(rows, [])
            used = columns_of(names, columns, own_name)
            at, label_at = names.index(used.picture), names.index(used.label) if used.label else None
            for row, values in enumerate(rows, 1):
                if not any(values):
                    continue
                if len(values) != len(names) or not values[at]:
                    short = f"{len(values)} cells, not {len(names)}" if len(values) != len(names) else "no path"
                    yield Damage(name=f"{own_name}/{row:09d}", reason=short)
                    continue
                label = readable(values[label_at]) if label_at is not None else None
                yield _picture(values[at], folder, label or None)
    except DataError as error:
        yield Damage(name=own_name, reason=str(error))
    except Exception as error:
        yield Damage(name=own_name, reason=f"cannot be read after row {row} ({reason_of(error)})")


def check_table(place: str, columns: ColumnSettings) -> None:
    """Makes sure that a table has the columns it needs.

    Raises:
        DataError: If it has not, or cannot be read.
    """
    try:
        with _open_text(place) as file:
            names = next(csv.reader(file, delimiter=_delimiter(place)), [])
    except Exception as error:
        raise DataError(
            f"pictures: cannot read {readable(place)} ({reason_of(error)}); give a table of text"
        ) from error
    columns_of(names, columns, readable(place))


def _open_text(place: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(open_binary(place), encoding="utf-8-sig", errors="surrogateescape", newline="")


def _delimiter(place: str) -> str:
    return next((mark for suffix, mark in TABLE_SUFFIXES.items() if place.lower().endswith(suffix)), ",")


def _picture(path: str, folder: str, label: str | None) -> ArchivePicture:
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    return ArchivePicture(name=readable(path), target=safe_target(path), file=joined(folder, path), label=label)
