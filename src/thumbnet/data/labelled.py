"""Labelled pictures of one split, wherever they are kept, and the two splits of a data set.

A picture is a file of its own, or bytes within a table or shard; a label is a class, several, shares of all, or none.
The split is a pure function of names, so it is the same on every machine and does not move when the seed does.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Float32

from thumbnet.errors import DataError

LabelKind = Literal["single", "multi", "soft", "none"]
NO_LABEL = -1
Labels = tuple[int, ...] | Float32[np.ndarray, "pictures classes"]
Label = int | Float32[np.ndarray, "classes"]


@runtime_checkable
class StoredFiles(Protocol):
    """Files that are kept inside others, by position."""

    @property
    def stamp(self) -> str:
        """Changes when any of them may have changed, without reading them."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Path | bytes: ...

    def __iter__(self) -> Iterator[Path | bytes]: ...

    def select(self, keep: Sequence[int]) -> "StoredFiles":
        """The files at the given positions."""
        ...


Files = tuple[Path, ...] | StoredFiles


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Labelled pictures of one split.

    Attributes:
        files: One a picture: its path, or its bytes.
        labels: Index into `classes` of each picture; for `multi` a row of 0 and 1, for `soft` a row of shares with sum
            1, one a class; for `none` -1.
        classes: Names of the classes, in the order of the classifier's outputs.
        names: A name of each picture that is the same on every machine, such as its path within the data set.
        kind: What a label is: one class (`single`), any number of classes (`multi`), shares of all (`soft`), `none`.
    """

    files: Files
    labels: Labels
    classes: tuple[str, ...]
    names: tuple[str, ...]
    kind: LabelKind = "single"

    def __len__(self) -> int:
        return len(self.files)

    def select(self, keep: Sequence[int]) -> "Pictures":
        """The pictures at the given positions."""
        files, labels = self.files, self.labels
        return replace(
            self,
            files=tuple(files[i] for i in keep) if isinstance(files, tuple) else files.select(keep),
            labels=tuple(labels[i] for i in keep) if isinstance(labels, tuple) else labels[list(keep)],
            names=tuple(self.names[i] for i in keep),
        )

    @property
    def fingerprint_of_names(self) -> str:
        """SHA-256 over the names in any order; changes when a picture is added, removed or called otherwise."""
        return hashlib.sha256("\0".join(sorted(self.names)).encode()).hexdigest()

    def in_classes(self, classes: tuple[str, ...], whose: str) -> "Pictures":
        """The same pictures with labels that count in other classes, found by name; there may be more of them.

        Args:
            classes: In the order of a classifier's outputs.
            whose: What these are the classes of, for the message.

        Raises:
            DataError: If a class of the pictures is not among them.
        """
        if self.classes == classes:
            return self
        moved = places_in(classes, self.classes, whose)
        if isinstance(self.labels, tuple):
            found: Labels = tuple(moved[label] if label != NO_LABEL else NO_LABEL for label in self.labels)
        else:
            found = np.zeros((len(self), len(classes)), dtype=np.float32)
            found[:, moved] = self.labels
        return replace(self, labels=found, classes=classes)

    def seen_classes(self) -> set[int]:
        """Positions of the classes that any picture has."""
        if isinstance(self.labels, tuple):
            return set(self.labels) - {NO_LABEL}
        return set(np.flatnonzero(self.labels.max(axis=0, initial=0) > 0).tolist())


def places_in(classes: tuple[str, ...], own: tuple[str, ...], whose: str) -> list[int]:
    """Positions of one's own classes among others, found by name.

    Raises:
        DataError: If one is not among them.
    """
    place = {name: position for position, name in enumerate(classes)}
    foreign = [name for name in own if name not in place]
    if foreign:
        known = ", ".join(classes[:4]) + (", …" if len(classes) > 4 else "")
        problem = f"data: class '{foreign[0]}' is not among {whose} ({known})"
        raise DataError(f"{problem}; rename it, or give --class-map with the classes in the order of the outputs")
    return [place[name] for name in own]


@dataclass(frozen=True, kw_only=True)
class Splits:
    """A data set: what is trained on, what is evaluated on, and where the latter comes from.

    Attributes:
        train: Pictures to train on; None where the folder holds evaluation pictures only.
        evaluation: Pictures held out.
        description: One phrase for reports, such as `val/ of photos` or `25% held out of photos`.
    """

    train: Pictures | None
    evaluation: Pictures
    description: str


def hold_out(pictures: Pictures, share: float, name: str, fold: int = 0) -> Splits:
    """Splits by a hash of the pictures' names, each class by itself where a picture has one class.

    A file that is listed several times counts once, in the first of its classes, and all its rows are on one side.

    Args:
        pictures: All pictures.
        share: Share of each class to hold out, rounded to the nearest picture.
        name: The data set's name, for the description.
        fold: Which share, counted from 0; the folds of a share that goes into 1 without rest hold each picture once.

    Raises:
        DataError: If a class would be left empty on either side.
    """
    held_out: set[int] = set()
    for files in _ranked_files(pictures):
        start, end = (round(share * number * len(files)) for number in (fold, fold + 1))
        held_out.update(row for rows in files[start:end] for row in rows)
    for label, members in _groups(pictures):
        if not 0 < len(held_out.intersection(members)) < len(members):
            of_class = "" if label is None else f" of class '{pictures.classes[label]}'"
            problem = f"holding out {share:.0%} of the {len(members)} pictures{of_class}"
            raise DataError(f"data: {problem} leaves a split empty; add pictures or change --holdout")
    everything = range(len(pictures))
    return Splits(
        train=pictures.select([i for i in everything if i not in held_out]),
        evaluation=pictures.select(sorted(held_out)),
        description=f"{share:.0%} held out of {name}",
    )


def _ranked_files(pictures: Pictures) -> list[list[list[int]]]:
    """Positions of the rows of each file, by class, the files of a class in the order in which they are held out."""
    single = pictures.kind == "single"
    classes: dict[int | None, list[list[int]]] = {}
    for rows in _rows_by_file(pictures):
        label = min(cast(tuple[int, ...], pictures.labels)[row] for row in rows) if single else None
        classes.setdefault(label, []).append(rows)
    return [
        sorted(files, key=lambda rows: hashlib.sha256(_name_of_file(pictures, rows).encode()).digest())
        for files in classes.values()
    ]


def _rows_by_file(pictures: Pictures) -> list[list[int]]:
    """Positions of the rows of each file. Bytes within rows are files of their own, whatever their names."""
    if not isinstance(pictures.files, tuple):
        return [[row] for row in range(len(pictures))]
    rows: dict[Path, list[int]] = {}
    for row, file in enumerate(pictures.files):
        rows.setdefault(file, []).append(row)
    return list(rows.values())


def _name_of_file(pictures: Pictures, rows: list[int]) -> str:
    """A picture's name; of one that is listed several times without the row's number, which moves with other rows."""
    name = pictures.names[rows[0]]
    return name if len(rows) == 1 else name.rpartition("#")[0] or name


def _groups(pictures: Pictures) -> list[tuple[int | None, list[int]]]:
    """Positions by class, in the order of classes; all in one group where a picture has no single class."""
    if pictures.kind != "single":
        return [(None, list(range(len(pictures))))]
    labels = cast(tuple[int, ...], pictures.labels)
    members: dict[int, list[int]] = {}
    for position, label in enumerate(labels):
        members.setdefault(label, []).append(position)
    return [(label, members[label]) for label in sorted(members)]
