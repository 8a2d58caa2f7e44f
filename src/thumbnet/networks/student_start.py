"""What S starts from: the teacher's weights, another architecture, or a file or run of one's own.

Knows names and files of weights; fitting the network to the thumbnail happens in `student`.
"""

import copy
import re
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from thumbnet.config import StudentSettings
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.errors import CheckpointError, NetworkError
from thumbnet.networks.architectures import Classifier, Start, build_classifier
from thumbnet.networks.stored_classifier import load_classifier_of

# Where a run, or its bundle by itself, keeps a network; the student first.
STUDENT_FILE = "student.safetensors"
RUN_FILES = (f"bundle/{STUDENT_FILE}", STUDENT_FILE, "teacher.safetensors")
LARGEST_DIVISOR = 8
STARTS: dict[str, Start] = {"pretrained": "pretrained", "random": "random"}

Colours = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class StudentStart:
    """S before it is fitted to the thumbnail.

    Attributes:
        network: Trainable; as many outputs as the teacher.
        mean: Of its normalisation, red, green and blue in [0, 1].
        std: Of its normalisation.
    """

    network: nn.Module
    mean: Colours
    std: Colours


def start_student(
    teacher: nn.Module, name: str, settings: StudentSettings, preprocessing: Preprocessing, classes: tuple[str, ...]
) -> StudentStart:
    """The network that S starts from.

    Args:
        teacher: T, fitted to the image side; copied where the settings name neither network nor weights.
        name: T's, as for `build_classifier`.
        settings: Which network, and which weights.
        preprocessing: T's. Another network is normalised as its own makers did, where they say how.
        classes: Names of T's outputs; a network with another number of outputs gets a new, nearly silent head.

    Raises:
        NetworkError: If `student.network` cannot be built.
        CheckpointError: If `student.weights` are missing, or another network's.
    """
    as_teacher = (preprocessing.mean, preprocessing.std)
    if settings.network is None and settings.weights is None:
        own, (mean, std) = copy.deepcopy(teacher), as_teacher
        return StudentStart(network=own.requires_grad_(True), mean=mean, std=std)
    weights = settings.weights or "pretrained"
    try:
        if weights in STARTS:
            built = build_classifier(settings.network or name, STARTS[weights], len(classes))
        else:
            file = weights_file(Path(weights))
            built = _loaded(settings.network or name, file, classes, preprocessing.image_side)
    except NetworkError as error:
        raise NetworkError(_of_student(str(error))) from error
    described = built.preprocessing if settings.network else None
    mean, std = (described.mean, described.std) if described else as_teacher
    return StudentStart(network=built.network.requires_grad_(True), mean=mean, std=std)


def weights_file(place: Path) -> Path:
    """The file of weights in a run's folder: its student's, else its teacher's; a file is itself.

    Raises:
        CheckpointError: If the folder holds neither.
    """
    if not place.is_dir():
        return place
    found = [place / file for file in RUN_FILES if (place / file).is_file()]
    if not found:
        raise CheckpointError(f"student.weights: no finished run in {place}; give the --output folder of one")
    return found[0]


def _loaded(name: str, file: Path, classes: tuple[str, ...], image_side: int) -> Classifier:
    """A classifier with a file's weights, trained at the image side or as a student at a thumbnail's."""
    sides = [image_side // divisor for divisor in range(1, LARGEST_DIVISOR + 1)]
    try:
        return load_classifier_of(name, file, classes, lambda classifier: sides)
    except CheckpointError as error:
        hint = "; a student that was pruned or took all_information is no start" if file.name == STUDENT_FILE else ""
        raise CheckpointError(f"student.{error}{hint}") from error


def _of_student(message: str) -> str:
    """A message about a teacher's name or weights, said of the student's."""
    said = message.replace("--teacher-weights", "--student.weights")
    return re.sub(r"^teacher:? ", "student.network: ", said)
