"""What student, teacher and the untrained copy say of the pictures to evaluate on.

The words of the teacher and its untrained copy are kept in the cache folder, in full precision: the next run with this
teacher asks its student alone, and its evaluation is the same to the last digit. What is kept is one of the caches of
`data/teacher_cache.py`, and makes way with them.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from thumbnet.data.batches import Batch, to_image
from thumbnet.data.preprocessing import image_to_picture, normalise
from thumbnet.data.teacher_cache import STATE_FILE, make_room
from thumbnet.devices import cache_folder
from thumbnet.errors import ConfigError, StorageError
from thumbnet.naturalness import PictureNaturalness, naturalness, naturalness_by_picture
from thumbnet.networks.computation import computation_of
from thumbnet.networks.downscaler import to_8bit
from thumbnet.opened_run import OpenedRun, untrained_settings
from thumbnet.progress import Announcer
from thumbnet.storage import write_atomically, write_json
from thumbnet.teacher_outputs import GIGABYTE, TEACHER_CACHES, digest_of

SAMPLES = 8
KEPT_FORMAT = 1
KEPT_FILE = "evaluation.safetensors"
TEACHER, UNTRAINED = "teacher", "untrained_bicubic"


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What was said, picture by picture, on the processor.

    Attributes:
        labels: As in `Batch`.
        logits: `[pictures, classes]` by `student`, `teacher` and `untrained_bicubic`, the latter two where at hand.
        thumbnail_bytes: Mean size of a thumbnail as PNG; None where the downscaler makes no picture.
        naturalness: How near the thumbnails are to bicubic ones (`thumbnet.naturalness`); None without
            pictures, and at ratio 1, where there is nothing to compare.
    """

    labels: Tensor
    logits: dict[str, Tensor]
    thumbnail_bytes: float | None
    naturalness: dict[str, float | None] | None


class KeptAnswers:
    """The logits of teacher and untrained copy on one set of pictures, on disk.

    Args:
        folder: Where they are kept, named by `kept_name`.
        shape: `[pictures, classes]`.
        names: Whose logits they are.
        limit_bytes: Most bytes that all caches beside this one, and it, may take.
        announcer: Told about what cannot be read or kept; neither stops an evaluation.
    """

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, int],
        names: tuple[str, ...],
        limit_bytes: float,
        announcer: Announcer,
    ) -> None:
        self.folder = folder
        self.shape = shape
        self.names = names
        self.limit_bytes = limit_bytes
        self.announcer = announcer

    def read(self) -> dict[str, Tensor] | None:
        """What was kept, or None."""
        file = self.folder / KEPT_FILE
        try:
            found = load(file.read_bytes())
            (self.folder / STATE_FILE).touch()  # used now: others make way before it
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError) as error:
            self._warn_of(file, str(error))
            return None
        if found.keys() != set(self.names) or any(tuple(one.shape) != self.shape for one in found.values()):
            self._warn_of(file, "it holds something else")
            return None
        self.announcer.say(f"teacher: its answers to these pictures were kept in {self.folder}")
        return {name: found[name] for name in self.names}  # in the order in which they are asked

    def keep(self, logits: dict[str, Tensor]) -> None:
        """Keeps what they said, unless it is larger than the limit."""
        content = save({name: logits[name].contiguous() for name in self.names})
        if len(content) > self.limit_bytes:
            return
        try:
            make_room(self.folder, len(content), self.limit_bytes, self.announcer.say)
            write_json(self.folder / STATE_FILE, {"evaluated": self.shape[0]})
            write_atomically(self.folder / KEPT_FILE, content)
        except (OSError, ConfigError, StorageError) as error:
            self.announcer.warn(f"the teacher's answers are not kept for the next evaluation ({error})")

    def _warn_of(self, file: Path, reason: str) -> None:
        self.announcer.warn(f"{file} cannot be used ({reason}); the teacher is asked again")


def kept_answers(opened: OpenedRun, announcer: Announcer) -> KeptAnswers | None:
    """Where the teacher's word on these pictures is kept; None where the teacher is not at hand.

    The folder's name changes whenever an answer could: weights of both networks, sides, pictures, device, versions; and
    the number of pictures at a time, which may change the rounding.
    """
    bundle, networks, settings = opened.bundle, opened.networks, opened.settings
    if networks.teacher is None:
        return None
    asked = {TEACHER: networks.teacher, **({} if networks.untrained is None else {UNTRAINED: networks.untrained})}
    device = opened.device
    made_with = {"pillow": version("pillow"), **{name: computation_of(network) for name, network in asked.items()}}
    what = {
        "evaluation": KEPT_FORMAT,
        "teacher": settings.teacher,
        "data": opened.fingerprint,
        "preprocessing": asdict(bundle.description.preprocessing),
        "untrained": asdict(untrained_settings(settings)),
        "thumbnail_side": bundle.thumbnail_side,
        "classes": len(bundle.labels),
        "batch_size": opened.batch_size,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": torch.get_float32_matmul_precision(),
        "made_with": made_with,
    }
    folder = cache_folder(settings.cache) / TEACHER_CACHES / digest_of(what, *asked.values())
    shape = (len(opened.pictures), len(bundle.labels))
    return KeptAnswers(folder, shape, tuple(asked), settings.cache.limit_gb * GIGABYTE, announcer)


@torch.no_grad()
def ask(opened: OpenedRun, batches: Iterable[Batch], kept: KeptAnswers | None) -> Answers:
    """Asks everyone about every picture, and saves a few of the run's own, spread over the data set, for the report.

    Teacher and untrained copy are asked only where nothing of theirs was kept, and kept then.

    Args:
        opened: Bundle, teacher and pictures.
        batches: The pictures in order.
        kept: What the others said before; None where they are not at hand.
    """
    bundle, networks, pictures = opened.bundle, opened.networks, len(opened.pictures)
    samples = opened.run.samples if opened.own_data else None
    sampled: Iterable[float] = np.linspace(0, pictures - 1, min(SAMPLES, pictures)) if samples else []
    wanted = {int(position): number for number, position in enumerate(sampled)}
    said_before = kept.read() if kept else None
    names = kept.names if kept and said_before is None else ()
    labels: list[Tensor] = []
    logits: dict[str, list[Tensor]] = {name: [] for name in ("student", *names)}
    sizes: list[int] = []
    natural: list[PictureNaturalness] = []
    asked = 0
    for batch in batches:
        image = to_image(batch, opened.device)
        thumbnail, bicubic = bundle.thumbnails(image), to_8bit(networks.bicubic(image))
        logits["student"].append(bundle.logits(thumbnail).float().cpu())
        for name in names:
            logits[name].append(_answer(opened, name, image, bicubic).float().cpu())
        for offset in range(len(image)):
            if samples and (number := wanted.get(asked + offset)) is not None:
                kinds = {"image": image, "bicubic": bicubic}
                kinds |= {"thumbnail": thumbnail} if bundle.makes_pictures else {}
                _save_sample(samples, number, {kind: values[offset] for kind, values in kinds.items()})
        asked += len(image)
        if bundle.makes_pictures:
            sizes += [len(_png(image_to_picture(small))) for small in thumbnail]
        if bundle.makes_pictures and bundle.description.ratio > 1:
            natural.append(naturalness_by_picture(thumbnail, bicubic))
        labels.append(batch.label)
    joined = {name: torch.cat(parts) for name, parts in logits.items()}
    if kept and names:
        kept.keep(joined)
    return Answers(
        labels=torch.cat(labels),
        logits={**joined, **(said_before or {})},
        thumbnail_bytes=float(np.mean(sizes)) if sizes else None,
        naturalness=naturalness(natural) if natural else None,
    )


def _answer(opened: OpenedRun, name: str, image: Tensor, bicubic: Tensor) -> Tensor:
    """Logits of the teacher on the image, or of its untrained copy on the bicubic thumbnail."""
    network, shown = (opened.networks.teacher, image) if name == TEACHER else (opened.networks.untrained, bicubic)
    assert network is not None
    preprocessing = opened.bundle.description.preprocessing
    logits: Tensor = network(normalise(shown, preprocessing.mean, preprocessing.std))
    return logits


def _save_sample(folder: Path, number: int, kinds: dict[str, Tensor]) -> None:
    for kind, values in kinds.items():
        write_atomically(folder / f"{number:02d}-{kind}.png", _png(image_to_picture(values)))


def _png(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format="png")
    return buffer.getvalue()
