"""The teacher's word on a batch: asked live, or read from the cache. Training does not see the difference."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from thumbnet.config import TrainSettings
from thumbnet.data.batches import Batch, LoaderSettings, ViewDataset, every_view_loader, to_image
from thumbnet.data.labelled import Pictures
from thumbnet.data.mixing import BatchChange, Mix
from thumbnet.data.preprocessing import Preprocessing, normalise
from thumbnet.data.teacher_cache import PIXELS, TeacherCache, find_complete
from thumbnet.errors import TrainingError
from thumbnet.networks.assembly import Assembly
from thumbnet.networks.computation import computation_of
from thumbnet.networks.taps import Features
from thumbnet.networks.teacher import Teacher
from thumbnet.progress import Announcer

CACHE_FORMAT = 1
LOGITS = "logits"
SAVE_EVERY_BATCHES = 50
# Settings of views that change what was cached only when it is used.
CHANGED_LATER = ("cached_flips",)
GIGABYTE = 10**9
TEACHER_CACHES = "teacher"  # within the cache folder


# Logits (None where nobody asks) and tapped features, for a batch whose pixels, changed so, are the image in [0, 1].
TeacherOutputs = Callable[[Batch, Tensor, BatchChange], tuple[Tensor | None, Features]]


class NoTeacher:
    """For objectives that do not look at the teacher."""

    def __call__(self, batch: Batch, image: Tensor, change: BatchChange) -> tuple[Tensor | None, Features]:
        """Nothing."""
        return None, {}


class LiveTeacher:
    """Runs the teacher on every batch."""

    def __init__(self, teacher: Teacher, preprocessing: Preprocessing) -> None:
        self.teacher = teacher
        self.preprocessing = preprocessing

    def __call__(
        self, batch: Batch, image: Tensor, change: BatchChange | None = None
    ) -> tuple[Tensor | None, Features]:
        """What T says of the very image that E gets, however it was changed."""
        logits, features = self.teacher(normalise(image, self.preprocessing.mean, self.preprocessing.std))
        return logits, features


class CachedTeacher:
    """Reads what the teacher said when the cache was filled, and changes it as the views were changed since.

    Both changes are approximations of asking the teacher: of a flipped view it would say nearly what it said of the
    view, and of a mix it is taken to say the mix of its answers.

    Args:
        cache: Complete.
        temperature: Of distillation, at which answers are mixed.
        multilabel: Whether each logit is a yes or no by itself.
    """

    def __init__(self, cache: TeacherCache, temperature: float, multilabel: bool) -> None:
        self.cache = cache
        self.temperature = temperature
        self.multilabel = multilabel

    def __call__(self, batch: Batch, image: Tensor, change: BatchChange) -> tuple[Tensor | None, Features]:
        """The answers for the rows of this batch."""
        answers = self.cache.read(batch.row, image.device)
        logits = answers.pop(LOGITS)
        if change.mix is not None:
            logits = mixed_logits(logits, change.mix, self.temperature, self.multilabel)
        return logits, {layer: change.maps(features) for layer, features in answers.items()}


def mixed_logits(
    logits: Float[Tensor, "batch classes"], mix: Mix, temperature: float, multilabel: bool
) -> Float[Tensor, "batch classes"]:
    """Logits whose probabilities at this temperature are the mix of those of the given logits, by shares.

    With them distillation at this temperature is the sum of that towards each of the two pictures' answers, in their
    shares. At another temperature, 1 included, the probabilities are not exactly the mix of those there.

    Args:
        logits: Of the pictures before they were mixed.
        mix: How they were mixed.
        temperature: More than 0, that of the loss.
        multilabel: Mix each label's yes and no (sigmoid), not the classes' shares (softmax).

    Returns:
        Logits; of the softmax, those whose exponentials at this temperature sum to 1.
    """
    softened = logits / temperature
    if multilabel:
        yes, no = (_mixed_logarithms(functional.logsigmoid(side), mix.share) for side in (softened, -softened))
        return temperature * (yes - no)
    return temperature * _mixed_logarithms(functional.log_softmax(softened, dim=1), mix.share)


def _mixed_logarithms(values: Tensor, share: float) -> Tensor:
    own, neighbours = (torch.tensor(part, dtype=values.dtype).log() for part in (share, 1 - share))
    return torch.logaddexp(values + own.to(values), values.roll(1, 0) + neighbours.to(values))


@torch.no_grad()
def labelled_by_teacher(
    pictures: Pictures, teacher: LiveTeacher, loader: DataLoader[Batch], device: torch.device, announcer: Announcer
) -> Pictures:
    """Pictures without labels with the class that the teacher gives each, for a student to agree with."""
    said: list[int] = []
    for batch in announcer.track(loader, len(loader), "asking the teacher about the pictures to evaluate on"):
        logits, _ = teacher(batch, to_image(batch, device))
        assert logits is not None
        said += logits.argmax(dim=1).tolist()
    return replace(pictures, labels=tuple(said))


def open_cache(
    folder: Path,
    assembly: Assembly,
    settings: TrainSettings,
    fingerprint: str,
    precision: str,
    rows: int,
    classes: int,
    announcer: Announcer,
) -> TeacherCache:
    """The cache for this teacher, data and views, as far as it is filled; a complete one that holds more will do."""
    layers = tuple(assembly.feature_shapes)
    asked = cache_key(assembly.teacher, settings, assembly.preprocessing, fingerprint, precision)
    shapes = {LOGITS: (classes,), **assembly.feature_shapes}
    side = assembly.preprocessing.image_side
    pixels_shape = (3, side, side) if settings.cache.pixels else None
    own = folder / digest_of({"asked": asked, "layers": layers})
    place = find_complete(folder, asked, rows, (*shapes, PIXELS) if pixels_shape else shapes) or own
    limit_bytes = settings.cache.limit_gb * GIGABYTE
    return TeacherCache(place, rows, shapes, limit_bytes, announcer.say, pixels_shape, asked)


@torch.no_grad()
def fill_cache(
    cache: TeacherCache,
    teacher: Teacher,
    preprocessing: Preprocessing,
    dataset: ViewDataset,
    batch_size: int,
    loader_settings: LoaderSettings,
    device: torch.device,
    announcer: Announcer,
) -> None:
    """Asks the teacher once about every fixed view that the cache lacks; can be stopped and goes on where it was.

    Raises:
        TrainingError: If the teacher's answer is not finite.
    """
    loader = every_view_loader(dataset, cache.filled, batch_size, loader_settings)
    teacher = teacher.to(device)
    for number, batch in enumerate(announcer.track(loader, len(loader), "asking the teacher"), start=1):
        image = to_image(batch, device)
        logits, features = teacher(normalise(image, preprocessing.mean, preprocessing.std))
        if not all(bool(torch.isfinite(value).all()) for value in (logits, *features.values())):
            picture = dataset.pictures.names[cache.filled // dataset.fixed_views]
            raise TrainingError(f"the teacher's answer is not finite near {picture}; check --teacher-weights")
        cache.append({LOGITS: logits, **features}, batch.pixels)
        if number % SAVE_EVERY_BATCHES == 0:
            cache.save()
    cache.save()


def cache_key(
    teacher: Teacher,
    settings: TrainSettings,
    preprocessing: Preprocessing,
    fingerprint: str,
    precision: str,
) -> str:
    """A name that changes whenever an answer could: teacher weights and code, data, views, precision, versions."""
    views = {name: value for name, value in asdict(settings.views).items() if name not in CHANGED_LATER}
    what = {
        "teacher": settings.teacher,
        "data": fingerprint,
        "views": views,
        "seed": settings.seed,
        "pixels": settings.cache.pixels,
        "precision": precision,
        "made_with": {"format": CACHE_FORMAT, "pillow": version("pillow"), **computation_of(teacher)},
        "preprocessing": asdict(preprocessing),
    }
    if settings.mix.mixed_views:
        what["mix"] = asdict(settings.mix)
    return digest_of(what, teacher)


def digest_of(what: Mapping[str, object], *networks: nn.Module) -> str:
    """A name for values that JSON can hold, together with every weight and buffer of networks."""
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for network in networks:
        for name, tensor in sorted(network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
