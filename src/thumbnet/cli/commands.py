"""One function a command: from parsed flags to a call into the library, and its result printed.

Results go to standard output, progress to standard error. Each returns the exit code.
"""

import dataclasses
import json
from pathlib import Path

from jsonargparse import Namespace
from rich.console import Console

from thumbnet import processes
from thumbnet.bundle import ThumbNet
from thumbnet.cli.benchmark_command import benchmark
from thumbnet.cli.export_command import export
from thumbnet.cli.tables import (
    class_table,
    comparison_table,
    evaluation_table,
    formats_table,
    info_table,
    predictions_table,
    preview_notes,
    preview_table,
)
from thumbnet.cli.thumbnail_command import SOME_FAILED, thumbnail
from thumbnet.comparison.recipe_comparison import compare as compare_recipes
from thumbnet.comparison.study import Comparison
from thumbnet.comparison.sweep import sweep as sweep_options
from thumbnet.config import ColumnSettings, CompareSettings, SweepSettings, TrainSettings, ViewSettings
from thumbnet.devices import choose_device, memory_errors
from thumbnet.errors import CheckpointError, ConfigError, PictureError
from thumbnet.evaluation import evaluate as evaluate_run
from thumbnet.format_evaluation import evaluate_formats
from thumbnet.opened_run import open_run
from thumbnet.preview import preview
from thumbnet.progress import Announcer
from thumbnet.report import write_report
from thumbnet.run_folder import RunFolder
from thumbnet.storage import write_json
from thumbnet.teacher_evaluation import evaluate_teacher
from thumbnet.thumbnail_codec import parse_format
from thumbnet.training import fit
from thumbnet.training import train_teacher as fit_teacher

__all__ = ["benchmark", "export", "thumbnail"]  # defined in modules of their own; the other commands are below

TEACHER_FLAGS: tuple[str, ...] = ("teacher", "teacher_weights", "image_side", "crop_share", "multilabel", "class_map")
TEACHER_FLAGS += ("teacher_classes", "output")


def train(flags: Namespace) -> int:
    """`thumbnet train`."""
    settings = _settings(flags)
    fit(settings, resume=flags.resume, overwrite=flags.overwrite)
    if not processes.is_main():
        return 0
    run = RunFolder.open(settings.output)
    _print(evaluation_table(run.read_evaluation() or {}))
    Console().print(f"report: {run.report}", soft_wrap=True)
    return 0


def train_teacher(flags: Namespace) -> int:
    """`thumbnet train-teacher`."""
    settings = _settings(flags)
    weights = fit_teacher(settings, resume=flags.resume, overwrite=flags.overwrite)
    if not processes.is_main():
        return 0
    _print(evaluation_table(RunFolder.open(settings.output).read_evaluation() or {}))
    Console().print(f"use it with: --teacher {settings.teacher} --teacher-weights {weights}", soft_wrap=True)
    return 0


def evaluate(flags: Namespace) -> int:
    """`thumbnet evaluate`, of a run or of a teacher by itself."""
    given = [name for name in TEACHER_FLAGS if getattr(flags, name) not in (None, False)]
    if flags.run is not None and given:
        flag = given[0].replace("_", "-")
        raise ConfigError(f"--{flag} is for a teacher by itself; leave it out, or leave the run {flags.run} out")
    if flags.run is None and flags.formats is not None:
        raise ConfigError("--formats is for the thumbnails of a run; give its folder")
    with memory_errors(f"give a smaller --batch-size than {flags.batch_size}"):
        if flags.run is None:
            return _evaluate_teacher(flags)
        return _evaluate_run(flags) if flags.formats is None else _evaluate_formats(flags)


def _evaluate_run(flags: Namespace) -> int:
    result = evaluate_run(
        flags.run,
        flags.data,
        holdout=flags.holdout,
        columns=_columns(flags),
        allow_code=flags.allow_code,
        batch_size=flags.batch_size,
        workers=flags.workers,
        device=flags.device,
    )
    run = RunFolder.open(flags.run)
    write_report(run)
    _print(evaluation_table(result))
    if "per_class" in result["student"]:
        _print(class_table(result))
    Console().print(f"report: {run.report}", soft_wrap=True)
    return 0


def compare(flags: Namespace) -> int:
    """`thumbnet compare`."""
    names = {field.name for field in dataclasses.fields(CompareSettings)}
    given = {name: value for name, value in vars(flags).items() if name in names}
    lists = {name: tuple(given[name]) for name in ("recipes", "set")}
    comparison = compare_recipes(CompareSettings(**{**given, **lists}), overwrite=flags.overwrite)
    return _show(comparison)


def sweep(flags: Namespace) -> int:
    """`thumbnet sweep`."""
    names = {field.name for field in dataclasses.fields(SweepSettings)}
    wanted = SweepSettings(**{name: value for name, value in vars(flags).items() if name in names})
    found = sweep_options(_settings(flags), sweep=wanted, overwrite=flags.overwrite)
    code = _show(found.comparison)
    if found.recommendation.command:
        Console().print(f"use it with: {found.recommendation.command}", soft_wrap=True, highlight=False)
    return code


def _show(comparison: Comparison) -> int:
    """Prints the table and what to know of it; combinations known to be impossible are no failures of this command."""
    console = Console(highlight=False)
    if comparison.results:
        console.print(comparison_table(comparison.results))
    for note in comparison.notes:
        console.print(note, soft_wrap=True, markup=False)
    console.print(f"written: {comparison.folder}", soft_wrap=True)
    failed = [one for one in comparison.failed if one.recipe.impossible is None]
    return SOME_FAILED if failed or comparison.results is None else 0


def predict(flags: Namespace) -> int:
    """`thumbnet predict`."""
    bundle = ThumbNet.load(flags.run, allow_code=flags.allow_code, device=choose_device(flags.device))
    announcer = Announcer()
    answers = []
    failed = False
    for file in announcer.track(flags.files, len(flags.files), "predicting"):
        try:
            answers.append((file, bundle.classify(Path(file), top=flags.top, given=flags.given)))
        except PictureError as error:
            announcer.warn(f"{file}: {error}")
            failed = True
    if flags.json:
        for file, answer in answers:
            print(json.dumps({"file": file, **dataclasses.asdict(answer)}, ensure_ascii=False))
    elif answers:
        _print(predictions_table(answers))
    return SOME_FAILED if failed else 0


def info(flags: Namespace) -> int:
    """`thumbnet info`: of a run, or of what a teacher would give."""
    if (flags.run is None) == (flags.teacher is None):
        raise ConfigError("info: give either a run folder or --teacher NAME; see thumbnet info --help")
    if flags.run is None:
        return _preview(flags)
    bundle = ThumbNet.load(flags.run, allow_code=flags.allow_code)
    _print(info_table(bundle))
    evaluation = RunFolder(flags.run).read_evaluation()
    if evaluation:
        _print(evaluation_table(evaluation))
    return 0


def _preview(flags: Namespace) -> int:
    flags.data, flags.output = "none", "none"  # what no preview looks at
    settings = _settings(flags)
    found = preview(settings, Announcer())
    _print(preview_table(settings.teacher, settings.ratio, found))
    for note in preview_notes(found):
        Console(highlight=False).print(note, soft_wrap=True, markup=False)
    return 0


def report(flags: Namespace) -> int:
    """`thumbnet report`."""
    run = RunFolder.open(flags.run)
    if not run.read_metrics():
        raise CheckpointError(
            f"{flags.run} has no completed epoch to report on; train it first, or go on with --resume"
        )
    write_report(run)
    print(run.report)
    return 0


def push(flags: Namespace) -> int:
    """`thumbnet push`."""
    bundle = ThumbNet.load(flags.run, allow_code=flags.allow_code)
    metadata = {"license": flags.license} if flags.license else {}
    # None leaves it to the account's own rule, and an old repository as it is.
    print(bundle.push_to_hub(flags.repository, private=flags.private or None, model_card_kwargs=metadata))
    return 0


def _evaluate_formats(flags: Namespace) -> int:
    formats = [parse_format(text) for text in flags.formats.split(",")]
    announcer = Announcer()
    opened = open_run(
        flags.run,
        flags.data,
        holdout=flags.holdout,
        columns=_columns(flags),
        allow_code=flags.allow_code,
        batch_size=flags.batch_size,
        workers=flags.workers,
        device=flags.device,
        announcer=announcer,
    )
    _print(formats_table(evaluate_formats(opened, formats, announcer)))
    return 0


def _evaluate_teacher(flags: Namespace) -> int:
    if flags.teacher is None or flags.data is None:
        raise ConfigError("evaluate: nothing to evaluate; give a run folder, or --teacher NAME and --data FOLDER")
    result = evaluate_teacher(
        teacher=flags.teacher,
        data=flags.data,
        teacher_weights=flags.teacher_weights or "pretrained",
        image_side=flags.image_side,
        holdout=flags.holdout,
        batch_size=flags.batch_size,
        workers=flags.workers,
        device=flags.device,
        views=ViewSettings(crop_share=flags.crop_share),
        multilabel=flags.multilabel,
        class_map=flags.class_map,
        teacher_classes=flags.teacher_classes or "all",
        columns=flags.columns,
    )
    _print(evaluation_table(result))
    if flags.output:
        write_json(Path(flags.output), result)
        Console().print(f"written: {flags.output}", soft_wrap=True)
    return 0


def _columns(flags: Namespace) -> ColumnSettings | None:
    return None if flags.columns == ColumnSettings() else flags.columns


def _settings(flags: Namespace) -> TrainSettings:
    names = {field.name for field in dataclasses.fields(TrainSettings)}
    given = {name: value for name, value in vars(flags).items() if name in names}
    return TrainSettings(**given)


def _print(table: object) -> None:
    Console(highlight=False).print(table)
