"""Training, as one story: data, networks, objective, loop, bundle, evaluation.

`fit` trains a downscaler and a student from a frozen teacher; `train_teacher` fine-tunes a classifier to be one.
Both run `run_loop`.
"""

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate.utils import set_seed

from thumbnet.bundle import ThumbNet, weights_as_bytes
from thumbnet.config import UNUSED_BY_TEACHERS, DownscalerSettings, LossSettings, TrainSettings
from thumbnet.data.datasets import Wanted
from thumbnet.data.inspection import inspect
from thumbnet.data.labelled import Pictures, Splits
from thumbnet.data.sources import is_place, open_data, training_split, wanted_by
from thumbnet.data.streaming import PictureStream, open_stream
from thumbnet.devices import cache_folder, check_machine, reading_workers
from thumbnet.errors import ConfigError, ThumbNetError
from thumbnet.evaluation import evaluate, evaluate_teacher
from thumbnet.loop import Plan, run_loop
from thumbnet.networks.assembly import Assembly, assemble, assemble_teacher_training
from thumbnet.networks.pair import Pair
from thumbnet.objective import Objective, Term, paper_terms
from thumbnet.progress import Announcer
from thumbnet.report import write_report
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import record_of, require_same_record


def fit(
    settings: TrainSettings | None = None,
    *,
    terms: Mapping[str, Term] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **changes: Any,
) -> ThumbNet:
    """Trains a downscaler and a student, and writes the run folder.

    Args:
        settings: All settings; or give them by name: `fit(teacher=..., data=..., output=..., ratio=4)`.
        terms: Losses of your own, added to the paper's four; one of the same name replaces it.
        resume: Go on with the run in `output` where it was stopped.
        overwrite: Replace the run in `output`.
        quiet: Show nothing while working.
        **changes: Fields of `TrainSettings`, taking precedence over `settings`.

    Returns:
        The trained bundle, as `ThumbNet.load(output)` would give it.

    Raises:
        ThumbNetError: One line that says what is wrong and what to do; see `thumbnet.errors`.
    """
    settings = _settings(settings, changes)
    announcer = Announcer(quiet)
    objective = Objective({**paper_terms(settings.loss, settings.multilabel), **(terms or {})})
    run = RunFolder(settings.output)
    run.check(resume=resume, overwrite=overwrite, keep=(settings.data, settings.teacher_weights))
    check_machine(settings.device, settings.tracker)
    pictures = _open_pictures(settings, announcer)
    set_seed(settings.seed)
    assembly = assemble(settings, pictures.train.classes, tap_features=objective.needs_features)
    for warning in assembly.warnings:
        announcer.warn(warning)

    plan = _plan(settings, run, pictures, assembly, objective, announcer)
    trained = _run(plan, pictures, resume, overwrite)

    bundle = ThumbNet.from_training(trained, assembly.preprocessing, pictures.train.classes, settings)
    bundle.save(run.bundle)
    announcer.say(f"bundle: {run.bundle}")
    # The evaluation reads the bundle back, so that what is measured is what ships.
    evaluate(
        run,
        settings.data,
        allow_code=True,  # the teacher's factory has just been imported on the user's word
        workers=settings.workers,
        device=settings.device,
        announcer=announcer,
    )
    write_report(run)
    announcer.say(f"report: {run.report}")
    return ThumbNet.load(run.path, allow_code=True)


def train_teacher(
    settings: TrainSettings | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    **changes: Any,
) -> Path:
    """Fine-tunes a classifier at full size, with the same loop and the classification loss alone.

    Args:
        settings: As for `fit`; those of losses other than `cl`, downscaler, student and cache are not used.
        resume: Go on with the run in `output` where it was stopped.
        overwrite: Replace the run in `output`.
        quiet: Show nothing while working.
        **changes: Fields of `TrainSettings`.

    Returns:
        Path of `teacher.safetensors`, for `teacher_weights`.

    Raises:
        ThumbNetError: One line that says what is wrong and what to do.
    """
    settings = teacher_settings(_settings(settings, changes))
    announcer = Announcer(quiet)
    run = RunFolder(settings.output)
    run.check(resume=resume, overwrite=overwrite, keep=(settings.data, settings.teacher_weights))
    check_machine(settings.device, settings.tracker)
    pictures = _open_pictures(settings, announcer)
    set_seed(settings.seed)
    assembly = assemble_teacher_training(settings, pictures.train.classes)

    objective = Objective(paper_terms(settings.loss, settings.multilabel))
    plan = _plan(settings, run, pictures, assembly, objective, announcer)
    trained = _run(plan, pictures, resume, overwrite, UNUSED_BY_TEACHERS)

    run.write_teacher_weights(weights_as_bytes(trained.student.network, pictures.train.classes))
    evaluate_teacher(
        run, trained, pictures.evaluation, pictures.description, assembly.preprocessing, settings, announcer
    )
    write_report(run)
    announcer.say(f"teacher: {run.teacher_weights}")
    return run.teacher_weights


def _settings(settings: TrainSettings | None, changes: Mapping[str, Any]) -> TrainSettings:
    """Settings with changes, and with paths that mean the same from any folder."""
    given = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in changes.items()}
    try:
        settings = replace(settings, **given) if settings else TrainSettings(**given)
    except TypeError as error:
        raise ConfigError(f"settings: {error}; see thumbnet.TrainSettings") from error
    weights, others, class_map = settings.teacher_weights, settings.evaluation_data, settings.class_map
    return replace(
        settings,
        data=_absolute(settings.data),
        evaluation_data=_absolute(others) if others else None,
        teacher_weights=weights if weights in ("pretrained", "random") else str(Path(weights).absolute()),
        class_map=str(Path(class_map).absolute()) if class_map else None,
    )


def _absolute(data: str) -> str:
    return str(Path(data).absolute()) if is_place(data) else data


def teacher_settings(settings: TrainSettings) -> TrainSettings:
    """The settings of a run that trains a teacher: classification alone, fresh views, no downscaler."""
    loss = LossSettings(
        mm=0.0, kd=0.0, fm=0.0, cl=settings.loss.cl or 1.0, label_smoothing=settings.loss.label_smoothing
    )
    return replace(settings, loss=loss, views=replace(settings.views, per_image=0), downscaler=DownscalerSettings())


@dataclass(frozen=True, kw_only=True)
class _OpenedPictures:
    train: Pictures | PictureStream
    evaluation: Pictures
    description: str
    fingerprint: str
    fingerprint_of_both: str
    unreadable: list[dict[str, str]]


def _open_pictures(settings: TrainSettings, announcer: Announcer) -> _OpenedPictures:
    wanted = wanted_by(settings, cache_folder(settings.cache) / "datasets")
    opened = open_data(settings.data, settings.holdout, settings.evaluation_data, wanted)
    if settings.streaming:
        return _open_stream(settings, opened, wanted, announcer)
    splits = training_split(opened, settings.data)
    assert splits.train is not None
    memory = cache_folder(settings.cache) / "inspections"
    workers = max(1, reading_workers(settings.workers))
    train, held_out = (
        inspect(pictures, settings.allow_unreadable, memory, announcer.track, workers)
        for pictures in (splits.train, splits.evaluation)
    )
    unreadable = [
        {"split": split, "picture": name, "reason": reason}
        for split, found in (("train", train), ("evaluation", held_out))
        for name, reason in found.unreadable
    ]
    counts = f"{len(train.readable):,} to train on, {len(held_out.readable):,} to evaluate on"
    announcer.say(f"data: {settings.data}, {counts}, {len(splits.train.classes)} classes ({splits.description})")
    return _OpenedPictures(
        train=train.readable,
        evaluation=held_out.readable,
        description=splits.description,
        fingerprint=train.fingerprint,
        fingerprint_of_both=hashlib.sha256(f"{train.fingerprint}{held_out.fingerprint}".encode()).hexdigest(),
        unreadable=unreadable,
    )


def _open_stream(settings: TrainSettings, splits: Splits, wanted: Wanted, announcer: Announcer) -> _OpenedPictures:
    """The same for pictures to train on that are read in passing: what they hold is found out on the way."""
    memory = cache_folder(settings.cache) / "inspections"
    workers = max(1, reading_workers(settings.workers))
    held_out = inspect(splits.evaluation, settings.allow_unreadable, memory, announcer.track, workers)
    stream = open_stream(settings.data, held_out.readable, wanted)
    counts = f"a stream to train on, {len(held_out.readable):,} to evaluate on"
    announcer.say(f"data: {settings.data}, {counts}, {len(stream.classes)} classes ({splits.description})")
    return _OpenedPictures(
        train=stream,
        evaluation=held_out.readable.in_classes(stream.classes, f"the classes of {settings.data}"),
        description=splits.description,
        fingerprint=stream.fingerprint,
        fingerprint_of_both=hashlib.sha256(f"{stream.fingerprint}{held_out.fingerprint}".encode()).hexdigest(),
        unreadable=[{"split": "evaluation", "picture": name, "reason": reason} for name, reason in held_out.unreadable],
    )


def _run(plan: Plan, pictures: _OpenedPictures, resume: bool, overwrite: bool, unused: Collection[str] = ()) -> Pair:
    """Begins the run, now that data and networks are known to fit, and trains.

    A run that fails before its first checkpoint leaves nothing behind.
    """
    run, announcer = plan.run, plan.announcer
    losses = {name: term.weight for name, term in plan.objective.terms.items()}
    record = record_of(plan.settings, pictures.fingerprint_of_both, losses, unused)
    if resume:
        require_same_record(run, record)
    run.begin(record, overwrite=overwrite)
    run.write_unreadable(pictures.unreadable)
    if pictures.unreadable:
        first = f"{pictures.unreadable[0]['picture']}: {pictures.unreadable[0]['reason']}"
        left_out = f"{len(pictures.unreadable)} pictures cannot be read and are left out (such as {first})"
        announcer.warn(f"{left_out}; see {run.unreadable}")
    try:
        return run_loop(plan)
    except ThumbNetError:
        run.discard()
        raise


def _plan(
    settings: TrainSettings,
    run: RunFolder,
    pictures: _OpenedPictures,
    assembly: Assembly,
    objective: Objective,
    announcer: Announcer,
) -> Plan:
    return Plan(
        settings=settings,
        run=run,
        train=pictures.train,
        evaluation=pictures.evaluation,
        fingerprint=pictures.fingerprint,
        assembly=assembly,
        objective=objective,
        announcer=announcer,
    )
