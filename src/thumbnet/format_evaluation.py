"""What a file format costs: accuracy and bytes of stored thumbnails, beside pictures for the teacher at the same bytes.

Thumbnails are made, encoded, decoded and classified. The other way to spend their bytes is to store the picture itself:
at full size in a lower quality, or shrunk, for the teacher.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from thumbnet.accuracy import HEADLINES, accuracies, agreement
from thumbnet.data.batches import to_image
from thumbnet.data.preprocessing import image_to_picture, normalise, picture_to_image
from thumbnet.opened_run import OpenedRun
from thumbnet.progress import Announcer
from thumbnet.thumbnail_codec import ThumbnailFormat, decode, encode

# Quality and side are searched on so many pictures, spread over the data, and measured on all.
SEARCHED_PICTURES = 256
# Of shrunk pictures; a usual one, where fewer bytes go on with fewer pixels rather than with coarser ones.
SHRUNK_AS = ThumbnailFormat(name="jpeg", quality=75)


@dataclass(frozen=True, kw_only=True)
class StoredPicture:
    """How a picture is stored for the teacher, which sees it at the image side again.

    Attributes:
        side: What the image is shrunk to before, px.
        stored_as: Its format.
        fits: Whether its mean size is within what it is compared with; false where even the smallest is larger.
    """

    side: int
    stored_as: ThumbnailFormat
    fits: bool


@torch.no_grad()
def evaluate_formats(opened: OpenedRun, formats: Sequence[ThumbnailFormat], announcer: Announcer) -> dict[str, Any]:
    """Measures thumbnails in every format, and the teacher on pictures stored at the same bytes.

    Full-size pictures are the images that teacher and downscaler see, at the image side, as 4:2:0 JPEG in the highest
    quality whose mean size is no more than the thumbnail's. Shrunk ones are those images at the largest side that is no
    more, resized back (bicubic, both ways) for the teacher.

    Args:
        opened: The run and the pictures.
        formats: Of the thumbnails.
        announcer: Shows progress.

    Returns:
        What is written to formats.json: accuracies as shares of 1, `bytes` as means for one picture. `formats` has for
        each format `thumbnail`, and with a teacher at hand `full_size` and `shrunk`.

    Raises:
        ConfigError: If the run's downscaler makes no pictures.
    """
    opened.bundle.require_pictures()
    unique = {str(stored_as): stored_as for stored_as in formats}
    progress = announcer.track(opened.loader, len(opened.loader), "formats")
    thumbnails, labels, teacher_logits, sample = _thumbnails(opened, unique, progress)
    kind, bundle = opened.pictures.kind, opened.bundle

    def measured(logits: Tensor, size_bytes: float) -> dict[str, Any]:
        if kind == "none":
            same = {} if teacher_logits is None else {"agreement": agreement(logits, teacher_logits)}
            return {**same, "bytes": round(size_bytes)}
        found = accuracies(logits, labels, bundle.labels, kind)
        return {**{name: share for name, share in found.items() if name != "per_class"}, "bytes": round(size_bytes)}

    result: dict[str, Any] = {
        "metric": HEADLINES[kind],
        "data": {"name": opened.data, "pictures": len(opened.pictures), "description": opened.description},
        "image_side": bundle.image_side,
        "thumbnail_side": bundle.thumbnail_side,
        "formats": {name: {"thumbnail": measured(*answer)} for name, answer in thumbnails.items()},
    }
    if opened.networks.teacher is not None:
        plans = {name: _plans(sample, size_bytes) for name, (_, size_bytes) in thumbnails.items()}
        needed = {plan for of_format in plans.values() for plan in of_format.values()}
        answers = _pictures(opened, opened.networks.teacher, sorted(needed, key=str), announcer)
        for name, of_format in plans.items():
            result["formats"][name] |= {
                way: {
                    **measured(*answers[plan]),
                    "side": plan.side,
                    "stored_as": str(plan.stored_as),
                    "fits": plan.fits,
                }
                for way, plan in of_format.items()
            }
    place = opened.run.write_formats(result, None if opened.own_data else opened.data_name)
    announcer.say(f"written: {place}")
    return result


Answers = tuple[Tensor, float]


def _thumbnails(
    opened: OpenedRun, formats: dict[str, ThumbnailFormat], batches: Any
) -> tuple[dict[str, Answers], Tensor, Tensor | None, list[Image.Image]]:
    """Logits and mean bytes by format; labels; the teacher's logits of the images; and some images to search on."""
    bundle, teacher = opened.bundle, opened.networks.teacher
    wanted = set(np.linspace(0, len(opened.pictures) - 1, SEARCHED_PICTURES).round().astype(int).tolist())
    logits: dict[str, list[Tensor]] = {name: [] for name in formats}
    sizes: dict[str, list[int]] = {name: [] for name in formats}
    labels: list[Tensor] = []
    teacher_logits: list[Tensor] = []
    sample: list[Image.Image] = []
    seen = 0
    for batch in batches:
        image = to_image(batch, opened.device)
        thumbnail = bundle.thumbnails(image)
        pictures = [image_to_picture(values) for values in thumbnail]
        as_made = bundle.logits(thumbnail).float().cpu()
        for name, stored_as in formats.items():
            contents = [encode(picture, stored_as) for picture in pictures]
            sizes[name] += [len(content) for content in contents]
            logits[name].append(
                as_made if stored_as.lossless else bundle.logits(_read(contents, thumbnail)).float().cpu()
            )
        if teacher is not None:
            teacher_logits.append(_ask(opened, teacher, image))
        sample += [image_to_picture(image[i]) for i in range(len(image)) if seen + i in wanted]
        seen += len(image)
        labels.append(batch.label)
    answers = {name: (torch.cat(parts), float(np.mean(sizes[name]))) for name, parts in logits.items()}
    return answers, torch.cat(labels), torch.cat(teacher_logits) if teacher_logits else None, sample


def _plans(sample: Sequence[Image.Image], size_bytes: float) -> dict[str, StoredPicture]:
    """How pictures are stored in no more than so many bytes on average, by way of saving them."""
    side = sample[0].width

    def mean_size(side: int, quality: int) -> float:
        stored_as = ThumbnailFormat(name="jpeg", quality=quality)
        return float(np.mean([len(encode(_shrunk(image, side), stored_as)) for image in sample]))

    usual = cast(int, SHRUNK_AS.quality)
    quality, quality_fits = largest(1, 100, lambda quality: mean_size(side, quality) <= size_bytes)
    small, side_fits = largest(1, side, lambda side: mean_size(side, usual) <= size_bytes)
    full = ThumbnailFormat(name="jpeg", quality=quality)
    return {
        "full_size": StoredPicture(side=side, stored_as=full, fits=quality_fits),
        "shrunk": StoredPicture(side=small, stored_as=SHRUNK_AS, fits=side_fits),
    }


def largest(low: int, high: int, fits: Callable[[int], bool]) -> tuple[int, bool]:
    """The largest whole number from `low` to `high` that fits, and whether any does; where none does, it is `low`.

    All below one that fits must fit too.
    """
    if not fits(low):
        return low, False
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low, True


def _pictures(
    opened: OpenedRun, teacher: nn.Module, plans: Sequence[StoredPicture], announcer: Announcer
) -> dict[StoredPicture, Answers]:
    """The teacher's logits and the mean bytes of pictures stored in each way."""
    logits: dict[StoredPicture, list[Tensor]] = {plan: [] for plan in plans}
    sizes: dict[StoredPicture, list[int]] = {plan: [] for plan in plans}
    for batch in announcer.track(opened.loader, len(opened.loader), "pictures at the same bytes"):
        image = to_image(batch, opened.device)
        pictures = [image_to_picture(values) for values in image]
        for plan in plans:
            contents = [encode(_shrunk(picture, plan.side), plan.stored_as) for picture in pictures]
            sizes[plan] += [len(content) for content in contents]
            logits[plan].append(_ask(opened, teacher, _read(contents, image)))
    return {plan: (torch.cat(logits[plan]), float(np.mean(sizes[plan]))) for plan in plans}


def _ask(opened: OpenedRun, teacher: nn.Module, image: Tensor) -> Tensor:
    preprocessing = opened.bundle.description.preprocessing
    logits: Tensor = teacher(normalise(image, preprocessing.mean, preprocessing.std))
    return logits.float().cpu()


def _read(contents: Sequence[bytes], like: Tensor) -> Tensor:
    """Image values of stored pictures, at the side of `like` and where it is."""
    side = like.shape[-1]
    return torch.stack([picture_to_image(_shrunk(decode(content), side)) for content in contents]).to(like.device)


def _shrunk(picture: Image.Image, side: int) -> Image.Image:
    return picture if picture.width == side else picture.resize((side, side), Image.Resampling.BICUBIC)
