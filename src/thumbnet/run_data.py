"""The data of a run, opened and read once."""

import hashlib
from dataclasses import dataclass, replace

from thumbnet.config import TrainSettings
from thumbnet.data.datasets import Wanted
from thumbnet.data.inspection import inspect
from thumbnet.data.labelled import Pictures, Splits
from thumbnet.data.sources import open_data, training_split, wanted_by
from thumbnet.data.streaming import PictureStream, open_stream
from thumbnet.devices import cache_folder, reading_workers
from thumbnet.progress import Announcer


@dataclass(frozen=True, kw_only=True)
class OpenedPictures:
    """The data of a run, every picture of it read once.

    Attributes:
        train: Readable pictures to train on, or a stream of pictures.
        evaluation: Readable pictures held out.
        description: Where the latter come from.
        fingerprint: Of the training pictures.
        fingerprint_of_both: Of all.
        held_out: Fingerprint of the names of those held out, readable or not.
        unreadable: Split, picture and reason of each that was left out.
    """

    train: Pictures | PictureStream
    evaluation: Pictures
    description: str
    fingerprint: str
    fingerprint_of_both: str
    held_out: str
    unreadable: list[dict[str, str]]

    def in_classes(self, classes: tuple[str, ...]) -> "OpenedPictures":
        """The same with labels that count in the teacher's classes."""
        evaluation = self.evaluation.in_classes(classes, "the teacher's")
        return replace(self, train=self.train.in_classes(classes, "the teacher's"), evaluation=evaluation)


def open_pictures(settings: TrainSettings, announcer: Announcer) -> OpenedPictures:
    """Opens a run's data and reads every picture.

    Raises:
        DataError: If it is missing or malformed, or too many pictures cannot be read.
    """
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
    return OpenedPictures(
        train=train.readable,
        evaluation=held_out.readable,
        description=splits.description,
        fingerprint=train.fingerprint,
        fingerprint_of_both=hashlib.sha256(f"{train.fingerprint}{held_out.fingerprint}".encode()).hexdigest(),
        held_out=splits.evaluation.fingerprint_of_names,
        unreadable=unreadable,
    )


def _open_stream(settings: TrainSettings, splits: Splits, wanted: Wanted, announcer: Announcer) -> OpenedPictures:
    """The same for pictures to train on that are read in passing: what they hold is found out on the way."""
    memory = cache_folder(settings.cache) / "inspections"
    workers = max(1, reading_workers(settings.workers))
    held_out = inspect(splits.evaluation, settings.allow_unreadable, memory, announcer.track, workers)
    stream = open_stream(settings.data, held_out.readable, wanted)
    counts = f"a stream to train on, {len(held_out.readable):,} to evaluate on"
    announcer.say(f"data: {settings.data}, {counts}, {len(stream.classes)} classes ({splits.description})")
    return OpenedPictures(
        train=stream,
        evaluation=held_out.readable.in_classes(stream.classes, f"the classes of {settings.data}"),
        description=splits.description,
        fingerprint=stream.fingerprint,
        fingerprint_of_both=hashlib.sha256(f"{stream.fingerprint}{held_out.fingerprint}".encode()).hexdigest(),
        held_out=splits.evaluation.fingerprint_of_names,
        unreadable=[{"split": "evaluation", "picture": name, "reason": reason} for name, reason in held_out.unreadable],
    )
