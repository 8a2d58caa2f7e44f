"""Checks an archive against its manifest: every thumbnail that is recorded is there, whole, and nothing else is."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thumbnet.progress import Announcer
from thumbnet.thumbnails.archive_folder import ArchiveFolder
from thumbnet.thumbnails.containers import outputs

MOST_PROBLEMS = 20


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a check found.

    Attributes:
        checked: Thumbnails that were compared with their record.
        missing: How many are not there, and records that the manifest has lost.
        changed: How many hold something else.
        unknown: How many files below `thumbnails/` no record speaks of.
        complete: Whether the run that made the archive came to its end.
        problems: One line for each of the first of them.
    """

    checked: int
    missing: int
    changed: int
    unknown: int
    complete: bool
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether the archive is what its manifest says."""
        return self.complete and not (self.missing or self.changed or self.unknown)


def verify_archive(folder: ArchiveFolder, announcer: Announcer) -> Verification:
    """Reads every thumbnail of an archive and compares it with its record.

    Args:
        folder: The archive's.
        announcer: Shows progress.

    Raises:
        CheckpointError: If there is no archive, or its manifest is damaged.
    """
    container = folder.made_with().get("container", "folder")
    manifest = folder.manifest
    checked = missing = changed = 0
    problems: list[str] = []
    # One entry a file, not a picture, in shards and tables; of a folder a number a file.
    known: set[int] = set()
    blocks = sorted(manifest.finished())
    for index in announcer.track(blocks, len(blocks), "verifying"):
        for record, content in outputs(container, folder.thumbnails, manifest.records(index)):
            checked += 1
            known.add(_number(str(record.output).partition("#")[0] if container != "folder" else str(record.output)))
            if content is None:
                missing += 1
                problems.append(f"{record.output} is missing or cannot be read (of {record.source})")
            elif hashlib.sha256(content).hexdigest() != record.output_hash:
                changed += 1
                problems.append(f"{record.output} holds something else than was written (of {record.source})")
            del problems[MOST_PROBLEMS:]
    lost = _lost_records(folder)
    if lost:
        problems.insert(0, f"the manifest has {lost:,} records fewer than {folder.summary.name} counts")
    strange = [name for name in _files(folder.thumbnails) if _number(name) not in known]
    problems += [f"{name} is not in the manifest" for name in strange[: MOST_PROBLEMS - len(problems)]]
    return Verification(
        checked=checked,
        missing=missing + lost,
        changed=changed,
        unknown=len(strange),
        complete=folder.summary.is_file(),
        problems=tuple(problems),
    )


def _lost_records(folder: ArchiveFolder) -> int:
    """How many pictures the summary counts that the manifest does not; 0 without a summary."""
    try:
        counted = json.loads(folder.summary.read_text())
        expected = int(counted["done"]) + int(counted["failed"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    totals = folder.manifest.totals()
    return max(0, expected - totals.done - totals.failed)


def _number(name: str) -> int:
    """A name as 64 bits: a hundred million of them fit into memory, and two of the same are not to be expected."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), digest_size=8).digest())


def _files(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        for name in names:
            yield (Path(place) / name).relative_to(folder).as_posix()
