"""Recipes: YAML files to the settings of runs, each with a name."""

import fnmatch
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from thumbnet.config import TrainSettings, settings_from_dict
from thumbnet.config.comparison import CompareSettings, split_name
from thumbnet.errors import ConfigError
from thumbnet.run_folder import RECORD_KEY, RUN_MARK

Kind = Literal["ours", "alternative", "bound"]
TEACHER, UNTRAINED = "teacher", "untrained_bicubic"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings to be trained with several seeds, on one split.

    Attributes:
        name: Of its row, and of its runs' folders.
        kind: What it is in the comparison.
        settings: With the seed and the output left open.
        impossible: Why it cannot run, in one line, where that is known before any training.
        split: Name of the data that it is trained on, where there are several splits; its runs lie in a folder of it.
        replaced: What `--set` says in place of the recipe's own word, a clause each.
    """

    name: str
    kind: Kind = "alternative"
    settings: TrainSettings | None
    impossible: str | None = None
    split: str = ""
    replaced: tuple[str, ...] = ()


def read_recipes(settings: CompareSettings, teacher_weights: str | None, split: str | None = None) -> list[Recipe]:
    """The recipes of a comparison, base and teacher's left out, with the changes common to all.

    Args:
        settings: The comparison's.
        teacher_weights: For every recipe; None leaves each its own.
        split: Data of every recipe, one of the comparison's splits.

    Raises:
        ConfigError: If a file is no recipe, two have one name, a name in `ours` or `bounds` is none, or one is in both.
    """
    changes = common_changes(settings)
    if split is not None:
        changes["data"] = split
    base = Path(settings.base) if settings.base else None
    if teacher_weights:
        changes["teacher_weights"] = teacher_weights
    files: dict[str, Path] = {}
    for given in settings.recipes:
        file = Path(given)
        beside = [Path(other).resolve() for other in (settings.teacher_recipe, settings.base) if other]
        if file.resolve() in beside:  # as in recipes/elpv/*.yaml
            continue
        name = file.parent.name if file.name == RUN_MARK else file.stem
        if name in files:
            raise ConfigError(f"recipes: {files[name]} and {file} have one name, {name}; rename one")
        if name in (TEACHER, UNTRAINED):
            hint = f"rename it, or give it as --teacher-recipe {file}" if name == TEACHER else "rename it"
            raise ConfigError(f"recipes: {file}: the row {name} is there by itself; {hint}")
        files[name] = file
    if not files:
        raise ConfigError("recipes hold nothing but the base and the teacher's; give one more YAML file")
    ours, bounds = (matching(name, getattr(settings, name), files) for name in ("ours", "bounds"))
    if both := [name for name in ours if name in bounds]:
        raise ConfigError(f"bounds is {', '.join(both)}, but must be other recipes than ours")
    kinds = {**dict.fromkeys(ours, "ours"), **dict.fromkeys(bounds, "bound")}
    return [
        Recipe(
            name=name,
            kind=kinds.get(name, "alternative"),  # type: ignore[arg-type]
            settings=read_recipe(file, changes, base),
            split=split_name(split) if split else "",
            replaced=replaced_by_set(file, settings.set, changes),
        )
        for name, file in files.items()
    ]


def read_recipe(file: Path, changes: Mapping[str, Any], base: Path | None = None) -> TrainSettings:
    """One recipe's settings.

    Args:
        file: YAML.
        changes: Settings by the names that flags have, such as `loss.kd`, in place of the recipe's.
        base: YAML with the settings that the recipe does not say itself.

    Raises:
        ConfigError: If the file cannot be read or holds what `thumbnet train` does not know.
    """
    values = _read_values(file)
    if base is not None:
        values = _merged(_read_values(base), values)
    for name, value in {**changes, "output": "open"}.items():
        _put(values, name, value)
    try:
        return settings_from_dict(values)
    except ConfigError as error:
        raise ConfigError(f"recipe {file}: {error}") from error


def replaced_by_set(file: Path, given: Sequence[str], changes: Mapping[str, Any]) -> tuple[str, ...]:
    """Where `--set` says something else than the recipe itself: such a row is no longer what the recipe describes."""
    own, found = _read_values(file), []
    for name in dict.fromkeys(entry.partition("=")[0].replace("-", "_") for entry in given):
        group, _, last = name.rpartition(".")
        values = own.get(group) if group else own
        if isinstance(values, dict) and last in values and values[last] != changes[name]:
            said, word = (json.dumps(value, default=str) for value in (changes[name], values[last]))
            found.append(f"--set {name}={said} stands in place of the recipe's own {word}")
    return tuple(found)


def _read_values(file: Path) -> dict[str, Any]:
    try:
        values = _load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or "it is no YAML"
        raise ConfigError(f"recipe {file} cannot be read ({reason}); give a file as for train --config") from error
    if not isinstance(values, dict):
        raise ConfigError(f"recipe {file} holds no settings; give a file as for train --config")
    values.pop(RECORD_KEY, None)
    return values


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both, group by group, as several `--config` of `thumbnet train` are."""
    merged = {**base, **over}
    groups = (
        name for name in base.keys() & over.keys() if isinstance(base[name], dict) and isinstance(over[name], dict)
    )
    return merged | {name: {**base[name], **over[name]} for name in groups}


def common_changes(settings: CompareSettings) -> dict[str, Any]:
    """What `--data` and `--set` change in every recipe, by the names that flags have.

    Raises:
        ConfigError: If an entry of `set` is no NAME=VALUE, or names what the comparison chooses itself.
    """
    changes: dict[str, Any] = {"data": settings.data} if settings.data else {}
    chosen = {"seed": "seeds", "output": "output", "data": "data", "teacher_weights": "teacher_weights"}
    for given in settings.set:
        name, equals, text = given.partition("=")
        if not equals or not name:
            raise ConfigError(f"set is {given}, but must be NAME=VALUE, e.g. epochs=3")
        name = name.replace("-", "_")
        if name in chosen:
            raise ConfigError(f"set: {name} is chosen by --{chosen[name].replace('_', '-')}; give that instead")
        try:
            changes[name] = _load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"set: {text} is no value that YAML could hold; quote it") from error
    return changes


def with_seed(recipe: Recipe, seed: int, output: Path) -> TrainSettings:
    """The settings of one run of a recipe that can run."""
    assert recipe.settings is not None
    return replace(recipe.settings, seed=seed, output=str(output))


class _Loader(yaml.SafeLoader):
    """YAML as `thumbnet train --config` reads it: 1e-3 is a number, where YAML 1.1 takes it for a word."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _load(text: str) -> Any:
    return yaml.load(text, _Loader)


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    group, _, last = name.rpartition(".")
    for part in group.split(".") if group else ():
        inner = values.get(part)
        values[part] = dict(inner) if isinstance(inner, dict) else {}
        values = values[part]
    values[last] = value


def matching(setting: str, patterns: Sequence[str], known: Iterable[str]) -> tuple[str, ...]:
    """The names that patterns such as `thumbnet*` stand for, in the order of `known`.

    Raises:
        ConfigError: If one stands for none.
    """
    known = tuple(known)
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in known):
            raise ConfigError(f"{setting}: there is no recipe {pattern}; there are {', '.join(known)}")
    return tuple(name for name in known if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))
