"""The training loop. It runs an objective over batches and keeps what is needed to go on after a stop.

Knows no loss by name and no network by kind; `training` decides what is trained and what becomes of it.
"""

import math
import time
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from timm.utils import ModelEmaV3
from torch import nn
from torch.utils.data import DataLoader

from thumbnet.accuracy import HEADLINES, headline, logits_of
from thumbnet.checkpoint import Position, TrainingState
from thumbnet.config import TrainSettings
from thumbnet.data.batches import (
    Batch,
    EpochOrder,
    LoaderSettings,
    StoredViewDataset,
    evaluation_loader,
    to_image,
    training_loader,
)
from thumbnet.data.labelled import Pictures
from thumbnet.data.stream_batches import StreamOrder, StreamViews, training_order, training_views
from thumbnet.data.streaming import PictureStream
from thumbnet.devices import (
    cache_folder,
    choose_device,
    keep_freed_memory,
    make_accelerator,
    mixed_precision_for,
    reading_workers,
)
from thumbnet.networks.assembly import Assembly
from thumbnet.networks.downscaler import PaperDownscaler
from thumbnet.networks.pair import Pair
from thumbnet.objective import Objective, StepTensors, check_finite
from thumbnet.optimization import averaged, build_average, build_optimizer, build_schedule
from thumbnet.progress import Announcer, StepBar, format_losses
from thumbnet.run_folder import RunFolder
from thumbnet.teacher_outputs import CachedTeacher, LiveTeacher, NoTeacher, TeacherOutputs, fill_cache, open_cache

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a training run is made of.

    Attributes:
        settings: All of them.
        run: Where it is kept.
        train: Readable pictures to train on, or a stream of pictures.
        evaluation: Readable pictures held out.
        fingerprint: Of the training pictures.
        assembly: The networks.
        objective: What is minimised.
        announcer: Shows progress.
    """

    settings: TrainSettings
    run: RunFolder
    train: Pictures | PictureStream
    evaluation: Pictures
    fingerprint: str
    assembly: Assembly
    objective: Objective
    announcer: Announcer


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A plan made ready to run: everything that one step needs.

    Attributes:
        plan: What it was made from.
        device: Where it computes.
        accelerator: Backward passes, accumulation, clipping.
        order: The batches of the epoch.
        loader: Training batches in that order.
        evaluation_loader: The held-out pictures.
        teacher_outputs: The teacher's word on a batch.
        model: E and S as Accelerate wraps them.
        state: All that a checkpoint holds.
    """

    plan: Plan
    device: torch.device
    accelerator: Accelerator
    order: EpochOrder | StreamOrder
    loader: DataLoader[Batch]
    evaluation_loader: DataLoader[Batch]
    teacher_outputs: TeacherOutputs
    model: nn.Module
    state: TrainingState


def run_loop(plan: Plan) -> Pair:
    """Trains from the start, or from the last checkpoint in the run folder.

    Args:
        plan: What to train, on what, towards what.

    Returns:
        The averaged networks, in eval mode.

    Raises:
        TrainingError: If a loss is no longer finite; the last checkpoint stays as it was.
        StorageError: If the disk is full.
    """
    loop = prepare_loop(plan)
    state, position = loop.state, loop.state.position
    with plan.announcer.steps(plan.settings.epochs * loop.order.batches, "training") as bar:
        while position.epoch < plan.settings.epochs:
            train_epoch(loop, bar)
            finish_epoch(loop)
    loop.accelerator.end_training()
    return averaged(state.average, state.pair).eval()


def prepare_loop(plan: Plan) -> Loop:
    """Moves the networks to the device, fills the teacher cache, and takes over the last checkpoint if there is one."""
    settings = plan.settings
    device = choose_device(settings.device)
    if device.type == "cpu":
        keep_freed_memory()
    accelerator = make_accelerator(device, settings.optimizer, settings.tracker, plan.run.path)
    reading = LoaderSettings(workers=reading_workers(settings.workers), pin_memory=device.type == "cuda")
    order = training_order(plan.train, settings)
    loader, teacher_outputs = _batches_and_teacher(plan, order, reading, device)
    # Filling a cache must not change what training draws from here on.
    set_seed(settings.seed)
    state = _starting_state(plan, order, device)
    if plan.run.checkpoint.exists():
        state.restore(plan.run.checkpoint)
        plan.announcer.say(f"resuming after epoch {state.position.epoch}, step {state.position.step}")
    preprocessing, batch_size = plan.assembly.preprocessing, settings.batch_size
    model, _, loader = accelerator.prepare(state.pair, state.optimizer, loader)
    return Loop(
        plan=plan,
        device=device,
        accelerator=accelerator,
        order=order,
        loader=loader,
        evaluation_loader=evaluation_loader(plan.evaluation, preprocessing, batch_size, reading),
        teacher_outputs=teacher_outputs,
        model=model,
        state=state,
    )


def train_epoch(loop: Loop, bar: StepBar) -> None:
    """Trains to the end of the current epoch, from wherever it was stopped."""
    position, settings = loop.state.position, loop.plan.settings
    loop.order.epoch, loop.order.start = position.epoch, position.micro_batches
    counted = saved = time.monotonic()
    loop.model.train()
    batches = loop.order.watch(loop.loader) if isinstance(loop.order, StreamOrder) else loop.loader
    for batch in batches:
        losses = _train_micro_batch(loop, batch)
        position.micro_batches += 1
        for name, value in losses.items():
            position.loss_sums[name] = position.loss_sums.get(name, 0.0) + value
        if not loop.accelerator.sync_gradients:
            continue
        position.step += 1
        position.lr = float(loop.state.schedule.get_last_lr()[-1])
        loop.state.schedule.step()
        if loop.state.average is not None:
            loop.state.average.update(loop.state.pair, step=position.step)
        bar.update(position.step, losses)
        now = time.monotonic()
        position.seconds, counted = position.seconds + now - counted, now
        if now - saved > 60 * settings.checkpoint_minutes:
            loop.state.save(loop.plan.run.checkpoint)
            saved = time.monotonic()


def _train_micro_batch(loop: Loop, batch: Batch) -> dict[str, float]:
    """Forward, losses, backward; and, where a batch is complete, the optimiser's step."""
    accelerator, optimizer = loop.accelerator, loop.state.optimizer
    with accelerator.accumulate(loop.model):
        image = to_image(batch, loop.device)
        with accelerator.autocast():
            teacher_logits, teacher_features = loop.teacher_outputs(batch, image)
        output = loop.model(image)
        total, losses = loop.plan.objective(
            StepTensors(
                image=image,
                thumbnail=output.thumbnail,
                label=batch.label,
                student_logits=output.logits,
                teacher_logits=teacher_logits,
                student_features=output.features,
                decoded_features=output.decoded,
                teacher_features=teacher_features,
            )
        )
        values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
        check_finite(values, loop.state.position.step)
        accelerator.backward(total)
        if accelerator.sync_gradients:
            limit = loop.plan.settings.optimizer.clip_grad_norm or math.inf
            norm = accelerator.clip_grad_norm_(loop.model.parameters(), limit)
            check_finite({"gradient norm": float(norm)}, loop.state.position.step)
            optimizer.step()
            optimizer.zero_grad()
    return values


def finish_epoch(loop: Loop) -> None:
    """Evaluates, logs, and writes the checkpoint of the epoch."""
    plan, state, position = loop.plan, loop.state, loop.state.position
    if isinstance(loop.order, StreamOrder):
        _list_unreadable(plan, loop.order)
    logits, labels = logits_of(averaged(state.average, state.pair), loop.evaluation_loader, loop.device)
    metric = HEADLINES[plan.evaluation.kind]
    share = headline(logits, labels, plan.evaluation.classes, plan.evaluation.kind)
    losses = {name: total / position.micro_batches for name, total in position.loss_sums.items()}
    record = {"epoch": position.epoch + 1, "step": position.step, **losses, metric: share}
    plan.run.append_metrics({**record, "lr": position.lr, "seconds": round(position.seconds, 2)})
    loop.accelerator.log(record, step=position.step)
    counted = f"epoch {position.epoch + 1}/{plan.settings.epochs}"
    plan.announcer.say(f"{counted}  {format_losses(losses)}  {metric} {share:.2%}  {position.seconds:.0f} s")
    position.start_next_epoch()
    state.save(plan.run.checkpoint)


def _list_unreadable(plan: Plan, order: StreamOrder) -> None:
    """Names the streamed pictures of this epoch that could not be used."""
    found = order.take_unreadable(plan.settings.allow_unreadable)
    plan.run.write_unreadable([{"split": "train", "picture": name, "reason": found[name]} for name in found])
    for name, reason in found.items():
        plan.announcer.warn(f"left out {name}: {reason}")


def _starting_state(plan: Plan, order: EpochOrder | StreamOrder, device: torch.device) -> TrainingState:
    settings = plan.settings
    pair = _on_device(plan.assembly.pair, device)
    if isinstance(pair.downscaler, PaperDownscaler):
        dataset = training_views(plan.train, settings, plan.assembly.preprocessing)
        first = next(iter(training_loader(dataset, order, LoaderSettings(workers=0))))
        pair.downscaler.calibrate(to_image(first, device))
    optimizer = build_optimizer(pair, settings.optimizer, settings.lr)
    average: ModelEmaV3 | None = None
    if settings.optimizer.ema_decay:
        average = build_average(pair, settings.optimizer.ema_decay)
    return TrainingState(
        pair=pair,
        average=average,
        optimizer=optimizer,
        schedule=build_schedule(optimizer, settings.epochs * order.batches, settings.optimizer.warmup_share),
        position=Position(),
    )


def _batches_and_teacher(
    plan: Plan, order: EpochOrder | StreamOrder, reading: LoaderSettings, device: torch.device
) -> tuple[DataLoader[Batch], TeacherOutputs]:
    """The training batches, and the teacher's word on them: none, live, or from the cache."""
    settings, assembly = plan.settings, plan.assembly
    dataset = training_views(plan.train, settings, assembly.preprocessing)
    loader = training_loader(dataset, order, reading)
    if not plan.objective.needs_teacher:
        return loader, NoTeacher()
    if not settings.views.per_image or isinstance(plan.train, PictureStream) or isinstance(dataset, StreamViews):
        return loader, LiveTeacher(_on_device(assembly.teacher, device), assembly.preprocessing)
    folder, classes = cache_folder(settings.cache) / "teacher", len(plan.train.classes)
    rows = len(plan.train) * settings.views.per_image
    precision = mixed_precision_for(settings.optimizer, device)
    cache = open_cache(folder, assembly, settings, plan.fingerprint, precision, rows, classes, plan.announcer)
    if not cache.complete:
        teacher, batch_size = _on_device(assembly.teacher, device), settings.batch_size
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            fill_cache(cache, teacher, assembly.preprocessing, dataset, batch_size, reading, device, plan.announcer)
    if cache.pixels is not None:
        stored = StoredViewDataset(cache.pixels, plan.train.labels, settings.views.per_image)
        loader = training_loader(stored, order, replace(reading, workers=0))
    return loader, CachedTeacher(cache)


def _on_device(network: Network, device: torch.device) -> Network:
    """Moves a network, its convolutions in channels-last order."""
    return network.to(device).to(memory_format=torch.channels_last)
