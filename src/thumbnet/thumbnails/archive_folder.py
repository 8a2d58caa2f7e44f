"""The folder that an archive is written to: its places, its lock, and whether a run may begin or go on there.

OUT/
  thumbnails/          a mirrored folder, or 00000012.tar or 00000012.parquet
  manifest/            00000012.parquet: one record a picture of block 12
  archive.json         what it is made with; a run that goes on must be made with the same
  failures.parquet     the records of all failures
  summary.json         written last: counts, and how fast it went
  measurement.json     the student's accuracy on it, with --measure
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from thumbnet.errors import CheckpointError, ConfigError, StorageError, ThumbNetError
from thumbnet.storage import storage_errors, write_json
from thumbnet.thumbnails.manifest import Manifest

FORMAT_VERSION = 1
LOCK = ".lock"


@dataclass(frozen=True)
class ArchiveFolder:
    """Places in an archive's folder.

    Attributes:
        root: OUT.
    """

    root: Path

    @property
    def thumbnails(self) -> Path:
        """All thumbnails, and nothing else."""
        return self.root / "thumbnails"

    @property
    def manifest(self) -> Manifest:
        """What became of every picture."""
        return Manifest(self.root / "manifest")

    @property
    def partial(self) -> Path:
        """What is not finished; emptied whenever a run starts."""
        return self.root / "partial"

    @property
    def record(self) -> Path:
        """What the archive is made with."""
        return self.root / "archive.json"

    @property
    def failures(self) -> Path:
        """The records of all failures."""
        return self.root / "failures.parquet"

    @property
    def summary(self) -> Path:
        """Counts and rates of the run that finished it."""
        return self.root / "summary.json"

    @property
    def measurement(self) -> Path:
        """The student's accuracy on what is stored, where it was asked for."""
        return self.root / "measurement.json"

    def locked(self) -> FileLock:
        """A lock that is held; the system lets go of it however this process ends.

        Raises:
            ConfigError: If another run holds it, or nothing can be written there.
        """
        with storage_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / LOCK)
            try:
                lock.acquire(timeout=0)
            except Timeout as error:
                raise ConfigError(f"output: another run is writing to {self.root}; wait for it, or stop it") from error
        return lock

    def begin(self, made_with: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Makes the folder ready; to be called with the lock held.

        Args:
            made_with: Everything that decides the result; may hold anything that JSON can.
            resume: Go on with what is there.
            overwrite: Remove what is there.

        Raises:
            ConfigError: If it holds something else, an archive and neither is asked for, or one made otherwise.
        """
        # As it comes back from a file, where a tuple is a list.
        wanted = json.loads(json.dumps({"format_version": FORMAT_VERSION, **made_with}))
        there = self._read_record()
        if there is None:
            self._require_empty()
        elif overwrite:
            self._clear()
        elif resume:
            _require_same(there, wanted)
        else:
            advice = "give --resume to go on, --overwrite to begin again, or another folder"
            raise ConfigError(f"output: {self.root} holds an archive already; {advice}")
        if there is None or overwrite:
            write_json(self.record, wanted)  # first: a run that is killed from here on can be gone on with
        self._sweep()
        with storage_errors(self.root):
            for folder in (self.thumbnails, self.manifest.folder, self.partial):
                folder.mkdir(exist_ok=True)

    def require_there(self) -> None:
        """Makes sure that nobody has removed the folder meanwhile: what is written now would be all there is.

        Raises:
            StorageError: If it is gone.
        """
        if not self.record.is_file():
            advice = "bring it back (is its disk still mounted?) and run it again with --resume"
            raise StorageError(f"output: {self.root} has disappeared while it was written to; {advice}")

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Where a write fails because the folder has gone, says that and not what followed from it."""
        try:
            yield
        except ThumbNetError:
            self.require_there()
            raise

    def finish(self, summary: dict[str, Any]) -> None:
        """Writes what comes last."""
        self.manifest.write_failures(self.failures)
        shutil.rmtree(self.partial, ignore_errors=True)
        write_json(self.summary, summary)

    def made_with(self) -> dict[str, Any]:
        """What an archive is made with.

        Raises:
            CheckpointError: If there is none, or its record is damaged.
        """
        found = self._read_record()
        if found is None:
            raise CheckpointError(f"output: no archive in {self.root}; make one with `thumbnet thumbnail RUN IN OUT`")
        return found

    def _read_record(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self.record.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            advice = "remove the folder and make it again"
            raise CheckpointError(f"output: {self.record} cannot be read; {advice}") from error
        return found if isinstance(found, dict) else {}

    def _sweep(self) -> None:
        """Removes what a killed run did not finish, and what says that a run has finished."""
        with storage_errors(self.root):
            shutil.rmtree(self.partial, ignore_errors=True)
            for folder in (self.root, self.manifest.folder):
                for unfinished in folder.glob(".*"):
                    if unfinished.name != LOCK:
                        unfinished.unlink()
            for file in (self.summary, self.measurement):
                file.unlink(missing_ok=True)

    def _require_empty(self) -> None:
        ours = (LOCK, f".{self.record.name}.")
        others = [path for path in self.root.iterdir() if not path.name.startswith(ours)]
        if others:
            problem = f"{self.root} holds files that are no archive, such as {others[0].name}"
            raise ConfigError(f"output: {problem}; choose another folder")

    def _clear(self) -> None:
        with storage_errors(self.root):
            # What is left of a clearing that is killed is an archive of which nothing is finished: the record stays,
            # and the manifest goes first.
            for folder in (self.manifest.folder, self.thumbnails, self.partial):
                shutil.rmtree(folder, ignore_errors=True)
            for file in (self.failures, self.summary):
                file.unlink(missing_ok=True)


def _require_same(there: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name in sorted(there.keys() | wanted.keys()):
        if there.get(name) != wanted.get(name):
            was, now = (json.dumps(values.get(name), ensure_ascii=False) for values in (there, wanted))
            problem = f"the archive was begun with {name} {was}, and now it is {now}"
            raise ConfigError(f"resume: {problem}; give the same, another folder, or --overwrite")
