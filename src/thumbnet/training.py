"""Training, as one story: data, networks, objective, loop, bundle, evaluation.

`fit` trains a downscaler and a student from a frozen teacher; `train_teacher` fine-tunes a classifier to be that teacher.
Both run `_train`. Knows no loss by name and no network by kind.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed

from thumbnet.bundle import ThumbNet, weights_as_bytes
from thumbnet.checkpoint import Position, TrainingState
from thumbnet.config import DownscalerSettings, LossSettings, TrainSettings, ViewSettings
from thumbnet.data.batches import (
    Batch,
    EpochOrder,
    LoaderSettings,
    ViewDataset,
    evaluation_loader,
    to_image,
    training_loader,
)
from thumbnet.data.folders import Pictures
from thumbnet.data.inspection import inspect
from thumbnet.data.sources import open_data, training_split
from thumbnet.evaluation import evaluate, evaluate_teacher, top1_of
from thumbnet.networks.assembly import Assembly, assemble, assemble_teacher_training
from thumbnet.networks.downscaler import PaperDownscaler
from thumbnet.objective import Objective, StepTensors, Term, check_finite, paper_terms
from thumbnet.optimization import averaged, build_average, build_optimizer, build_schedule
from thumbnet.progress import Announcer, format_losses
from thumbnet.report import write_report
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import record_of, require_same_settings
from thumbnet.devices import cache_folder, choose_device, keep_freed_memory, make_accelerator, readers
from thumbnet.teacher_answers import CachedAnswers, LiveAnswers, NoAnswers, TeacherAnswers, fill_cache, open_cache


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
    settings = replace(settings, **changes) if settings else TrainSettings(**changes)
    announcer = Announcer(quiet)
    objective = Objective({**paper_terms(settings.loss), **(terms or {})})
    run = RunFolder(settings.output)
    run.check(resume=resume, overwrite=overwrite)
    pictures = _open_pictures(settings, announcer)
    set_seed(settings.seed)
    assembly = assemble(settings, pictures.train.classes, tap_features=objective.needs_features)
    for warning in assembly.warnings:
        announcer.warn(warning)
    _begin(run, settings, pictures, resume, overwrite, announcer)

    trained = _train(settings, run, pictures, assembly, objective, announcer)

    bundle = ThumbNet.from_training(trained, assembly.preprocessing, pictures.train.classes, settings)
    bundle.save(run.bundle)
    announcer.say(f"bundle: {run.bundle}")
    # The evaluation reads the bundle back, so that what is measured is what ships.
    evaluate(run, data=settings.data, workers=settings.workers, device=settings.device, announcer=announcer)
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
    settings = replace(settings, **changes) if settings else TrainSettings(**changes)
    settings = teacher_settings(settings)
    announcer = Announcer(quiet)
    run = RunFolder(settings.output)
    run.check(resume=resume, overwrite=overwrite)
    pictures = _open_pictures(settings, announcer)
    set_seed(settings.seed)
    assembly = assemble_teacher_training(settings, pictures.train.classes)
    _begin(run, settings, pictures, resume, overwrite, announcer)

    trained = _train(settings, run, pictures, assembly, Objective(paper_terms(settings.loss)), announcer)

    run.write_teacher_weights(weights_as_bytes(trained.student.network))
    evaluate_teacher(run, trained, pictures.evaluation, pictures.description, assembly.preprocessing, settings, announcer)
    announcer.say(f"teacher: {run.teacher_weights}")
    return run.teacher_weights


def teacher_settings(settings: TrainSettings) -> TrainSettings:
    """The settings of a run that trains a teacher: classification alone, fresh views, no downscaler."""
    loss = LossSettings(mm=0, kd=0, fm=0, cl=settings.loss.cl or 1.0, label_smoothing=settings.loss.label_smoothing)
    views: ViewSettings = replace(settings.views, per_image=0)
    return replace(settings, loss=loss, views=views, downscaler=DownscalerSettings())


@dataclass(frozen=True, kw_only=True)
class _OpenedPictures:
    train: Pictures
    evaluation: Pictures
    description: str
    fingerprint: str
    unreadable: list[dict[str, str]]


def _open_pictures(settings: TrainSettings, announcer: Announcer) -> _OpenedPictures:
    splits = training_split(open_data(settings.data, settings.holdout), settings.data)
    assert splits.train is not None
    memory = cache_folder(settings.cache) / "inspections"
    workers = max(1, readers(settings.workers))
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
        unreadable=unreadable,
    )


def _begin(
    run: RunFolder, settings: TrainSettings, pictures: _OpenedPictures, resume: bool, overwrite: bool, announcer: Announcer
) -> None:
    """Writes the first files of a run, now that data and networks are known to fit."""
    if resume:
        require_same_settings(run, settings, pictures.fingerprint)
    run.begin(record_of(settings, pictures.fingerprint), overwrite=overwrite)
    run.write_unreadable(pictures.unreadable)
    if pictures.unreadable:
        first = f"{pictures.unreadable[0]['picture']}: {pictures.unreadable[0]['reason']}"
        left_out = f"{len(pictures.unreadable)} pictures cannot be read and are left out (such as {first})"
        announcer.warn(f"{left_out}; see {run.unreadable}")


def _train(
    settings: TrainSettings,
    run: RunFolder,
    pictures: _OpenedPictures,
    assembly: Assembly,
    objective: Objective,
    announcer: Announcer,
) -> Any:
    """The loop. Returns the averaged pair."""
    device = choose_device(settings.device)
    if device.type == "cpu":
        keep_freed_memory()
    accelerator = make_accelerator(device, settings.optimizer, settings.tracker, run.path)
    loader_settings = LoaderSettings(workers=readers(settings.workers), pin_memory=device.type == "cuda")
    dataset = ViewDataset(pictures.train, settings.views, assembly.preprocessing, settings.seed)
    slices = settings.optimizer.accumulation_steps
    order = EpochOrder(len(pictures.train), settings.batch_size, slices, settings.views.per_image, settings.seed)
    evaluation_batches = evaluation_loader(
        pictures.evaluation, assembly.preprocessing, settings.batch_size, loader_settings
    )
    teacher_says = _teacher_answers(settings, assembly, objective, dataset, pictures, loader_settings, device, announcer)

    pair = assembly.pair.to(device, memory_format=torch.channels_last)
    if isinstance(pair.downscaler, PaperDownscaler):
        pair.downscaler.calibrate(_first_images(dataset, order, device))
    optimizer = build_optimizer(pair, settings.optimizer, settings.lr)
    schedule = build_schedule(optimizer, settings.epochs * order.batches, settings.optimizer.warmup_share)
    average = build_average(pair, settings.optimizer.ema_decay) if settings.optimizer.ema_decay else None
    position = Position()
    state = TrainingState(pair=pair, average=average, optimizer=optimizer, schedule=schedule, position=position)
    if run.checkpoint.exists():
        state.restore(run.checkpoint)
        announcer.say(f"resuming after epoch {position.epoch}, step {position.step}")
    loader = training_loader(dataset, order, loader_settings)
    model, optimizer, loader = accelerator.prepare(pair, optimizer, loader)

    with announcer.steps(settings.epochs * order.batches, "training") as bar:
        while position.epoch < settings.epochs:
            order.epoch, order.start = position.epoch, position.slices
            started, saved = time.monotonic(), time.monotonic()
            model.train()
            for batch in loader:
                with accelerator.accumulate(model):
                    image = to_image(batch, device)
                    step = _step_tensors(batch, image, model(image), teacher_says(batch, image))
                    total, values = objective(step)
                    check_finite({**values, "total": total}, position.step)
                    accelerator.backward(total)
                    if accelerator.sync_gradients and settings.optimizer.clip_grad_norm:
                        accelerator.clip_grad_norm_(model.parameters(), settings.optimizer.clip_grad_norm)
                    optimizer.step()
                    optimizer.zero_grad()
                position.slices += 1
                for name, value in values.items():
                    position.loss_sums[name] = position.loss_sums.get(name, 0.0) + value.item()
                if not accelerator.sync_gradients:
                    continue
                schedule.step()
                position.step += 1
                if average:
                    average.update(pair, step=position.step)
                bar.update(position.step, {name: value.item() for name, value in values.items()})
                if time.monotonic() - saved > 60 * settings.checkpoint_minutes:
                    state.save(run.checkpoint)
                    saved = time.monotonic()

            top1 = top1_of(averaged(average, pair), evaluation_batches, device)
            losses = {name: total / position.slices for name, total in position.loss_sums.items()}
            record = {"epoch": position.epoch + 1, "step": position.step, **losses, "top1": top1}
            seconds = time.monotonic() - started
            run.append_metrics({**record, "lr": schedule.get_last_lr()[-1], "seconds": round(seconds, 2)})
            accelerator.log(record, step=position.step)
            counted = f"epoch {position.epoch + 1}/{settings.epochs}"
            announcer.say(f"{counted}  {format_losses(losses)}  top-1 {top1:.2%}  {seconds:.0f} s")
            position.epoch, position.slices, position.loss_sums = position.epoch + 1, 0, {}
            state.save(run.checkpoint)
    accelerator.end_training()
    return averaged(average, pair).eval()


def _teacher_answers(
    settings: TrainSettings,
    assembly: Assembly,
    objective: Objective,
    dataset: ViewDataset,
    pictures: _OpenedPictures,
    loader_settings: LoaderSettings,
    device: torch.device,
    announcer: Announcer,
) -> TeacherAnswers:
    if not objective.needs_teacher:
        return NoAnswers()
    if not settings.views.per_image:
        return LiveAnswers(assembly.teacher.to(device, memory_format=torch.channels_last), assembly.preprocessing)
    folder, classes = cache_folder(settings.cache) / "teacher", len(pictures.train.classes)
    rows = len(pictures.train) * settings.views.per_image
    cache = open_cache(folder, assembly, settings, pictures.fingerprint, rows, classes, announcer)
    if not cache.complete:
        teacher = assembly.teacher.to(device, memory_format=torch.channels_last)
        batch_size = settings.batch_size
        fill_cache(cache, teacher, assembly.preprocessing, dataset, batch_size, loader_settings, device, announcer)
    return CachedAnswers(cache)


def _step_tensors(batch: Batch, image: torch.Tensor, output: Any, answers: tuple[Any, dict[str, Any]]) -> StepTensors:
    teacher_logits, teacher_features = answers
    return StepTensors(
        image=image,
        thumbnail=output.thumbnail,
        label=batch.label,
        student_logits=output.logits,
        teacher_logits=teacher_logits,
        student_features=output.features,
        decoded_features=output.decoded,
        teacher_features=teacher_features,
    )


def _first_images(dataset: ViewDataset, order: EpochOrder, device: torch.device) -> torch.Tensor:
    keys = next(iter(order))
    return to_image(Batch(*map(torch.stack, zip(*(dataset[key] for key in keys), strict=True))), device)
