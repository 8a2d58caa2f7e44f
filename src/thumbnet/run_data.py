"""The data of a run, opened and read once."""

import hashlib
from dataclasses import dataclass, replace

from thumbnet.config import TrainSettings
from thumbnet.data.inspection import inspect
from thumbnet.data.labelled import Pictures
from thumbnet.data.sources import open_data, training_split, wanted_by
from thumbnet.devices import cache_folder, reading_workers
from thumbnet.progress import Announcer


@dataclass(frozen=True, kw_only=True)
class OpenedPictures:
    """The data of a run, every picture of it read once.

    Attributes:
        train: Readable pictures to train on.
        evaluation: Readable pictures held out.
        description: Where the latter come from.
        fingerprint: Of the training pictures.
        fingerprint_of_both: Of all.
        unreadable: Split, picture and reason of each that was left out.
    """

    train: Pictures
    evaluation: Pictures
    description: str
    fingerprint: str
    fingerprint_of_both: str
    unreadable: list[dict[str, str]]

    def in_classes(self, classes: tuple[str, ...]) -> "OpenedPictures":
        """The same with labels that count in the teacher's classes."""
        train, evaluation = (part.in_classes(classes, "the teacher's") for part in (self.train, self.evaluation))
        return replace(self, train=train, evaluation=evaluation)


def open_pictures(settings: TrainSettings, announcer: Announcer) -> OpenedPictures:
    """Opens a run's data and reads every picture.

    Raises:
        DataError: If it is missing or malformed, or too many pictures cannot be read.
    """
    wanted = wanted_by(settings, cache_folder(settings.cache) / "datasets")
    opened = open_data(settings.data, settings.holdout, settings.evaluation_data, wanted)
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
        unreadable=unreadable,
    )
