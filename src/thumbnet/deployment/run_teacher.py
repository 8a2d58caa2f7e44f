"""The teacher of a run, for those who compare with it."""

from pathlib import Path

from torch import nn

from thumbnet.bundle import ThumbNet
from thumbnet.errors import CheckpointError, ExportError, NetworkError
from thumbnet.networks.architectures import reparameterise, require_trust
from thumbnet.networks.assembly import build_teacher
from thumbnet.networks.class_names import check_same_classes
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import settings_of


def teacher_of(run: Path, bundle: ThumbNet, allow_code: bool, without: str | None = None) -> nn.Module:
    """T in eval mode, with its branches for training fused.

    Args:
        run: A run folder.
        bundle: Of that run.
        allow_code: Import the `package.module:factory` that the run names.
        without: What a user may do who has no teacher, such as `leave --with-teacher out`; None where it has to be.

    Raises:
        ExportError: If it is not at hand.
        CheckpointError: If it is code that is not allowed.
    """
    folder, otherwise = RunFolder(run), f", or {without}" if without else ""
    if not folder.config.is_file():
        raise ExportError(f"{run} does not say what its teacher was; give the run's folder{otherwise}")
    settings = settings_of(folder)
    require_trust(settings.teacher, allow_code, "the run's config.yaml")
    try:
        built = build_teacher(settings, bundle.labels)
        check_same_classes(built.classes, bundle.labels)
    except (NetworkError, CheckpointError) as error:
        raise ExportError(f"the run's teacher is not at hand ({error}); bring it back{otherwise}") from error
    return reparameterise(built.classifier.network.eval())
