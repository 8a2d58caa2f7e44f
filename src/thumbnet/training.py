"""Training, as one story: data, networks, objective, loop, bundle, evaluation.

`fit` trains a downscaler and a student from a frozen teacher; `train_teacher` fine-tunes a classifier to be one.
Both run `run_loop`.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import set_seed

from thumbnet import processes
from thumbnet.bundle import ThumbNet
from thumbnet.config import (
    LARGEST_LR,
    UNUSED_BY_TEACHERS,
    DownscalerSettings,
    LossSettings,
    StudentSettings,
    ThumbnailSettings,
    TrainSettings,
    hides_detail,
)
from thumbnet.devices import check_machine, memory_errors
from thumbnet.errors import ThumbNetError
from thumbnet.evaluation import evaluate
from thumbnet.loop import run_loop
from thumbnet.networks.assembly import Assembly, assemble, assemble_teacher_training
from thumbnet.networks.pair import Pair
from thumbnet.networks.weights import weights_as_bytes
from thumbnet.objective import Objective, Term, paper_terms
from thumbnet.preparation import Plan
from thumbnet.preview import default_lines, preview_lines
from thumbnet.progress import Announcer
from thumbnet.report import write_report
from thumbnet.resolved_settings import places_read, resolved_settings
from thumbnet.run_data import OpenedPictures, open_pictures
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import record_of, require_same_record
from thumbnet.teacher_evaluation import evaluate_classifier
from thumbnet.teacher_outputs import digest_of
from thumbnet.trained_downscaler import load_trained_downscaler

_LESS_MEMORY = "give --optimizer.accumulation_steps 2 or more, for a batch in parts, or a smaller --batch-size"


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
    settings = resolved_settings(settings, changes)
    announcer = Announcer(quiet or not processes.is_main())
    objective = _objective(settings, settings.downscaler, terms)
    run = RunFolder(settings.output)
    run.check(resume=resume, overwrite=overwrite, keep=places_read(settings))
    check_machine(settings.device, settings.tracker)
    if processes.launched_alone():
        announcer.warn(processes.ALONE)
    with processes.main_first():
        pictures = open_pictures(settings, announcer)
        set_seed(settings.seed)
        assembly = assemble(settings, pictures.train.classes, objective.needs_features, objective.needs_embedding)
        taken_over = load_trained_downscaler(assembly.pair.downscaler, settings.downscaler, settings.ratio)
    downscaler = _as_built(assembly.downscaler, taken_over)
    objective = _objective(settings, downscaler, terms)  # anew: only now is known whether detail is hidden
    for line in preview_lines(assembly, settings):
        announcer.say(line)
    for warning in assembly.warnings:
        announcer.warn(warning)
    pictures = pictures.in_classes(assembly.classes)
    announcer.say(f"preprocessing: {assembly.preprocessing.summary}")
    for line in default_lines(settings, own_terms=terms or {}):
        announcer.say(line)

    plan = _plan(settings, run, pictures, assembly, objective, announcer)
    trained = _run(plan, pictures, resume, overwrite)

    if processes.is_main():
        _finish(run, trained, assembly, downscaler, settings, announcer)
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
    settings = teacher_settings(resolved_settings(settings, changes))
    announcer = Announcer(quiet or not processes.is_main())
    run = RunFolder(settings.output)
    run.check(resume=resume, overwrite=overwrite, keep=places_read(settings))
    check_machine(settings.device, settings.tracker)
    if processes.launched_alone():
        announcer.warn(processes.ALONE)
    with processes.main_first():
        pictures = open_pictures(settings, announcer)
        set_seed(settings.seed)
        assembly = assemble_teacher_training(settings, pictures.train.classes)
    announcer.say(f"preprocessing: {assembly.preprocessing.summary}")

    objective = Objective(paper_terms(settings.loss, settings.multilabel))
    plan = _plan(settings, run, pictures, assembly, objective, announcer)
    trained = _run(plan, pictures, resume, overwrite, UNUSED_BY_TEACHERS)

    if processes.is_main():
        _finish_teacher(run, trained, pictures, assembly, settings, announcer)
    processes.wait()
    return run.teacher_weights


def _as_built(downscaler: DownscalerSettings, taken_over: bool) -> DownscalerSettings:
    """One taken over that hides detail, as if this run had begun with it: held near a plain thumbnail, and marked."""
    return replace(downscaler, start="detail", weights=None, frozen=False) if taken_over else downscaler


def _objective(settings: TrainSettings, downscaler: DownscalerSettings, terms: Mapping[str, Term] | None) -> Objective:
    hidden = hides_detail(downscaler, settings.student)
    own = paper_terms(settings.loss_weights, settings.multilabel, settings.student.detail_decoder, hidden)
    return Objective({**own, **(terms or {})})


def _finish(
    run: RunFolder,
    trained: Pair,
    assembly: Assembly,
    downscaler: DownscalerSettings,
    settings: TrainSettings,
    announcer: Announcer,
) -> None:
    """Saves what ships, evaluates it and writes the report."""
    bundle = ThumbNet.from_training(trained, assembly.preprocessing, assembly.classes, settings, downscaler)
    bundle.save(run.bundle)
    announcer.say(f"bundle: {run.bundle}")
    # The evaluation reads the bundle back, so that what is measured is what ships.
    with memory_errors(f"the bundle is written: evaluate it by `thumbnet evaluate {run.path} --batch-size 8`"):
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


def teacher_settings(settings: TrainSettings) -> TrainSettings:
    """The settings of a run that trains a teacher: classification alone, fresh views, no downscaler."""
    loss = LossSettings(
        mm=0.0, kd=0.0, fm=0.0, em=0.0, cl=settings.loss.cl or 1.0, label_smoothing=settings.loss.label_smoothing
    )
    return replace(
        settings,
        loss=loss,
        lr=settings.lr or LARGEST_LR,
        views=replace(settings.views, per_image=0, cached_flips=False),
        mix=replace(settings.mix, mixed_views=0),
        ratio=TrainSettings.ratio,
        downscaler=DownscalerSettings(),
        student=StudentSettings(),
        thumbnail=ThumbnailSettings(),
    )


def _finish_teacher(
    run: RunFolder,
    trained: Pair,
    pictures: OpenedPictures,
    assembly: Assembly,
    settings: TrainSettings,
    announcer: Announcer,
) -> None:
    """Saves the teacher, evaluates it and writes the report."""
    run.write_teacher_weights(weights_as_bytes(trained.student.network, pictures.train.classes))
    evaluate_classifier(
        run, trained, pictures.evaluation, pictures.description, assembly.preprocessing, settings, announcer
    )
    write_report(run)
    announcer.say(f"teacher: {run.teacher_weights}")


def _run(plan: Plan, pictures: OpenedPictures, resume: bool, overwrite: bool, unused: Collection[str] = ()) -> Pair:
    """Begins the run, now that data and networks are known to fit, and trains.

    A run that fails before its first checkpoint leaves nothing behind, and one that it was to replace as it was.
    """
    if processes.is_main():
        _begin(plan, pictures, resume, overwrite, unused)
    processes.wait()
    try:
        with processes.together(), memory_errors(_LESS_MEMORY):
            return run_loop(plan)
    except ThumbNetError:
        if processes.is_main():
            plan.run.discard()
        raise


def _begin(plan: Plan, pictures: OpenedPictures, resume: bool, overwrite: bool, unused: Collection[str]) -> None:
    """Writes the run's first files."""
    run, teacher = plan.run, plan.assembly.teacher.tapped.network
    record = record_of(
        plan.settings,
        pictures.fingerprint_of_both,
        {name: term.weight for name, term in plan.objective.terms.items()},
        unused,
        held_out=pictures.held_out,
        teacher=digest_of({}, teacher) if teacher.state_dict() else None,
    )
    if resume:
        require_same_record(run, record)
    run.begin(record, overwrite=overwrite)
    run.write_unreadable(pictures.unreadable)
    if pictures.unreadable:
        first = f"{pictures.unreadable[0]['picture']}: {pictures.unreadable[0]['reason']}"
        left_out = f"{len(pictures.unreadable)} pictures cannot be read and are left out (such as {first})"
        plan.announcer.warn(f"{left_out}; see {run.unreadable}")


def _plan(
    settings: TrainSettings,
    run: RunFolder,
    pictures: OpenedPictures,
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
