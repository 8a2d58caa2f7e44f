"""What a training run is made of, and how it is made ready: networks on their device, batches, the teacher's word.

Takes over the last checkpoint where there is one. Knows nothing of steps and epochs; `loop` does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader

from thumbnet import processes
from thumbnet.checkpoint import Position, TrainingState
from thumbnet.compilation import compile_pair, compile_teacher
from thumbnet.config import TrainSettings
from thumbnet.data.batches import (
    Batch,
    EpochOrder,
    LoaderSettings,
    StoredViewDataset,
    ViewDataset,
    evaluation_loader,
    to_image,
    training_loader,
)
from thumbnet.data.labelled import Pictures
from thumbnet.data.mixing import BatchMix
from thumbnet.data.stream_batches import StreamOrder, training_order, training_views
from thumbnet.data.streaming import PictureStream
from thumbnet.data.teacher_cache import TeacherCache
from thumbnet.detail_start import start_detail
from thumbnet.devices import (
    cache_folder,
    choose_device,
    keep_freed_memory,
    make_accelerator,
    mixed_precision_for,
    reading_workers,
)
from thumbnet.errors import CheckpointError, StorageError
from thumbnet.networks.assembly import Assembly
from thumbnet.networks.codec_noise import CodecNoise
from thumbnet.networks.downscaler import PaperDownscaler
from thumbnet.networks.pair import Pair
from thumbnet.networks.processor_layers import fit_to_processor, gains_on_processor
from thumbnet.networks.synchronised_norm import synchronise, view_of
from thumbnet.objective import Objective
from thumbnet.optimization import build_average, build_optimizer, build_schedule
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder
from thumbnet.teacher_outputs import (
    TEACHER_CACHES,
    CachedTeacher,
    LiveTeacher,
    NoTeacher,
    TeacherOutputs,
    fill_cache,
    labelled_by_teacher,
    open_cache,
)

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
        accelerator: Precision, backward passes, clipping, trackers.
        order: The batches of the epoch.
        loader: Training batches in that order, this process's part of each.
        evaluation_loader: This process's part of the held-out pictures.
        mix: Mixes pictures and labels of a batch, where that is asked for.
        codec_noise: Compresses thumbnails on their way to S, where that is asked for.
        teacher_outputs: The teacher's word on a batch.
        model: E and S as they are trained: the pair, or a view of it with synchronised batch norm or compiled.
        state: All that a checkpoint holds.
    """

    plan: Plan
    device: torch.device
    accelerator: Accelerator
    order: EpochOrder | StreamOrder
    loader: DataLoader[Batch]
    evaluation_loader: DataLoader[Batch]
    mix: BatchMix
    codec_noise: CodecNoise
    teacher_outputs: TeacherOutputs
    model: nn.Module
    state: TrainingState


def prepare_loop(plan: Plan) -> Loop:
    """Moves the networks to the device, fills the teacher cache, and takes over the last checkpoint if there is one."""
    settings = plan.settings
    device = choose_device(settings.device)
    if device.type == "cpu":
        keep_freed_memory()
    accelerator = make_accelerator(device, settings.optimizer, settings.tracker, plan.run.path)
    reading = LoaderSettings(workers=reading_workers(settings.workers), pin_memory=device.type == "cuda")
    order = training_order(plan.train, settings, processes.rank(), processes.count())
    loader, teacher_outputs = _batches_and_teacher(plan, order, reading, device)
    # Filling a cache must not change what training draws from here on. Dropout differs from process to process.
    set_seed(settings.seed + processes.rank())
    state = _starting_state(plan, order, loader, device)
    _take_over(plan, state)
    held_out = plan.evaluation.select(list(processes.share_of(len(plan.evaluation))))
    batch_size = -(-settings.batch_size // processes.count())
    if held_out.kind == "none":
        teacher = LiveTeacher(_on_device(plan.assembly.teacher, device), plan.assembly.preprocessing)
        loader_of = evaluation_loader(held_out, plan.assembly.preprocessing, batch_size, reading)
        held_out = labelled_by_teacher(held_out, teacher, loader_of, device, plan.announcer)
    return Loop(
        plan=plan,
        device=device,
        accelerator=accelerator,
        order=order,
        loader=loader,
        evaluation_loader=evaluation_loader(held_out, plan.assembly.preprocessing, batch_size, reading),
        mix=BatchMix(settings.mix, len(plan.evaluation.classes), plan.evaluation.kind, settings.seed),
        codec_noise=CodecNoise(settings.thumbnail, settings.seed, processes.rank(), processes.count()),
        teacher_outputs=teacher_outputs,
        # Gradients are summed by `processes`: Accelerate must not wrap the model for that.
        model=accelerator.prepare_model(_trained_view(state.pair, settings, device), evaluation_mode=True),
        state=state,
    )


def _starting_state(
    plan: Plan, order: EpochOrder | StreamOrder, loader: DataLoader[Batch], device: torch.device
) -> TrainingState:
    settings = plan.settings
    pair = _on_device(plan.assembly.pair, device)
    chosen = plan.assembly.downscaler
    if isinstance(pair.downscaler, PaperDownscaler) and chosen.start != "random" and chosen.weights is None:
        # The whole first batch, so that every process begins with the same network.
        dataset = training_views(plan.train, settings, plan.assembly.preprocessing)
        whole = training_loader(dataset, training_order(plan.train, settings), LoaderSettings(workers=0))
        pair.downscaler.calibrate(to_image(next(iter(whole)), device))
    started = settings.student.detail_decoder or chosen.start == "detail"
    if started and settings.student.detail_steps and not plan.run.checkpoint.exists():
        _start_detail(plan, pair, loader, device)
    optimizer = build_optimizer(pair, settings.optimizer, settings.peak_lr)
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


def _start_detail(plan: Plan, pair: Pair, loader: DataLoader[Batch], device: torch.device) -> None:
    """The same whole batches in every process, so that all begin with the same networks."""
    settings = plan.settings
    order = training_order(plan.train, settings)
    whole = training_loader(loader.dataset, order, LoaderSettings(workers=loader.num_workers))

    def images() -> Iterator[Tensor]:
        for epoch in count():
            order.epoch, order.start = epoch, 0
            for batch in whole:
                yield to_image(batch, device)

    noise, steps = CodecNoise(settings.thumbnail, settings.seed), settings.student.detail_steps
    before = plan.assembly.first_layers
    start_detail(pair, before, images(), steps, settings.ratio, settings.loss, noise, plan.announcer)
    processes.average_weights(pair)  # devices may have rounded in other ways


def _take_over(plan: Plan, state: TrainingState) -> None:
    """Goes on from the last checkpoint if there is one, with however many processes it was written by."""
    found = plan.run.checkpoint.exists()
    if processes.total(found) != found * processes.count():
        raise CheckpointError(
            f"{plan.run.checkpoint} is not there for every process; use an --output that all can read"
        )
    if not found:
        return
    state.restore(plan.run.checkpoint)
    if not processes.is_main():
        # The random state in the checkpoint is the main process's.
        set_seed(hash((plan.settings.seed, processes.rank(), state.position.step)) % 2**32)
    plan.announcer.say(f"resuming after epoch {state.position.epoch}, step {state.position.step}")


def _trained_view(pair: Pair, settings: TrainSettings, device: torch.device) -> Pair:
    """The pair, or modules around its weights that synchronise batch norm, are compiled or fitted to a processor."""
    synchronised = processes.several() and settings.sync_batchnorm
    fitted = device.type == "cpu" and gains_on_processor(pair)
    if not (synchronised or fitted or settings.compile):
        return pair
    view = view_of(pair)
    if fitted:
        view = fit_to_processor(view)
    if synchronised:
        view = synchronise(view, device)
    if settings.compile:
        compile_pair(view)
    return view


def _batches_and_teacher(
    plan: Plan, order: EpochOrder | StreamOrder, reading: LoaderSettings, device: torch.device
) -> tuple[DataLoader[Batch], TeacherOutputs]:
    """The training batches, and the teacher's word on them: none, live, or from the cache."""
    settings, assembly = plan.settings, plan.assembly
    dataset = training_views(plan.train, settings, assembly.preprocessing)
    loader = training_loader(dataset, order, reading)
    if not plan.objective.needs_teacher:
        return loader, NoTeacher()
    if not isinstance(dataset, ViewDataset) or not settings.views.per_image:
        teacher = _on_device(assembly.teacher, device)
        if settings.compile:
            compile_teacher(teacher)
        return loader, LiveTeacher(teacher, assembly.preprocessing)
    with processes.main_first():
        cache = _filled_cache(plan, dataset, reading, device)
    if cache.pixels is not None:
        stored = StoredViewDataset(cache.pixels, dataset.label, settings.views.per_image)
        loader = training_loader(stored, order, replace(reading, workers=0))
    if settings.mix.in_batches:
        plan.announcer.say("mix: what the teacher says of a mix is taken as the mix of its cached answers")
    return loader, CachedTeacher(cache, settings.loss.temperature, settings.multilabel)


def _filled_cache(plan: Plan, dataset: ViewDataset, reading: LoaderSettings, device: torch.device) -> TeacherCache:
    """The complete teacher cache; the main process fills it."""
    settings, assembly = plan.settings, plan.assembly
    folder, classes = cache_folder(settings.cache) / TEACHER_CACHES, len(plan.train.classes)
    rows = len(dataset.pictures) * settings.views.per_image
    precision = mixed_precision_for(settings.optimizer, device)
    cache = open_cache(folder, assembly, settings, plan.fingerprint, precision, rows, classes, plan.announcer)
    if not cache.complete and not processes.is_main():
        raise StorageError(f"{cache.folder} is not there for every process; use a --cache.folder that all can read")
    if not cache.complete:
        teacher, batch_size = _on_device(assembly.teacher, device), settings.batch_size
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            fill_cache(cache, teacher, assembly.preprocessing, dataset, batch_size, reading, device, plan.announcer)
    return cache


def _on_device(network: Network, device: torch.device) -> Network:
    """Moves a network, its convolutions in channels-last order."""
    return network.to(device).to(memory_format=torch.channels_last)
