"""`--measure`: how well the student reads the thumbnails that an archive holds, as they are stored."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from thumbnet.bundle import ThumbNet
from thumbnet.data.preprocessing import picture_to_image
from thumbnet.progress import Announcer
from thumbnet.thumbnail_codec import decode
from thumbnet.thumbnails.archive_folder import ArchiveFolder
from thumbnet.thumbnails.containers import outputs

MOST_PICTURES = 4096
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The student's accuracy on stored thumbnails.

    Attributes:
        top1: Share of them whose most likely class is their label.
        pictures: How many were read, from all over the archive.
        labelled: How many thumbnails there are whose label the student knows.
    """

    top1: float
    pictures: int
    labelled: int


def measure_archive(folder: ArchiveFolder, bundle: ThumbNet, announcer: Announcer) -> Measurement | None:
    """Classifies stored thumbnails, and compares the answers with the labels that they carry.

    Args:
        folder: A finished archive, made with `fit` crop.
        bundle: Whose student reads them.
        announcer: Shows progress.

    Returns:
        None where no thumbnail carries one of the student's classes as its label.

    Raises:
        CheckpointError: If the archive's manifest is damaged.
    """
    blocks, labelled = _labelled_blocks(folder, bundle.labels)
    if not labelled:
        return None
    share = min(1.0, MOST_PICTURES / labelled)
    right = read = 0
    for answers, wanted in announcer.track(
        _batches(folder, bundle, blocks, share), round(labelled * share / BATCH) + 1, "measuring"
    ):
        right += int((answers == wanted).sum())
        read += len(wanted)
    return Measurement(top1=right / max(1, read), pictures=read, labelled=labelled)


def _labelled_blocks(folder: ArchiveFolder, labels: tuple[str, ...]) -> tuple[list[int], int]:
    known, blocks, count = set(labels), [], 0
    for index in sorted(folder.manifest.finished()):
        here = sum(1 for record in folder.manifest.records(index) if record.output and record.label in known)
        count += here
        blocks += [index] if here else []
    return blocks, count


def _batches(
    folder: ArchiveFolder, bundle: ThumbNet, blocks: list[int], share: float
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    places = {label: place for place, label in enumerate(bundle.labels)}
    container = folder.made_with().get("container", "folder")
    draw = random.Random(0)
    images: list[torch.Tensor] = []
    wanted: list[int] = []
    for index in blocks:
        records = [
            record for record in folder.manifest.records(index) if record.label in places and draw.random() < share
        ]
        for record, content in outputs(container, folder.thumbnails, records):
            if content is not None:
                images.append(picture_to_image(decode(content)))
                wanted.append(places[str(record.label)])
            if len(images) == BATCH:
                yield bundle.logits(torch.stack(images)).argmax(1), torch.tensor(wanted)
                images, wanted = [], []
    if images:
        yield bundle.logits(torch.stack(images)).argmax(1), torch.tensor(wanted)
