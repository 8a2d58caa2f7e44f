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

from thumbnet import processes
from thumbnet.bundle import ThumbNet, weights_as_bytes
from thumbnet.config import UNUSED_BY_TEACHERS, DownscalerSettings, LossSettings, TrainSettings
from thumbnet.data.folders import Pictures
from thumbnet.data.inspection import inspect
from thumbnet.data.sources import SAMPLE_NAMES, open_data, training_split
from thumbnet.devices import cache_folder, check_machine, reading_workers
from thumbnet.errors import ConfigError, ThumbNetError
from thumbnet.evaluation import evaluate, evaluate_teacher
from thumbnet.loop import run_loop
from thumbnet.networks.assembly import Assembly, assemble, assemble_teacher_training
from thumbnet.networks.pair import Pair
from thumbnet.objective import Objective, Term, paper_terms
from thumbnet.preparation import Plan
from thumbnet.progress import Announcer
from thumbnet.report import write_report
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import record_of, require_same_record


@processes.together()
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
    announcer = Announcer(quiet or not processes.is_main())
    objective = Objective({**paper_terms(settings.loss), **(terms or {})})
    run = RunFolder(settings.output)
    run.check(resume=resume, overwrite=overwrite, keep=(settings.data, settings.teacher_weights))
    check_machine(settings.device, settings.tracker)
    if processes.launched_alone():
        announcer.warn(processes.ALONE)
    with processes.main_first():
        pictures = _open_pictures(settings, announcer)
        set_seed(settings.seed)
        assembly = assemble(settings, pictures.train.classes, tap_features=objective.needs_features)
    for warning in assembly.warnings:
        announcer.warn(warning)

    plan = _plan(settings, run, pictures, assembly, objective, announcer)
    trained = _run(plan, pictures, resume, overwrite)

    if processes.is_main():
        _finish(run, trained, assembly, pictures.train.classes, settings, announcer)
    processes.wait()
    return ThumbNet.load(run.path, allow_code=True)


@processes.together()
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
    announcer = Announcer(quiet or not processes.is_main())
    run = RunFolder(settings.output)
    run.check(resume=resume, overwrite=overwrite, keep=(settings.data, settings.teacher_weights))
    check_machine(settings.device, settings.tracker)
    if processes.launched_alone():
        announcer.warn(processes.ALONE)
    with processes.main_first():
        pictures = _open_pictures(settings, announcer)
        set_seed(settings.seed)
        assembly = assemble_teacher_training(settings, pictures.train.classes)

    objective = Objective(paper_terms(settings.loss))
    plan = _plan(settings, run, pictures, assembly, objective, announcer)
    trained = _run(plan, pictures, resume, overwrite, UNUSED_BY_TEACHERS)

    if processes.is_main():
        _finish_teacher(run, trained, pictures, assembly, settings, announcer)
    processes.wait()
    return run.teacher_weights


def _finish(
    run: RunFolder,
    trained: Pair,
    assembly: Assembly,
    classes: tuple[str, ...],
    settings: TrainSettings,
    announcer: Announcer,
) -> None:
    """Saves what ships, evaluates it and writes the report."""
    bundle = ThumbNet.from_training(trained, assembly.preprocessing, classes, settings)
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


def _settings(settings: TrainSettings | None, changes: Mapping[str, Any]) -> TrainSettings:
    """Settings with changes, and with paths that mean the same from any folder."""
    given = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in changes.items()}
    try:
        settings = replace(settings, **given) if settings else TrainSettings(**given)
    except TypeError as error:
        raise ConfigError(f"settings: {error}; see thumbnet.TrainSettings") from error
    data, weights = settings.data, settings.teacher_weights
    return replace(
        settings,
        data=data if data in SAMPLE_NAMES else str(Path(data).absolute()),
        teacher_weights=weights if weights in ("pretrained", "random") else str(Path(weights).absolute()),
    )


def teacher_settings(settings: TrainSettings) -> TrainSettings:
    """The settings of a run that trains a teacher: classification alone, fresh views, no downscaler."""
    loss = LossSettings(
        mm=0.0, kd=0.0, fm=0.0, cl=settings.loss.cl or 1.0, label_smoothing=settings.loss.label_smoothing
    )
    return replace(settings, loss=loss, views=replace(settings.views, per_image=0), downscaler=DownscalerSettings())


@dataclass(frozen=True, kw_only=True)
class _OpenedPictures:
    train: Pictures
    evaluation: Pictures
    description: str
    fingerprint: str
    fingerprint_of_both: str
    unreadable: list[dict[str, str]]


def _open_pictures(settings: TrainSettings, announcer: Announcer) -> _OpenedPictures:
    splits = training_split(open_data(settings.data, settings.holdout), settings.data)
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


def _finish_teacher(
    run: RunFolder,
    trained: Pair,
    pictures: _OpenedPictures,
    assembly: Assembly,
    settings: TrainSettings,
    announcer: Announcer,
) -> None:
    """Saves the teacher, evaluates it and writes the report."""
    run.write_teacher_weights(weights_as_bytes(trained.student.network, pictures.train.classes))
    evaluate_teacher(
        run, trained, pictures.evaluation, pictures.description, assembly.preprocessing, settings, announcer
    )
    write_report(run)
    announcer.say(f"teacher: {run.teacher_weights}")


def _run(plan: Plan, pictures: _OpenedPictures, resume: bool, overwrite: bool, unused: Collection[str] = ()) -> Pair:
    """Begins the run, now that data and networks are known to fit, and trains.

    A run that fails before its first checkpoint leaves nothing behind.
    """
    run, announcer = plan.run, plan.announcer
    losses = {name: term.weight for name, term in plan.objective.terms.items()}
    record = record_of(plan.settings, pictures.fingerprint_of_both, losses, unused)
    if processes.is_main():
        _begin(run, record, pictures, resume, overwrite, announcer)
    processes.wait()
    try:
        with processes.together():
            return run_loop(plan)
    except ThumbNetError:
        if processes.is_main():
            run.discard()
        raise


def _begin(
    run: RunFolder,
    record: dict[str, Any],
    pictures: _OpenedPictures,
    resume: bool,
    overwrite: bool,
    announcer: Announcer,
) -> None:
    """Writes the run's first files."""
    if resume:
        require_same_record(run, record)
    run.begin(record, overwrite=overwrite)
    run.write_unreadable(pictures.unreadable)
    if pictures.unreadable:
        first = f"{pictures.unreadable[0]['picture']}: {pictures.unreadable[0]['reason']}"
        left_out = f"{len(pictures.unreadable)} pictures cannot be read and are left out (such as {first})"
        announcer.warn(f"{left_out}; see {run.unreadable}")


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
