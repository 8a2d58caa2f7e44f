"""The training loop. It runs an objective over batches and keeps what is needed to go on after a stop.

Knows no loss by name and no network by kind; `training` decides what is trained and what becomes of it. Each process
runs it on its part of every batch; what is summed over all of them is the same in each.
"""

import math
import time
from functools import partial

import torch

from thumbnet import processes
from thumbnet.accuracy import HEADLINES, headline, logits_of
from thumbnet.compilation import compiler_errors
from thumbnet.data.batches import Batch, to_image
from thumbnet.data.mixing import BatchChange, draw_flips, flip
from thumbnet.data.stream_batches import StreamOrder
from thumbnet.networks.pair import Pair
from thumbnet.objective import StepTensors, check_finite
from thumbnet.optimization import averaged
from thumbnet.preparation import Loop, Plan, prepare_loop
from thumbnet.progress import StepBar, format_losses


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
    for tracker in loop.accelerator.trackers:
        tracker.finish()
    return averaged(state.average, state.pair).eval()


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
        if position.micro_batches % loop.order.micro_batches:
            continue
        _step(loop)
        position.step += 1
        position.lr = float(loop.state.schedule.get_last_lr()[-1])
        loop.state.schedule.step()
        if not settings.sync_batchnorm:
            for part in loop.state.pair.trained_parts:
                processes.average_buffers(part)
        if loop.state.average is not None:
            loop.state.average.update(loop.state.pair, step=position.step)
        bar.update(position.step, losses)
        now = time.monotonic()
        position.seconds, counted = position.seconds + now - counted, now
        if now - saved > 60 * settings.checkpoint_minutes:
            _save(loop)
            saved = time.monotonic()


def _train_micro_batch(loop: Loop, batch: Batch) -> dict[str, float]:
    """Forward, losses, backward; the losses of the micro-batch of all processes by name."""
    accelerator = loop.accelerator
    position, settings = loop.state.position, loop.plan.settings
    image, label = to_image(batch, loop.device), batch.label.to(loop.device)
    flipped = draw_flips(batch.row, settings.seed, position.epoch) if settings.views.cached_flips else None
    image = flip(image, flipped)
    mix = loop.mix.draw(image, position.epoch, position.micro_batches)
    image, label = loop.mix(image, label, mix)
    # Parts may differ in size: weighted so, their losses and gradients sum to those of the whole.
    whole = processes.total(len(image))
    share = len(image) / whole
    compress = partial(loop.codec_noise, epoch=position.epoch, micro_batch=position.micro_batches, whole=int(whole))
    with compiler_errors():
        with accelerator.autocast():
            teacher_logits, teacher_features = loop.teacher_outputs(batch, image, BatchChange(flipped=flipped, mix=mix))
        output = loop.model(image, compress)
        total, losses = loop.plan.objective(
            StepTensors(
                image=image,
                thumbnail=output.thumbnail,
                label=label,
                student_logits=output.logits,
                other_logits=output.other_logits,
                detail=output.detail,
                teacher_logits=teacher_logits,
                student_features=output.features,
                decoded_features=output.decoded,
                teacher_features=teacher_features,
                teacher_variances=processes.variances(teacher_features),
            )
        )
        values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
        values = processes.totals(values, share)
        check_finite(values, position.step)
        accelerator.backward(total * share)
    return values


def _step(loop: Loop) -> None:
    """The optimiser's step at the end of a batch, on the gradient of the whole batch."""
    optimizer, parameters = loop.state.optimizer, list(loop.state.pair.parameters())
    processes.sum_gradients(parameters)
    limit = loop.plan.settings.optimizer.clip_grad_norm or math.inf
    norm = loop.accelerator.clip_grad_norm_(parameters, limit)
    check_finite({"gradient norm": float(norm)}, loop.state.position.step)
    optimizer.step()
    optimizer.zero_grad()


def finish_epoch(loop: Loop) -> None:
    """Evaluates where it is due, logs, and writes the checkpoint of the epoch."""
    plan, position = loop.plan, loop.state.position
    if isinstance(loop.order, StreamOrder):
        _list_unreadable(plan, loop.order)
    due = (position.epoch + 1) % plan.settings.evaluate_every == 0 or position.epoch + 1 == plan.settings.epochs
    measured = _measure(loop) if due else {}
    losses = {name: total / position.micro_batches for name, total in position.loss_sums.items()}
    record = {"epoch": position.epoch + 1, "step": position.step, **losses, **measured}
    if processes.is_main():
        plan.run.append_metrics({**record, "lr": position.lr, "seconds": round(position.seconds, 2)})
    loop.accelerator.log(record, step=position.step)
    counted = f"epoch {position.epoch + 1}/{plan.settings.epochs}"
    shares = "".join(f"  {metric} {share:.2%}" for metric, share in measured.items())
    plan.announcer.say(f"{counted}  {format_losses(losses)}{shares}  {position.seconds:.0f} s")
    position.start_next_epoch()
    _save(loop)


def _measure(loop: Loop) -> dict[str, float]:
    """The one number by which networks are compared, of the networks as they would ship now, by its name."""
    state, pictures = loop.state, loop.plan.evaluation
    logits, labels = logits_of(averaged(state.average, state.pair), loop.evaluation_loader, loop.device, shared=True)
    return {HEADLINES[pictures.kind]: headline(logits, labels, pictures.classes, pictures.kind)}


def _list_unreadable(plan: Plan, order: StreamOrder) -> None:
    """Names the streamed pictures of this epoch that could not be used: the main process's share of them."""
    found = order.take_unreadable(plan.settings.allow_unreadable)
    if processes.is_main():
        plan.run.write_unreadable([{"split": "train", "picture": name, "reason": found[name]} for name in found])
    for name, reason in found.items():
        plan.announcer.warn(f"left out {name}: {reason}")


def _save(loop: Loop) -> None:
    if processes.is_main():
        loop.state.save(loop.plan.run.checkpoint)
        loop.plan.run.forget_replaced()
