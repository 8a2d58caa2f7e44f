"""All reading and writing of a run on disk. Every write is atomic: a file holds its old content or its new one.

Knows file names and formats; knows nothing of networks, and nothing of what the numbers mean.
"""

import contextlib
import csv
import errno
import io
import json
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from thumbnet.errors import CheckpointError, ConfigError, ThumbNetError
from thumbnet.storage import storage_errors, write_atomically, write_json

RUN_MARK = "config.yaml"
RECORD_KEY = "recorded"


class RunFolder:
    """A run's files by name; see ARCHITECTURE.md, "On disk"."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / RUN_MARK
        self.metrics = self.path / "metrics.jsonl"
        self.unreadable = self.path / "unreadable.jsonl"
        self.checkpoint = self.path / "checkpoints" / "last" / "state.pt"
        self.bundle = self.path / "bundle"
        self.teacher_weights = self.path / "teacher.safetensors"
        self.evaluation = self.path / "evaluation.json"
        self.predictions = self.path / "predictions.csv"
        self.formats = self.path / "formats.json"
        self.other_evaluations = self.path / "evaluations"
        self.samples = self.path / "samples"
        self.report = self.path / "report.html"

    def check(self, *, resume: bool, overwrite: bool, keep: Collection[str] = ()) -> None:
        """Makes sure that a run may be written here, before any work; changes nothing.

        Args:
            resume: Whether an old run may be gone on with.
            overwrite: Whether an old run may be removed.
            keep: Paths that must not be removed with it.

        Raises:
            ConfigError: If the folder exists and neither `resume` nor `overwrite` is given, or it holds something that
                is no run, or cannot be written to; or if nothing but a run that was set aside is there.
        """
        if resume and overwrite:
            raise ConfigError("--resume and --overwrite exclude each other; give one")
        with storage_errors(self.path):
            self._check_contents(resume, overwrite, keep)
            existing = next(place for place in (self.path.absolute(), *self.path.absolute().parents) if place.exists())
            if not existing.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "a file is in the way", str(existing))
            with tempfile.TemporaryFile(dir=existing):
                pass

    def _check_contents(self, resume: bool, overwrite: bool, keep: Collection[str]) -> None:
        waiting = not self._trained and self._replaced.exists()
        if waiting and not self._occupied and not overwrite:
            choices = f"rename it to {self.path} to keep it, or give --overwrite to replace it"
            problem = f"a stopped --overwrite left the run that it was to replace in {self._replaced}"
            raise ConfigError(f"output: {problem}; {choices}")
        if self._occupied and not resume and not overwrite:
            other = f", and the run that it was to replace is in {self._replaced}" if waiting else ""
            choices = "give --resume to go on, --overwrite to replace it, or another --output"
            raise ConfigError(f"output: {self.path} exists{other}; {choices}")
        if self._occupied and not self._is_run:
            chosen = "--resume goes on with runs only" if resume else "--overwrite replaces runs only"
            raise ConfigError(f"output: {self.path} holds something that is no run; {chosen}")
        inside = [path for path in keep if self.path.resolve() in Path(path).resolve().parents]
        if overwrite and inside:
            raise ConfigError(f"output: --overwrite would remove {inside[0]}, which is needed; give another --output")

    def begin(self, settings: dict[str, Any], *, overwrite: bool) -> None:
        """Makes the folder, in place of an old run if `overwrite` says so, and writes config.yaml.

        The old run waits beside it until `forget_replaced` or `discard` says whether the new one is there to stay.
        """
        content = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        try:
            with storage_errors(self.path):
                if self._trained:
                    self.forget_replaced()  # it was killed between its first checkpoint and that
                if overwrite and self._occupied:
                    self._set_aside()
                self._place.mkdir(parents=True, exist_ok=True)
            write_atomically(self.config, content.encode())
        except ThumbNetError:
            if overwrite:
                self._put_back()
            raise

    def _set_aside(self) -> None:
        """Moves the old run away; where a stopped `--overwrite` left one there already, that stays the old one."""
        if self._replaced.exists() and not self._trained:
            shutil.rmtree(self._place)
        else:
            self._place.rename(self._replaced)

    def _put_back(self) -> None:
        """The old run, if one was set aside, in place of what was begun."""
        if self._replaced.exists() and not self._trained:
            shutil.rmtree(self._place, ignore_errors=True)
            with contextlib.suppress(OSError):  # `check` says where it is
                self._replaced.rename(self._place)

    def forget_replaced(self) -> None:
        """Removes the run that this one replaces, once there is something that can be gone on with."""
        shutil.rmtree(self._replaced, ignore_errors=True)

    @property
    def _place(self) -> Path:
        """The folder itself: a link to one on another disk stays a link."""
        return self.path.resolve()

    @property
    def _replaced(self) -> Path:
        """Where an old run waits, on the same disk so that moving it is one step."""
        return self._place.parent / f".{self._place.name}.replaced"

    @property
    def _trained(self) -> bool:
        """Whether there is more than the beginning of a run, which would be missed."""
        return any(made.exists() for made in (self.checkpoint, self.bundle, self.teacher_weights))

    @property
    def _is_run(self) -> bool:
        """Whether config.yaml is one that `begin` wrote, and not somebody else's file of that name."""
        try:
            return "data_fingerprint" in self.read_config()[RECORD_KEY]
        except (CheckpointError, KeyError, TypeError):
            return False

    @property
    def _occupied(self) -> bool:
        if not self.path.is_dir():
            return self.path.exists()
        # A run that was killed before its first file was whole may have left that file's temporary one.
        return any(not file.name.startswith(f".{RUN_MARK}.") for file in self.path.iterdir())

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """An existing run.

        Raises:
            CheckpointError: If there is none.
        """
        run = cls(path)
        if not run.config.is_file():
            raise CheckpointError(f"no run in {path} (no {RUN_MARK}); give the --output folder of `thumbnet train`")
        return run

    def discard(self) -> None:
        """Removes a run that has no checkpoint yet, so that a corrected command need not say --overwrite.

        The run that it was to replace is there again.
        """
        if self._is_run and not self._trained:
            shutil.rmtree(self._place, ignore_errors=True)
            self._put_back()

    def read_config(self) -> dict[str, Any]:
        """What `begin` wrote.

        Raises:
            CheckpointError: If the file is damaged.
        """
        try:
            content = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CheckpointError(f"{self.config} cannot be read; the run folder is damaged") from error
        if not isinstance(content, dict):
            raise CheckpointError(f"{self.config} holds no settings; the run folder is damaged")
        return content

    def append_metrics(self, record: dict[str, Any]) -> None:
        """Adds one line to metrics.jsonl; a line of the same epoch from before an interruption is replaced."""
        kept = [line for line in self.read_metrics() if line["epoch"] < record["epoch"]]
        _write_lines(self.metrics, [*kept, record])

    def read_metrics(self) -> list[dict[str, Any]]:
        """One record an epoch; empty before the first.

        Raises:
            CheckpointError: If the file is damaged.
        """
        if not self.metrics.exists():
            return []
        return [_parse(line, self.metrics) for line in self.metrics.read_bytes().splitlines() if line.strip()]

    def write_unreadable(self, unreadable: list[dict[str, str]]) -> None:
        """Adds pictures that were left out, with the reason, to the list; the file exists even when it is empty."""
        lines = self.unreadable.read_bytes().splitlines() if self.unreadable.exists() else []
        listed = [_parse(line, self.unreadable) for line in lines if line.strip()]
        _write_lines(self.unreadable, [*listed, *(record for record in unreadable if record not in listed)])

    def write_evaluation(self, evaluation: dict[str, Any]) -> None:
        """Writes evaluation.json."""
        write_json(self.evaluation, evaluation)

    def read_evaluation(self) -> dict[str, Any] | None:
        """What `write_evaluation` wrote, None before the first evaluation.

        Raises:
            CheckpointError: If the file is damaged.
        """
        return _parse(self.evaluation.read_bytes(), self.evaluation) if self.evaluation.exists() else None

    def write_predictions(self, rows: list[dict[str, str]]) -> None:
        """Writes predictions.csv: one line a picture, with what each network said."""
        _write_table(self.predictions, rows)

    def data_evaluated_as(self, name: str) -> str | None:
        """Which other data evaluations/NAME/ is of, None where nothing is there."""
        place = self.other_evaluations / name / self.evaluation.name
        if not place.exists():
            return None
        found: str = _parse(place.read_bytes(), place)["data"]["name"]
        return found

    def write_other_evaluation(self, name: str, evaluation: dict[str, Any], rows: list[dict[str, str]]) -> Path:
        """Writes the evaluation on other data than the run's own to evaluations/NAME/, and gives that folder."""
        folder = self.other_evaluations / name
        write_json(folder / self.evaluation.name, evaluation)
        _write_table(folder / self.predictions.name, rows)
        return folder

    def write_formats(self, measured: dict[str, Any], name: str | None = None) -> Path:
        """Writes formats.json, of other data than the run's own to evaluations/NAME/, and gives its path."""
        path = self.formats if name is None else self.other_evaluations / name / self.formats.name
        write_json(path, measured)
        return path

    def write_teacher_weights(self, content: bytes) -> None:
        """Writes teacher.safetensors."""
        write_atomically(self.teacher_weights, content)


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read; the run folder is damaged") from error
    return parsed


def _write_table(path: Path, rows: list[dict[str, str]]) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, buffer.getvalue().encode())


def _write_lines(path: Path, records: list[Any]) -> None:
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_atomically(path, lines.encode())
