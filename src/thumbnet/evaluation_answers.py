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
from torch import Tensor, nn

from thumbnet.bundle import ThumbNet
from thumbnet.config import StudentSettings
from thumbnet.data.batches import Batch, to_image
from thumbnet.data.preprocessing import image_to_picture, normalise
from thumbnet.data.teacher_cache import STATE_FILE, make_room
from thumbnet.errors import ConfigError, StorageError
from thumbnet.networks.downscaler import to_8bit
from thumbnet.progress import Announcer
from thumbnet.storage import write_atomically, write_json
from thumbnet.teacher_outputs import digest_of

SAMPLES = 8
KEPT_FORMAT = 1
KEPT_FILE = "evaluation.safetensors"
TEACHER, UNTRAINED = "teacher", "untrained_bicubic"


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Who is asked beside the bundle, in eval mode on its device.

    Attributes:
        teacher: None where it is not at hand.
        untrained: Its untrained copy at thumbnail size; None as well then.
        bicubic: Makes that copy's thumbnails.
    """

    teacher: nn.Module | None
    untrained: nn.Module | None
    bicubic: nn.Module


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What was said, picture by picture, on the processor.

    Attributes:
        labels: As in `Batch`.
        logits: `[pictures, classes]` by `student`, `teacher` and `untrained_bicubic`, the latter two where at hand.
        thumbnail_bytes: Mean size of a thumbnail as PNG.
    """

    labels: Tensor
    logits: dict[str, Tensor]
    thumbnail_bytes: float


class KeptAnswers:
    """The logits of teacher and untrained copy on one set of pictures, on disk.

    Args:
        folder: Where they are kept, named by `kept_name`.
        shape: `[pictures, classes]`.
        limit_bytes: Most bytes that all caches beside this one, and it, may take.
        announcer: Told about what cannot be read or kept; neither stops an evaluation.
    """

    def __init__(self, folder: Path, shape: tuple[int, int], limit_bytes: float, announcer: Announcer) -> None:
        self.folder = folder
        self.shape = shape
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
        if found.keys() != {TEACHER, UNTRAINED} or any(tuple(one.shape) != self.shape for one in found.values()):
            self._warn_of(file, "it holds something else")
            return None
        self.announcer.say(f"teacher: its answers to these pictures were kept in {self.folder}")
        return {name: found[name] for name in (TEACHER, UNTRAINED)}  # in the order in which they are asked

    def keep(self, logits: dict[str, Tensor]) -> None:
        """Keeps what the two said, unless it is larger than the limit."""
        content = save({name: logits[name].contiguous() for name in (TEACHER, UNTRAINED)})
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


def kept_name(
    bundle: ThumbNet, networks: Networks, teacher: str, student: StudentSettings, fingerprint: str, batch_size: int
) -> str:
    """A name that changes whenever an answer could: weights of both, sides, pictures, device, versions.

    Args:
        bundle: For its preprocessing and sides.
        networks: With the teacher at hand.
        teacher: The teacher's name.
        student: What makes the untrained copy of it.
        fingerprint: Of the pictures.
        batch_size: Pictures at a time, which may change the rounding.
    """
    assert networks.teacher is not None
    assert networks.untrained is not None
    device = next(networks.teacher.parameters()).device
    made_with = {name: version(name) for name in ("thumbnet", "torch", "torchvision", "timm", "pillow")}
    what = {
        "evaluation": KEPT_FORMAT,
        "teacher": teacher,
        "data": fingerprint,
        "preprocessing": asdict(bundle.description.preprocessing),
        "student": asdict(student),
        "thumbnail_side": bundle.thumbnail_side,
        "classes": len(bundle.labels),
        "batch_size": batch_size,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": torch.get_float32_matmul_precision(),
        "made_with": made_with,
    }
    return digest_of(what, networks.teacher, networks.untrained)


@torch.no_grad()
def ask(
    bundle: ThumbNet,
    networks: Networks,
    kept: KeptAnswers | None,
    batches: Iterable[Batch],
    pictures: int,
    device: torch.device,
    samples: Path | None,
) -> Answers:
    """Asks everyone about every picture, and saves a few, spread over the data set, for the report.

    Teacher and untrained copy are asked only where nothing of theirs was kept, and kept then.

    Args:
        bundle: Downscaler and student.
        networks: The others.
        kept: What the others said before; None where they are not at hand.
        batches: The pictures in order.
        pictures: How many.
        device: Where to compute.
        samples: Folder of the pictures for the report; None saves none.
    """
    sampled: Iterable[float] = np.linspace(0, pictures - 1, min(SAMPLES, pictures)) if samples else []
    wanted = {int(position): number for number, position in enumerate(sampled)}
    said_before = kept.read() if kept else None
    asked = kept is not None and said_before is None
    labels: list[Tensor] = []
    logits: dict[str, list[Tensor]] = {"student": [], TEACHER: [], UNTRAINED: []}
    sizes: list[int] = []
    for batch in batches:
        image = to_image(batch, device)
        thumbnail = bundle.thumbnails(image)
        logits["student"].append(bundle.logits(thumbnail).float().cpu())
        chosen = {offset: wanted[at] for offset in range(len(image)) if (at := len(sizes) + offset) in wanted}
        bicubic = to_8bit(networks.bicubic(image)) if asked or chosen else None
        if asked and bicubic is not None:
            for name, answer in _others(bundle, networks, image, bicubic).items():
                logits[name].append(answer.float().cpu())
        if samples and bicubic is not None:
            for offset, number in chosen.items():
                kinds = {"image": image, "bicubic": bicubic, "thumbnail": thumbnail}
                _save_sample(samples, number, {kind: values[offset] for kind, values in kinds.items()})
        sizes += [len(_png(image_to_picture(small))) for small in thumbnail]
        labels.append(batch.label)
    joined = {name: torch.cat(parts) for name, parts in logits.items() if parts}
    if kept and asked:
        kept.keep(joined)
    return Answers(
        labels=torch.cat(labels), logits={**joined, **(said_before or {})}, thumbnail_bytes=float(np.mean(sizes))
    )


def _others(bundle: ThumbNet, networks: Networks, image: Tensor, bicubic: Tensor) -> dict[str, Tensor]:
    """Logits of the teacher on the image, and of its untrained copy on the bicubic thumbnail."""
    assert networks.teacher is not None
    assert networks.untrained is not None
    mean, std = bundle.description.preprocessing.mean, bundle.description.preprocessing.std
    return {
        TEACHER: networks.teacher(normalise(image, mean, std)),
        UNTRAINED: networks.untrained(normalise(bicubic, mean, std)),
    }


def _save_sample(folder: Path, number: int, kinds: dict[str, Tensor]) -> None:
    for kind, values in kinds.items():
        write_atomically(folder / f"{number:02d}-{kind}.png", _png(image_to_picture(values)))


def _png(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, format="png")
    return buffer.getvalue()
