"""What IN of `thumbnet thumbnail RUN IN OUT` is: a tree, a list, shards, tables or a data set."""

import os
from functools import partial
from pathlib import Path

from thumbnet.config import ColumnSettings
from thumbnet.data.datasets import NAMED
from thumbnet.data.pictures import PICTURE_SUFFIXES
from thumbnet.errors import DataError
from thumbnet.thumbnails.blocks import ArchivePicture, Damage, Source
from thumbnet.thumbnails.dataset_rows import is_saved, open_rows
from thumbnet.thumbnails.listed import ListedSource
from thumbnet.thumbnails.lists import LIST_SUFFIXES, TABLE_SUFFIXES, check_table, pictures_of_list, pictures_of_table
from thumbnet.thumbnails.naming import readable
from thumbnet.thumbnails.places import (
    entries,
    is_address,
    is_pattern,
    kind_of,
    matching,
    parent,
    reason_of,
    without_file_scheme,
)
from thumbnet.thumbnails.shards import SHARD_SUFFIX, ShardSource
from thumbnet.thumbnails.tables import TABLE_SUFFIX, TableSource, check_tables
from thumbnet.thumbnails.trees import is_picture, one_picture, pictures_below

FORMS = "a folder, a picture, a .txt list, .csv, .parquet or .tar files, or hf/NAME"


def open_source(address: str, *, columns: ColumnSettings, block_pictures: int, exclude: Path | None) -> Source:
    """Opens the pictures to make thumbnails of.

    Args:
        address: A folder with its subfolders, a picture, a list (`.txt`, `.lst`, `.csv`, `.tsv`), WebDataset shards
            (`.tar`, a pattern, a folder of them), tables (`.parquet`, likewise), a data set that the `datasets` library
            saved, or `hf/NAME[:CONFIGURATION][#SPLIT]`. All but the last two may be addresses such as `s3://bucket`.
        columns: Where tables, shards and data sets have pictures and labels.
        block_pictures: Most pictures of a block; a shard is one block whatever it holds.
        exclude: The folder that thumbnails are written to; left out where it is below the input.

    Raises:
        DataError: If nothing is there, it holds no pictures, or it is no input.
    """
    place = without_file_scheme(address)
    if place.startswith(NAMED):
        return open_rows(place, columns, block_pictures)
    if is_pattern(place):
        return _files(place, matching(place), parent(place), columns, block_pictures)
    kind = kind_of(place) if place else None
    if kind is None:
        raise DataError(f"pictures: nothing at {readable(address)}; give {FORMS}")
    if kind == "folder":
        return _folder(place, columns, block_pictures, exclude)
    lower = place.lower()
    shown = readable(place)
    if lower.endswith((SHARD_SUFFIX, TABLE_SUFFIX)):
        return _files(place, [place], parent(place), columns, block_pictures)
    if lower.endswith(LIST_SUFFIXES):
        find, what = partial(pictures_of_list, place), f"the list {shown}"
    elif lower.endswith(tuple(TABLE_SUFFIXES)):
        check_table(place, columns)
        find, what = partial(pictures_of_table, place, columns), f"the table {shown}"
    elif is_picture(place):
        find, what = partial(one_picture, place), f"the picture {shown}"
    else:
        raise DataError(f"pictures: {shown} is no picture ({', '.join(PICTURE_SUFFIXES)}); give {FORMS}")
    return _with_pictures(ListedSource(description=what, find=find, block_pictures=block_pictures))


def _folder(place: str, columns: ColumnSettings, block_pictures: int, exclude: Path | None) -> Source:
    if not is_address(place) and is_saved(place):
        return open_rows(place, columns, block_pictures)
    shown = readable(place)
    try:
        files = [entry for entry in entries(place) if entry.kind == "file"]
    except Exception as error:  # every store has exceptions of its own
        raise DataError(f"pictures: cannot list {shown} ({reason_of(error)}); check its permissions") from error
    kinds = {suffix: [e.place for e in files if e.name.lower().endswith(suffix)] for suffix in _CONTAINERS}
    held = {suffix: places for suffix, places in kinds.items() if places}
    if held and (len(held) > 1 or any(is_picture(entry.name) for entry in files)):
        problem = f"{shown} holds {next(iter(held))} files beside others with pictures"
        raise DataError(f"pictures: {problem}; name them as '{shown}/*{next(iter(held))}', or give a folder of its own")
    for places in held.values():
        return _files(place, places, place, columns, block_pictures)
    if exclude is not None and not is_address(place):
        inside, root = os.path.realpath(exclude), os.path.realpath(place)
        if root == inside or root.startswith(inside + os.sep):
            problem = f"{shown} is in the folder that thumbnails go to, {readable(str(exclude))}"
            raise DataError(f"pictures: {problem}; choose another folder for the thumbnails")
    find = partial(pictures_below, place, exclude)
    return _with_pictures(
        ListedSource(description=f"the pictures below {shown}", find=find, block_pictures=block_pictures)
    )


_CONTAINERS = (SHARD_SUFFIX, TABLE_SUFFIX)


def _files(place: str, places: list[str], root: str, columns: ColumnSettings, block_pictures: int) -> Source:
    """Shards or tables."""
    shown = readable(place)
    if not places:
        raise DataError(f"pictures: no file matches {shown}; give {FORMS}")
    if all(one.lower().endswith(SHARD_SUFFIX) for one in places):
        return ShardSource(description=f"the shards of {shown}", root=root, places=tuple(places), columns=columns)
    if not all(one.lower().endswith(TABLE_SUFFIX) for one in places):
        raise DataError(f"pictures: {shown} matches other files than .tar or .parquet alone; give {FORMS}")
    check_tables(places, columns)
    return TableSource(
        description=f"the tables of {shown}",
        root=root,
        places=tuple(places),
        columns=columns,
        block_pictures=block_pictures,
    )


def _with_pictures(source: ListedSource) -> Source:
    """The same, having made sure that something is there; looks no further than the first picture."""
    damage = None
    for found in source.find():
        if isinstance(found, ArchivePicture):
            return source
        damage = damage or found
    suffixes = ", ".join(PICTURE_SUFFIXES)
    if isinstance(damage, Damage):
        raise DataError(
            f"pictures: none can be reached in {source.description} ({damage.name}: {damage.reason}); mend it"
        )
    raise DataError(f"pictures: none in {source.description} ({suffixes}); give {FORMS}")
