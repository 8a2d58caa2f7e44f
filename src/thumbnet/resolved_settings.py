"""Settings as a run records them: paths that mean the same from any folder. Knows nothing of training."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from thumbnet.config import TrainSettings
from thumbnet.data.sources import is_place
from thumbnet.errors import ConfigError
from thumbnet.networks.hugging_face import is_model_folder
from thumbnet.networks.student_start import weights_file


def resolved_settings(settings: TrainSettings | None, changes: Mapping[str, Any]) -> TrainSettings:
    """Settings with changes, and with paths that mean the same from any folder, as a run records them.

    Raises:
        ConfigError: If a change is no setting.
    """
    given = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in changes.items()}
    try:
        settings = replace(settings, **given) if settings else TrainSettings(**given)
    except TypeError as error:
        raise ConfigError(f"settings: {error}; see thumbnet.TrainSettings") from error
    weights, others, class_map = settings.teacher_weights, settings.evaluation_data, settings.class_map
    student, trained = settings.student, settings.downscaler.weights
    student = replace(
        student,
        network=_absolute_model(student.network) if student.network else None,
        weights=_absolute_weights(student.weights) if student.weights else None,
    )
    return replace(
        settings,
        teacher=_absolute_model(settings.teacher),
        student=student,
        data=_absolute(settings.data),
        evaluation_data=_absolute(others) if others else None,
        teacher_weights=_absolute_weights(weights),
        class_map=str(Path(class_map).absolute()) if class_map else None,
        downscaler=replace(settings.downscaler, weights=str(Path(trained).absolute()) if trained else None),
    )


def places_read(settings: TrainSettings) -> tuple[str, ...]:
    """What a run reads, and so must not be replaced by it."""
    start = settings.student.weights
    # Of a run its file, so that the run itself is not replaced by the one that starts from it.
    student = str(weights_file(Path(start))) if start else None
    places = (settings.evaluation_data, settings.class_map, settings.downscaler.weights)
    read = (settings.data, settings.teacher_weights, *places, student)
    return tuple(place for place in read if place is not None)


def _absolute_model(name: str) -> str:
    return str(Path(name).absolute()) if is_model_folder(name) else name


def _absolute_weights(weights: str) -> str:
    return weights if weights in ("pretrained", "random") else str(Path(weights).absolute())


def _absolute(data: str) -> str:
    return str(Path(data).absolute()) if is_place(data) else data
