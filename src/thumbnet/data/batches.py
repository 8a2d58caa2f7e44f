"""Loaders: labelled pictures to batches of images.

Pixels travel as uint8 and become image values in [0, 1] where they are used. The order of an epoch is a pure function
of (seed, epoch), so training can stop and go on at any batch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from thumbnet.config import ViewSettings
from thumbnet.data.labelled import Label, Pictures
from thumbnet.data.mixed_views import MixedViews, mixed_levels
from thumbnet.data.pictures import read_picture
from thumbnet.data.preprocessing import Preprocessing, levels_to_values, working_view
from thumbnet.data.views import draw_view, view_transform
from thumbnet.errors import ConfigError, DataError, PictureError

ViewKey = tuple[int, int]


class LostPictureError(DataError):
    """A picture that could be read when the run began, and cannot any more.

    A reading process hands its error on to the training process as a text that holds the traceback, the message last.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.strip().splitlines()[-1].removeprefix(f"{__name__}.{type(self).__name__}: "))


class Batch(NamedTuple):
    """Pictures of one step.

    Attributes:
        pixels: RGB levels 0 to 255 at the working size.
        label: Class index `[batch]` (-1 where there is none), or a row of shares or of 0 and 1 `[batch, classes]`.
        row: Position of this view in the teacher cache, when there is one.
    """

    pixels: UInt8[Tensor, "batch 3 height width"]
    label: Int[Tensor, "batch"] | Float[Tensor, "batch classes"]
    row: Int[Tensor, "batch"]


class ViewDataset(Dataset[Batch]):
    """Training views by (picture, view number).

    Args:
        pictures: To draw views of.
        settings: How.
        preprocessing: Of the teacher.
        seed: The run's seed.
        mixed: Which fixed views are mixes; None where none is.
    """

    def __init__(
        self,
        pictures: Pictures,
        settings: ViewSettings,
        preprocessing: Preprocessing,
        seed: int,
        mixed: MixedViews | None = None,
    ) -> None:
        self.pictures = pictures
        self.fixed_views = settings.per_image
        self.transform: v2.Transform = view_transform(settings, preprocessing)
        self.seed = seed
        self.mixed = mixed

    def __getitem__(self, key: ViewKey) -> Batch:
        index, view = key
        item = to_item(self._draw(key), self.label(index, view), index * max(1, self.fixed_views) + view)
        found = self.mixed.partner(index, view) if self.mixed else None
        if found is None:
            return item
        other, mix = found
        return item._replace(pixels=mixed_levels(item.pixels, to_pixels(self._draw((other, view))), mix))

    def label(self, index: int, view: int) -> Label:
        """The label of a view; where some are mixes, a row of shares for every one."""
        return self.mixed.label(index, view) if self.mixed else self.pictures.labels[index]

    def _draw(self, key: ViewKey) -> Image.Image:
        index, view = key
        return draw_view(_read(self.pictures, index), self.transform, self.seed, self.pictures.names[index], view)


class StoredViewDataset(Dataset[Batch]):
    """The same views from pixels that were kept, with no picture read.

    Args:
        pixels: Array `[pictures × fixed_views, 3, side, side]` of uint8.
        label: The label of a picture's view, by their numbers; see `ViewDataset.label`.
        fixed_views: Views of each picture.
    """

    def __init__(
        self, pixels: UInt8[np.ndarray, "rows 3 side side"], label: Callable[[int, int], Label], fixed_views: int
    ) -> None:
        self.pixels = pixels
        self.label = label
        self.fixed_views = fixed_views

    def __getitem__(self, key: ViewKey) -> Batch:
        index, view = key
        row = index * self.fixed_views + view
        pixels = torch.from_numpy(np.array(self.pixels[row]))
        return Batch(pixels=pixels, label=torch.as_tensor(self.label(index, view)), row=torch.tensor(row))


class EvaluationDataset(Dataset[Batch]):
    """Each picture once, as evaluation sees it."""

    def __init__(self, pictures: Pictures, preprocessing: Preprocessing) -> None:
        self.pictures = pictures
        self.preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Batch:
        picture = working_view(_read(self.pictures, index), self.preprocessing)
        return to_item(picture, self.pictures.labels[index], index)


class EpochOrder(Sampler[list[ViewKey]]):
    """The batches of one epoch: every picture once, shuffled, in micro-batches of equal size.

    A last batch that is not full is left out, unless it is the only one. Set `epoch` and `start` (micro-batches to
    skip) before iterating. Of several processes, number `process` gets its part of each micro-batch; the order of all
    parts together does not depend on how many there are.

    Raises:
        ConfigError: If a micro-batch has fewer pictures than there are processes.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        micro_batches: int,
        fixed_views: int,
        seed: int,
        *,
        processes: int = 1,
        process: int = 0,
    ) -> None:
        self.size = size
        self.batch_size = min(batch_size, size)
        self.micro_batches = min(micro_batches, self.batch_size)
        self.fixed_views = fixed_views
        self.seed = seed
        self.processes = processes
        self.process = process
        self.epoch = 0
        self.start = 0
        smallest = self.batch_size // self.micro_batches
        if smallest < processes:
            parts = f"batches of {self.batch_size} in {self.micro_batches} parts leave none for some of {processes}"
            raise ConfigError(f"batch_size: {parts} processes; give a larger --batch-size or fewer processes")

    @property
    def batches(self) -> int:
        """Optimiser steps in an epoch."""
        return self.size // self.batch_size

    def __len__(self) -> int:
        return self.batches * self.micro_batches - self.start

    def __iter__(self) -> Iterator[list[ViewKey]]:
        random = np.random.default_rng([self.seed, self.epoch])
        order = random.permutation(self.size)
        offsets = np.random.default_rng([self.seed]).integers(0, 2**31, self.size)
        micro_batches = [
            part
            for batch in np.split(order[: self.batches * self.batch_size], self.batches)
            for part in np.array_split(batch, self.micro_batches)
        ]
        for part in micro_batches[self.start :]:
            # Fixed views take turns from a random start, so that an epoch mixes all of them.
            yield [
                (int(i), int((self.epoch + offsets[i]) % self.fixed_views) if self.fixed_views else self.epoch)
                for i in np.array_split(part, self.processes)[self.process]
            ]


def to_image(batch: Batch, device: torch.device) -> Float[Tensor, "batch 3 height width"]:
    """The pixels as image values in [0, 1], exactly `uint8 / 255`, on a device, channels last."""
    pixels = batch.pixels.to(device, non_blocking=True)
    return levels_to_values(pixels.float()).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, kw_only=True)
class LoaderSettings:
    """How many processes read pictures, and whether their memory is pinned for an accelerator."""

    workers: int
    pin_memory: bool = False


def training_loader(dataset: Dataset[Batch], order: Sampler[Any], settings: LoaderSettings) -> DataLoader[Batch]:
    """Batches of training views, in the order that `order` says."""
    return DataLoader(
        dataset,
        batch_sampler=order,
        num_workers=settings.workers,
        pin_memory=settings.pin_memory,
        persistent_workers=settings.workers > 0,
        worker_init_fn=_one_thread,
        generator=torch.Generator(),  # leaves the random state of training alone
    )


def every_view_loader(
    dataset: ViewDataset, first_row: int, batch_size: int, settings: LoaderSettings
) -> DataLoader[Batch]:
    """Every fixed view once, in the order of the teacher cache's rows, from `first_row` on."""
    rows = range(first_row, len(dataset.pictures) * dataset.fixed_views)
    keys = [divmod(row, dataset.fixed_views) for row in rows]
    return DataLoader(
        dataset,
        batch_sampler=[keys[i : i + batch_size] for i in range(0, len(keys), batch_size)],
        num_workers=settings.workers,
        pin_memory=settings.pin_memory,
        worker_init_fn=_one_thread,
        generator=torch.Generator(),  # leaves the random state of training alone
    )


def evaluation_loader(
    pictures: Pictures, preprocessing: Preprocessing, batch_size: int, settings: LoaderSettings
) -> DataLoader[Batch]:
    """Every picture once, in order."""
    return DataLoader(
        EvaluationDataset(pictures, preprocessing),
        batch_size=batch_size,
        num_workers=settings.workers,
        pin_memory=settings.pin_memory,
        worker_init_fn=_one_thread,
        generator=torch.Generator(),  # leaves the random state of training alone
    )


def _read(pictures: Pictures, index: int) -> Image.Image:
    file = pictures.files[index]
    try:
        return read_picture(file)
    except PictureError as error:
        place = pictures.names[index] if isinstance(file, bytes) else file
        changed = "it could be read when the run began; put it back, or start the run again"
        raise LostPictureError(f"data: {place}: {error}; {changed}") from error


def to_item(picture: Image.Image, label: Label, row: int) -> Batch:
    """One view, not yet in a batch."""
    return Batch(pixels=to_pixels(picture), label=torch.as_tensor(label), row=torch.tensor(row))


def to_pixels(picture: Image.Image) -> UInt8[Tensor, "3 height width"]:
    """The levels of a picture."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


def _one_thread(worker: int) -> None:
    # Workers beside a training process must not each start a thread a core.
    torch.set_num_threads(1)
