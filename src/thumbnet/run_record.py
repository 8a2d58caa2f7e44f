"""What a run was: its settings, fingerprints of data and teacher, and the versions, as kept in config.yaml."""

import hashlib
import platform
from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from thumbnet.config import TrainSettings, settings_from_dict
from thumbnet.errors import ConfigError
from thumbnet.run_folder import RECORD_KEY, RunFolder

START, EM = "downscaler.start", "loss.em"
HELD_OUT, TEACHER, TEACHER_FILE = "held_out_fingerprint", "teacher_fingerprint", "teacher_file_fingerprint"
VERSIONED = ("thumbnet", "torch", "torchvision", "timm", "accelerate")
# What may differ between the two halves of a resumed run; only `device` and `compile` can then change its result, by
# rounding.
FREE_ON_RESUME = (
    "output",
    "workers",
    "cache",
    "checkpoint_minutes",
    "evaluate_every",
    "tracker",
    "device",
    "compile",
    "allow_unreadable",
)


def record_of(
    settings: TrainSettings,
    fingerprint: str,
    losses: Mapping[str, float],
    unused: Collection[str] = (),
    *,
    held_out: str | None = None,
    teacher: str | None = None,
) -> dict[str, Any]:
    """Settings as in a recipe, and under `recorded` what a recipe cannot choose.

    Args:
        settings: The run's.
        fingerprint: Of its data.
        losses: Weight of each loss in use, by name.
        unused: Settings that this kind of run has no use for, such as `downscaler`, and so leaves out.
        held_out: Fingerprint of the names of the held-out pictures.
        teacher: Fingerprint of the teacher's weights; None where there is no teacher.
    """
    versions = {"python": platform.python_version(), **{name: version(name) for name in VERSIONED}}
    others = {HELD_OUT: held_out, TEACHER: teacher, TEACHER_FILE: file_fingerprint(settings.teacher_weights)}
    fingerprints = {"data_fingerprint": fingerprint, **{name: value for name, value in others.items() if value}}
    recorded = {**fingerprints, "losses": dict(losses), "versions": versions}
    return {**_without(settings.as_dict(), unused), RECORD_KEY: recorded}


def settings_of(run: RunFolder) -> TrainSettings:
    """The settings that a run was made with.

    Raises:
        CheckpointError: If the run's config.yaml is damaged.
        ConfigError: If it holds settings that this version does not know.
    """
    try:
        return settings_from_dict({key: value for key, value in _begun_with(run).items() if key != RECORD_KEY})
    except ConfigError as error:
        raise ConfigError(f"{run.config}: {error}") from error


def _begun_with(run: RunFolder) -> dict[str, Any]:
    """The run's config.yaml; a setting that is not in it was at its default, but for those that were not yet on."""
    stored = run.read_config()
    for group, then in (("loss", {"em": 0.0}), ("downscaler", {"start": "natural"})):
        if isinstance(stored.get(group), dict):
            stored[group] = then | stored[group]
    return stored


def require_same_record(run: RunFolder, record: Mapping[str, Any]) -> None:
    """Makes sure that a resumed run goes on with what it began with.

    Args:
        run: The run to go on with; one that has not begun is free.
        record: From `record_of`, of the settings given now.

    Raises:
        ConfigError: Naming the first setting that differs, or the data, the losses or the teacher's weights.
    """
    if not run.config.exists():
        return
    recorded = run.read_config().get(RECORD_KEY) or {}
    given = {name: value for name, value in record.items() if name != RECORD_KEY}
    used, begun_with = _flat(given), _compared(settings_of(run))
    for name, value in _compared(settings_from_dict(given)).items():
        if name in used and begun_with[name] != value:
            was = f"{run.path} was begun with {name} {begun_with[name]}, not {value}"
            raise ConfigError(f"--resume: {was}; give the same settings, or --overwrite to start again")
    if recorded.get("losses") != record[RECORD_KEY]["losses"]:
        losses = ", ".join(recorded.get("losses") or ["others"])
        raise ConfigError(f"--resume: {run.path} was begun with the losses {losses}; give the same `terms` and weights")
    if recorded.get("data_fingerprint") != record[RECORD_KEY]["data_fingerprint"]:
        raise ConfigError(
            f"--resume: the pictures changed since {run.path} was begun; put them back, or give --overwrite"
        )
    teacher = record[RECORD_KEY].get(TEACHER)
    if recorded.get(TEACHER, teacher) != teacher:  # a run from before it was recorded goes on with any
        named = f"the weights of the teacher ({given['teacher_weights']})"
        raise ConfigError(f"--resume: {named} changed since {run.path} was begun; put them back, or give --overwrite")


def file_fingerprint(weights: str) -> str | None:
    """SHA-256 of a file of weights; None of weights that are no file, or of a file that is no longer there."""
    try:
        with Path(weights).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def teacher_file_of(run: RunFolder) -> str | None:
    """Fingerprint of the file that the teacher's weights were read from; None of a run from before it was recorded."""
    found: str | None = (run.read_config().get(RECORD_KEY) or {}).get(TEACHER_FILE)
    return found


def data_fingerprint_of(run: RunFolder) -> str | None:
    """Fingerprint of the data that the run learned from; None of a run whose record is not there."""
    found: str | None = (run.read_config().get(RECORD_KEY) or {}).get("data_fingerprint")
    return found


def held_out_in_training(run: RunFolder) -> str | None:
    """Fingerprint of the names of the pictures that were held out; None of a run from before it was recorded."""
    found: str | None = (run.read_config().get(RECORD_KEY) or {}).get(HELD_OUT)
    return found


def differing_setting(
    run: RunFolder, settings: TrainSettings, unused: Collection[str] = ()
) -> tuple[str, Any, Any] | None:
    """The first setting in which a run differs from `settings`, with the run's value and theirs; None if none does.

    What may differ between the halves of a resumed run does not count, and a setting that is younger than the run
    counts as its default.

    Args:
        run: One that has begun.
        settings: To compare it with, paths as the run has them.
        unused: Settings that this kind of run has no use for.
    """
    made, wanted = _compared(settings_of(run), unused), _compared(settings, unused)
    for name, value in wanted.items():
        if made.get(name) != value:
            return name, made.get(name), value
    return None


def _compared(settings: TrainSettings, unused: Collection[str] = ()) -> dict[str, Any]:
    """Settings by the names of their flags, but for what may differ.

    What has a default that follows from others, chosen or by default, comes last: what it follows from is named first.
    """
    flat = _flat(_without(settings.as_dict(), (*FREE_ON_RESUME, *unused)))
    for name, value in ((START, settings.downscaler_start), (EM, settings.loss_weights.em)):
        if name in flat:
            del flat[name]
            flat[name] = value
    return flat


def _without(settings: Mapping[str, Any], unused: Collection[str]) -> dict[str, Any]:
    """Settings but for those named, such as `downscaler` or `loss.kd`."""
    kept: dict[str, Any] = {}
    for name, value in settings.items():
        if name in unused:
            continue
        inner = {other.removeprefix(f"{name}.") for other in unused if other.startswith(f"{name}.")}
        kept[name] = _without(value, inner) if isinstance(value, dict) else value
    return kept


def _flat(settings: dict[str, Any], group: str = "") -> dict[str, Any]:
    """Settings by the names that flags have, such as `loss.kd`."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat.update(_flat(value, f"{group}{name}.") if isinstance(value, dict) else {f"{group}{name}": value})
    return flat
