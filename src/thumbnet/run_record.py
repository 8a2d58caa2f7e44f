"""What a run was: its settings, the data's fingerprint and the versions, as kept in config.yaml."""

import platform
from importlib.metadata import version
from typing import Any

from thumbnet.config import TrainSettings, settings_from_dict
from thumbnet.errors import ConfigError
from thumbnet.run_folder import RunFolder

RECORD_KEY = "recorded"
VERSIONED = ("thumbnet", "torch", "torchvision", "timm", "accelerate")
# What may differ between the two halves of a resumed run; only the device can then change its result, by rounding.
FREE_ON_RESUME = ("output", "workers", "cache", "checkpoint_minutes", "tracker", "device", "allow_unreadable")


def record_of(settings: TrainSettings, fingerprint: str) -> dict[str, Any]:
    """Settings as in a recipe, and under `recorded` what a recipe cannot choose."""
    versions = {"python": platform.python_version(), **{name: version(name) for name in VERSIONED}}
    return {**settings.as_dict(), RECORD_KEY: {"data_fingerprint": fingerprint, "versions": versions}}


def settings_of(run: RunFolder) -> TrainSettings:
    """The settings that a run was made with.

    Raises:
        CheckpointError: If the run's config.yaml is damaged.
        ConfigError: If it holds settings that this version does not know.
    """
    return settings_from_dict({key: value for key, value in run.read_config().items() if key != RECORD_KEY})


def require_same_settings(run: RunFolder, settings: TrainSettings, fingerprint: str) -> None:
    """Makes sure that a resumed run goes on with what it began with.

    Raises:
        ConfigError: Naming the first setting that differs, or the data.
    """
    if not run.config.exists():
        return
    stored = run.read_config()
    recorded = stored.pop(RECORD_KEY, None) or {}
    begun_with = _flat({name: value for name, value in stored.items() if name not in FREE_ON_RESUME})
    wanted = _flat({name: value for name, value in settings.as_dict().items() if name not in FREE_ON_RESUME})
    for name, value in wanted.items():
        if begun_with.get(name) != value:
            was = f"{run.path} was begun with {name} {begun_with.get(name)}, not {value}"
            raise ConfigError(f"--resume: {was}; give the same settings, or --overwrite to start again")
    if recorded.get("data_fingerprint") != fingerprint:
        raise ConfigError(
            f"--resume: the pictures changed since {run.path} was begun; put them back, or give --overwrite"
        )


def _flat(settings: dict[str, Any], group: str = "") -> dict[str, Any]:
    """Settings by the names that flags have, such as `loss.kd`."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat.update(_flat(value, f"{group}{name}.") if isinstance(value, dict) else {f"{group}{name}": value})
    return flat
