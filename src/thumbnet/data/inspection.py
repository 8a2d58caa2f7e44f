"""Reads every picture once before work starts, so that a bad one is named at the beginning and not hours later.

Gives the pictures that can be read, the list of those that cannot, and a fingerprint of the contents. The result for
unchanged files is remembered, so the next run on the same data starts at once.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from thumbnet.data.labelled import Pictures
from thumbnet.data.pictures import read_picture
from thumbnet.errors import ConfigError, DataError, PictureError, StorageError
from thumbnet.storage import write_atomically

Progress = Callable[[Iterable[int], int, str], Iterable[int]]


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What reading every picture of a split found.

    Attributes:
        readable: The pictures that can be used.
        unreadable: Name and reason of each picture that cannot.
        fingerprint: SHA-256 over names, labels and contents; changes when any picture does.
    """

    readable: Pictures
    unreadable: tuple[tuple[str, str], ...]
    fingerprint: str


def inspect(pictures: Pictures, allow_unreadable: float, memory: Path, progress: Progress, workers: int) -> Inspection:
    """Reads every picture.

    Args:
        pictures: What to read.
        allow_unreadable: Largest share of unreadable pictures to go on with.
        memory: Folder that remembers results for unchanged files; one that cannot be written to remembers nothing.
        progress: Wraps the loop: (iterable, total, description) to an iterable of the same items.
        workers: Threads.

    Raises:
        DataError: If the share of unreadable pictures is larger, or a class has no readable picture left.
    """
    remembered = memory / f"{_listing_key(pictures)}.json"
    findings = _recall(remembered)
    if findings is None or len(findings) != len(pictures):
        findings = _read_all(pictures, progress, workers)
        with contextlib.suppress(ConfigError, StorageError):
            write_atomically(remembered, json.dumps(findings).encode())
    else:
        # What made a picture unreadable, such as its permissions, may be mended without a change of the file.
        findings = [_read_one(pictures, i) if found[1] else found for i, found in enumerate(findings)]
    return _conclude(pictures, findings, allow_unreadable)


def _read_all(pictures: Pictures, progress: Progress, workers: int) -> list[tuple[str, str]]:
    pool = ThreadPoolExecutor(max(1, workers))
    try:
        results = pool.map(lambda i: _read_one(pictures, i), range(len(pictures)))
        return [next(results) for _ in progress(range(len(pictures)), len(pictures), "reading pictures")]
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for every picture


def _conclude(pictures: Pictures, findings: list[tuple[str, str]], allow_unreadable: float) -> Inspection:
    bad = [i for i, (_, reason) in enumerate(findings) if reason]
    good = [i for i, (_, reason) in enumerate(findings) if not reason]
    unreadable = tuple((pictures.names[i], findings[i][1]) for i in bad)
    if len(bad) > allow_unreadable * len(pictures):
        name, reason = unreadable[0]
        share = f"{len(bad)} of {len(pictures)} pictures ({len(bad) / len(pictures):.1%}) cannot be read"
        advice = f"repair or remove them, or give --allow-unreadable {min(1.0, len(bad) / len(pictures) + 0.001):.3f}"
        raise DataError(f"data: {share}, such as {name}: {reason}; {advice}")
    readable = pictures.select(good)
    gone = pictures.seen_classes() - readable.seen_classes()
    if gone:
        name = pictures.classes[min(gone)]
        raise DataError(f"data: no readable picture of class '{name}' is left; add some or remove the class")
    digest = hashlib.sha256()
    for i in good:
        label = pictures.labels[i]
        shown = label if isinstance(label, int) else label.tobytes().hex()
        digest.update(f"{pictures.names[i]}\0{shown}\0{findings[i][0]}\n".encode())
    return Inspection(readable=readable, unreadable=unreadable, fingerprint=digest.hexdigest())


def _read_one(pictures: Pictures, index: int) -> tuple[str, str]:
    try:
        file = pictures.files[index]
        content = file if isinstance(file, bytes) else file.read_bytes()
        read_picture(content)
    except PictureError as error:
        return "", str(error)
    except OSError as error:
        return "", error.strerror or str(error)
    return hashlib.sha256(content).hexdigest(), ""


def _listing_key(pictures: Pictures) -> str:
    if not isinstance(pictures.files, tuple):
        return hashlib.sha256(pictures.files.stamp.encode()).hexdigest()[:32]
    digest = hashlib.sha256()
    for path in pictures.files:
        digest.update(os.fsencode(path.absolute()))
        try:
            found = path.stat()
            digest.update(f"\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(b"\0missing\n")
    return digest.hexdigest()[:32]


def _recall(remembered: Path) -> list[tuple[str, str]] | None:
    try:
        return [(str(content), str(reason)) for content, reason in json.loads(remembered.read_text())]
    except (OSError, ValueError, TypeError):
        return None
