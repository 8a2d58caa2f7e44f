"""What the user typed: flags in either spelling made the settings' own, and one line for what cannot be understood."""

import argparse
import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentError, ArgumentParser

POSITIONAL = ("run", "recipes", "files", "source", "output_folder", "repository")
SWITCHES = (
    "--downscaler.frozen",
    "--student.keep_stem_resolution",
    "--student.dilate_last_stage",
    "--student.upsample",
    "--student.detail_decoder",
    "--cache.pixels",
    "--thumbnail.eight_bit",
    "--views.dihedral",
    "--views.cached_flips",
    "--multilabel",
    "--unlabelled",
    "--streaming",
    "--sync_batchnorm",
    "--compile",
    "--train",
    "--int8",
    "--memory",
    "--with_teacher",
)
# Settings that hold several values may be given as `a,b,c`.
LISTS_OF_TEXT = (
    "--allowed_hosts",
    "--students",
    "--ours",
    "--bounds",
    "--best_of",
    "--splits",
    "--feature_mapping.layers",
    "--feature_mapping.student_layers",
)
LISTS = (
    *LISTS_OF_TEXT,
    "--seeds",
    "--ratios",
    "--batches",
    "--student.extra_ratios",
    "--thumbnail.quality",
    "--views.scale",
    "--views.aspect",
)
QUOTED = "\"[^\"]*\"|'[^']*'"
FLAT_FLAG = re.compile(r"--[a-z][a-z0-9]*(?:[_-][a-z0-9]+)+(?![\w.-])")


def normalise_flags(arguments: Sequence[str]) -> list[str]:
    """Flat flags as the settings name them: `--batch-size=8` becomes `--batch_size=8`."""
    normal: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], "--"], strict=True):
        if normal and normal[-1] in LISTS:
            normal[-1] += f"={_as_list(normal[-1], argument)}"
            continue
        flag, equals, value = argument.partition("=")
        if not flag.startswith("--"):
            normal.append(argument)
            continue
        name = "--" + flag[2:].replace("-", "_")
        if name in LISTS:
            normal.append(f"{name}={_as_list(name, value)}" if equals else name)
            continue
        # A setting that is a yes or no may be given without its value.
        switched = name in SWITCHES and not equals and following.startswith("--")
        normal.append(f"{name}=true" if switched else f"{name}{equals}{value}")
    return normal


def _as_list(name: str, value: str) -> str:
    """`a,b` as a list in YAML, where `*a` would be an alias, `8` no text and `a: b` a mapping: so text is quoted."""
    if (value.startswith("[") and value.endswith("]")) or value == "null":
        return value
    if name not in LISTS_OF_TEXT:
        return f"[{value}]"
    items = [item.strip() for item in re.findall(f"{QUOTED}|[^,]+", value)]
    quoted = [item if re.fullmatch(QUOTED, item) else json.dumps(item, ensure_ascii=False) for item in items if item]
    return f"[{', '.join(quoted)}]"


def resume_from_run(arguments: list[str]) -> list[str]:
    """Lets `--resume --output RUN` stand for all the settings that RUN was begun with."""
    if "--resume" not in arguments or "--config" in arguments or arguments[0] not in ("train", "train-teacher"):
        return arguments
    joined = [part for argument in arguments for part in argument.split("=", 1)]
    output = joined[joined.index("--output") + 1] if "--output" in joined[:-1] else ""
    config = Path(output) / "config.yaml"
    return [arguments[0], "--config", str(config), *arguments[1:]] if output and config.is_file() else arguments


def explain(error: ArgumentError, parser: ArgumentParser, arguments: Sequence[str]) -> str:
    """One line for a wrong flag or YAML key, with the nearest right one."""
    message = " ".join(str(error).split())
    message = re.sub(r"^error: ", "", message)
    message = re.sub(r'Parser key "([^"]+)":', r"--\1:", message)
    message = re.sub(
        r"(?<=required: ).*",
        lambda names: ", ".join(_as_given(name) for name in names[0].split(", ")),
        message,
    )
    message = re.sub(r"a <class 'int'>", "a whole number", message)
    message = re.sub(r"<class '(\w+)'>", r"\1", message).replace("typing.", "")
    commands = flags_of(parser, "")
    command = arguments[0] if arguments and arguments[0] in commands else ""
    known = flags_of(parser, command)
    wrong = re.search(r"unrecognized arguments: (?P<flag>--[\w.-]+)|(?:option|key|[Kk]ey) '(?P<key>[\w.-]+)'", message)
    if wrong:
        name = (wrong["flag"] or wrong["key"]).removeprefix("--")
        last = {flag.rpartition(".")[2]: flag for flag in known}
        near = difflib.get_close_matches(name, known, 1) or [
            last[part] for part in difflib.get_close_matches(name, last, 1)
        ]
        message += f"; did you mean --{near[0]}?" if near else ""
    elif not command and arguments:
        near = difflib.get_close_matches(arguments[0], commands, 1)
        message += f"; did you mean {near[0]}?" if near else ""
    message = FLAT_FLAG.sub(lambda flag: flag[0].replace("_", "-"), message)
    return f"{message}; see thumbnet {command} --help" if command else f"{message}; see thumbnet --help"


def _as_given(name: str) -> str:
    """`train.teacher` as `--teacher`, but the positional `predict.files` as `FILES`."""
    last = name.rpartition(".")[2]
    return last.upper() if last in POSITIONAL else f"--{last}"


def flags_of(parser: ArgumentParser, command: str) -> list[str]:
    """Flags of a command without their dashes; the commands themselves where it is none."""
    subparsers = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    if command not in subparsers.choices:
        return list(subparsers.choices)
    flags = [flag for action in subparsers.choices[command]._actions for flag in action.option_strings]
    return [flag.removeprefix("--") for flag in flags if flag.startswith("--")]
