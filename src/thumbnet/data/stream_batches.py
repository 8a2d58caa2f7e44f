"""Batches of a stream: which rows each holds, and the views of their pictures.

A batch is a pure function of (seed, epoch, its number), so training can stop and go on at any batch. Rows are read in
the process that trains and decoded where the loader's workers are; memory holds a few batches whatever the data's size.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch.utils.data import Dataset, Sampler
from torchvision.transforms import v2

from thumbnet.config import TrainSettings, ViewSettings
from thumbnet.data.batches import Batch, EpochOrder, LostPictureError, ViewDataset, to_item
from thumbnet.data.labelled import Pictures
from thumbnet.data.mixed_views import MixedViews
from thumbnet.data.pictures import read_picture
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.data.streaming import PictureStream, StreamedPicture
from thumbnet.data.views import draw_view, view_transform
from thumbnet.errors import DataError, PictureError

REPLACED = -1


class StreamOrder(Sampler[list[StreamedPicture]]):
    """The batches of one epoch, each from where the last one ended, in micro-batches of equal size.

    Set `epoch` and `start` (micro-batches to skip) before iterating, as with `EpochOrder`.

    Args:
        stream: The pictures.
        batch_size: Pictures of an optimiser step, over all processes.
        micro_batches: Slices of a batch.
        batches: Optimiser steps in an epoch.
        seed: The run's.
        process: Which of the processes this is; each takes its share of every micro-batch.
        processes: How many there are.
    """

    def __init__(
        self,
        stream: PictureStream,
        batch_size: int,
        micro_batches: int,
        batches: int,
        seed: int,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.stream = stream
        self.batches = batches
        self.micro_batches = micro_batches
        self.micro_batch_size = batch_size // micro_batches
        self.seed = seed
        self.process, self.processes = process, processes
        self.epoch = 0
        self.start = 0
        self._rows: Iterator[tuple[int, dict[str, object]]] = iter(())
        self._next: int | None = None  # micro-batch that `_rows` has come to
        self._on_their_way: deque[list[StreamedPicture]] = deque()
        self._counted = 0
        self._unreadable: dict[str, str] = {}

    def __len__(self) -> int:
        return self.batches * self.micro_batches - self.start

    def __iter__(self) -> Iterator[list[StreamedPicture]]:
        first = self.epoch * self.batches * self.micro_batches + self.start
        if self._next != first:
            self._rows = self.stream.rows_from(first * self.micro_batch_size, self.seed)
        self._on_their_way.clear()
        for number in range(first, first + len(self)):
            rows = list(islice(self._rows, self.micro_batch_size))
            self._next = number + 1
            keys = [self.stream.picture(row, view) for view, row in rows[self.process :: self.processes]]
            self._on_their_way.append(keys)
            yield keys

    def watch(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        """The batches of a loader in this order, with a note of every picture that could not be read."""
        for batch in loader:
            for key, place in zip(self._on_their_way.popleft(), batch.row.tolist(), strict=True):
                self._counted += 1
                if place == REPLACED:
                    self._unreadable[key.name] = _reason(key)
            yield batch

    def take_unreadable(self, allowed: float) -> dict[str, str]:
        """Name and reason of each unreadable picture since the last call.

        Raises:
            DataError: If they are more than the allowed share.
        """
        found, counted = self._unreadable, self._counted
        self._unreadable, self._counted = {}, 0
        if len(found) > allowed * counted:
            name, reason = next(iter(found.items()))
            share = f"{len(found)} of {counted} pictures ({len(found) / counted:.1%}) cannot be used"
            advice = f"mend the data, or give --allow-unreadable {min(1.0, len(found) / counted + 0.001):.3f}"
            raise DataError(f"data: {share}, such as {name}: {reason}; {advice}")
        return found


class StreamViews(Dataset[Batch]):
    """Training views of streamed pictures.

    A picture that cannot be read is replaced by another of its micro-batch, so that every batch is as large as it was.
    """

    def __init__(self, settings: ViewSettings, preprocessing: Preprocessing, seed: int) -> None:
        self.transform: v2.Transform = view_transform(settings, preprocessing)
        self.seed = seed

    def __getitems__(self, keys: list[StreamedPicture]) -> list[Batch]:
        """The views of one micro-batch.

        Raises:
            LostPictureError: If none of its pictures can be read.
        """
        drawn = [self._draw(key) for key in keys]
        readable = [item for item in drawn if item is not None]
        if not readable:
            problem = f"data: none of {len(keys)} pictures in a row can be used, such as {keys[0].name}"
            raise LostPictureError(f"{problem}: {_reason(keys[0])}; mend the data")
        stand_ins = (readable[i % len(readable)]._replace(row=torch.tensor(REPLACED)) for i in range(len(keys)))
        return [next(stand_ins) if item is None else item for item in drawn]

    def _draw(self, key: StreamedPicture) -> Batch | None:
        if isinstance(key.label, str):
            return None
        try:
            picture = read_picture(key.file)
        except PictureError:
            return None
        return to_item(draw_view(picture, self.transform, self.seed, key.name, key.view), key.label, 0)


def training_order(
    train: Pictures | PictureStream, settings: TrainSettings, process: int = 0, processes: int = 1
) -> EpochOrder | StreamOrder:
    """Which pictures each batch of a run has, and which of these are this process's."""
    place = {"process": process, "processes": processes}
    batch_size, micro_batches = settings.batch_size, settings.optimizer.accumulation_steps
    if isinstance(train, PictureStream):
        return StreamOrder(train, batch_size, micro_batches, settings.steps_per_epoch or 1, settings.seed, **place)
    return EpochOrder(len(train), batch_size, micro_batches, settings.views.per_image, settings.seed, **place)


def training_views(
    train: Pictures | PictureStream, settings: TrainSettings, preprocessing: Preprocessing
) -> ViewDataset | StreamViews:
    """The views that those batches are made of."""
    if isinstance(train, PictureStream):
        return StreamViews(settings.views, preprocessing, settings.seed)
    mixed = None
    if settings.mix.mixed_views:
        side = preprocessing.image_side
        mixed = MixedViews(train, settings.mix, settings.views.per_image, side, settings.seed)
    return ViewDataset(train, settings.views, preprocessing, settings.seed, mixed)


def _reason(key: StreamedPicture) -> str:
    if isinstance(key.label, str):
        return key.label
    try:
        read_picture(key.file)
    except PictureError as error:
        return str(error)
    return "it could not be read when it was needed"
