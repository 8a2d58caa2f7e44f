"""A folder of pictures becomes labelled files in two splits. Reads names only; `inspection` opens the pictures."""

from collections import Counter
from pathlib import Path

from torchvision.datasets import ImageFolder

from thumbnet.data.labelled import NO_LABEL, Pictures, Splits, hold_out
from thumbnet.data.pictures import PICTURE_SUFFIXES
from thumbnet.errors import DataError

EVALUATION_SPLITS = ("val", "validation", "test")


def open_folder(folder: Path, holdout: float | None = None) -> Splits:
    """Opens a folder of pictures.

    Args:
        folder: Either `train/<class>/*` with `val`, `validation` or `test` beside it, or one folder of classes.
        holdout: Share of each class to hold out of one folder of classes.

    Returns:
        Both splits. One folder of classes without `holdout` is all evaluation.

    Raises:
        DataError: If the folder is missing, empty, has one class only, or its splits differ in their classes.
    """
    try:
        return _open(folder, holdout)
    except OSError as error:
        place = f"{error.filename or folder} ({error.strerror})"
        raise DataError(f"data: cannot read {place}; check the path and its permissions") from error


def _open(folder: Path, holdout: float | None) -> Splits:
    if not folder.is_dir():
        raise DataError(f"data: no folder at {folder}; give a folder of pictures, or `elpv`")
    evaluation_folder = next((folder / name for name in EVALUATION_SPLITS if (folder / name).is_dir()), None)
    if (folder / "train").is_dir():
        return _open_splits(folder, evaluation_folder, holdout)
    if evaluation_folder is not None:
        evaluation = read_classes(evaluation_folder)
        return Splits(train=None, evaluation=evaluation, description=f"{evaluation_folder.name}/ of {folder.name}")
    pictures = read_classes(folder)
    if holdout is None:
        return Splits(train=None, evaluation=pictures, description=f"all of {folder.name}")
    return hold_out(pictures, holdout, folder.name)


def read_classes(folder: Path) -> Pictures:
    """Lists `folder/<class>/**/*`, sorted. Hidden files and folders are none of the data set's.

    Raises:
        DataError: If there are fewer than two classes, or a class has no pictures.
    """
    try:
        listed = _ClassFolders(folder, is_valid_file=_is_picture, allow_empty=True)
    except FileNotFoundError as error:
        problem = f"no class folders in {folder}"
        raise DataError(f"data: {problem}; pictures belong in {folder}/<class>/*") from error
    samples = [(Path(path), label) for path, label in listed.samples if not _is_hidden(Path(path).relative_to(folder))]
    counts = Counter(label for _, label in samples)
    if not samples:
        raise DataError(f"data: no pictures in {folder}; pictures belong in {folder}/<class>/*")
    if len(listed.classes) < 2:
        problem = f"only one class, '{listed.classes[0]}', in {folder}"
        raise DataError(f"data: {problem}; a classifier needs two or more class folders")
    empty = [name for label, name in enumerate(listed.classes) if not counts[label]]
    if empty:
        problem = f"no pictures of class '{empty[0]}' in {folder / empty[0]}"
        raise DataError(f"data: {problem}; add some or remove the folder")
    return Pictures(
        files=tuple(path for path, _ in samples),
        labels=tuple(label for _, label in samples),
        classes=tuple(_as_text(name) for name in listed.classes),
        names=tuple(_as_text(path.relative_to(folder).as_posix()) for path, _ in samples),
    )


def open_unlabelled_folder(folder: Path, holdout: float | None = None) -> Splits:
    """Opens a folder of pictures without labels: all that are anywhere in it, or in its `train` and `val`.

    Raises:
        DataError: If the folder is missing or holds no pictures.
    """
    if not folder.is_dir():
        raise DataError(f"data: no folder at {folder}; give a folder of pictures")
    evaluation_folder = next((folder / name for name in EVALUATION_SPLITS if (folder / name).is_dir()), None)
    if not (folder / "train").is_dir() or evaluation_folder is None:
        pictures = _read_unlabelled(folder)
        if holdout is None:
            return Splits(train=None, evaluation=pictures, description=f"all of {folder.name}")
        return hold_out(pictures, holdout, folder.name)
    train, evaluation = _read_unlabelled(folder / "train"), _read_unlabelled(evaluation_folder)
    return Splits(train=train, evaluation=evaluation, description=f"{evaluation_folder.name}/ of {folder.name}")


def _read_unlabelled(folder: Path) -> Pictures:
    found = (path for path in folder.rglob("*") if _is_picture(path.name) and not _is_hidden(path.relative_to(folder)))
    paths = tuple(sorted(path for path in found if path.is_file()))
    if not paths:
        raise DataError(f"data: no pictures in {folder}; check the path")
    names = tuple(_as_text(path.relative_to(folder).as_posix()) for path in paths)
    return Pictures(files=paths, labels=(NO_LABEL,) * len(paths), classes=(), names=names, kind="none")


class _ClassFolders(ImageFolder):  # type: ignore[misc]
    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Leaves out what tools leave beside pictures, such as `.ipynb_checkpoints`."""
        classes = [name for name in super().find_classes(directory)[0] if not _is_hidden(Path(name))]
        return classes, {name: label for label, name in enumerate(classes)}


def _is_picture(path: str) -> bool:
    return path.lower().endswith(PICTURE_SUFFIXES)


def _is_hidden(path: Path) -> bool:
    # Among others the `._name.jpg` that macOS writes beside every file on a foreign disk.
    return any(part.startswith(".") for part in path.parts)


def _as_text(name: str) -> str:
    # A file name may hold bytes that are no text in any encoding, which no report could take.
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _open_splits(folder: Path, evaluation_folder: Path | None, holdout: float | None) -> Splits:
    train = read_classes(folder / "train")
    if evaluation_folder is None:
        if holdout is None:
            problem = f"{folder} has train/ but none of {', '.join(EVALUATION_SPLITS)}"
            raise DataError(f"data: {problem}; add one, or give --holdout 0.2")
        return hold_out(train, holdout, f"{folder.name}/train")
    if holdout is not None:
        raise DataError(f"data: {folder} has its own {evaluation_folder.name}/; leave --holdout out")
    evaluation = read_classes(evaluation_folder)
    if train.classes != evaluation.classes:
        differing = sorted(set(train.classes) ^ set(evaluation.classes))
        where = "train/" if differing[0] in train.classes else f"{evaluation_folder.name}/"
        problem = f"class '{differing[0]}' is only in {where} of {folder}"
        raise DataError(f"data: {problem} ({len(differing)} classes differ); both splits need the same class folders")
    return Splits(train=train, evaluation=evaluation, description=f"{evaluation_folder.name}/ of {folder.name}")
