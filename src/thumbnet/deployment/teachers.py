"""The teacher of a finished run, by itself."""

from pathlib import Path

from torch import nn

from thumbnet.bundle import ThumbNet
from thumbnet.errors import CheckpointError
from thumbnet.networks.architectures import require_trust
from thumbnet.networks.assembly import build_teacher
from thumbnet.networks.class_names import check_same_classes
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import settings_of


def teacher_of_run(run: Path, bundle: ThumbNet, *, allow_code: bool) -> nn.Module:
    """T as a run was trained with it, in eval mode on the processor.

    Raises:
        CheckpointError: If this is a bundle without its run, or the teacher's weights are gone.
        NetworkError: If it cannot be built.
    """
    folder = RunFolder(run)
    if not folder.config.is_file():
        raise CheckpointError(f"{run} is a bundle without its run, so its teacher is not known; give the run's folder")
    settings = settings_of(folder)
    require_trust(settings.teacher, allow_code, "the run's config.yaml")
    built = build_teacher(settings, bundle.labels)
    check_same_classes(built.classes, bundle.labels)
    return built.classifier.network.eval()
