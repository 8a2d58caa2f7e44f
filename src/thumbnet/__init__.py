"""ThumbNet: thumbnails that classifiers can still read, and the small classifiers that read them.

    import thumbnet

    bundle = thumbnet.fit(teacher="timm/resnet50", data="photos", output="runs/photos", ratio=4)
    small = bundle.thumbnail(picture)
    print(bundle.classify(small).label)

Public names are loaded when they are first used, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thumbnet.bundle import ThumbNet
    from thumbnet.classification import Classification
    from thumbnet.comparison.recipe_comparison import compare
    from thumbnet.comparison.sweep import sweep
    from thumbnet.config import (
        ArchiveSettings,
        CacheSettings,
        ColumnSettings,
        CompareSettings,
        DownscalerSettings,
        FeatureMappingSettings,
        LossSettings,
        MixSettings,
        OptimizerSettings,
        StudentSettings,
        SweepSettings,
        ThumbnailSettings,
        TrainSettings,
        ViewSettings,
    )
    from thumbnet.errors import ThumbNetError
    from thumbnet.evaluation import evaluate
    from thumbnet.objective import StepTensors, Term
    from thumbnet.teacher_evaluation import evaluate_teacher
    from thumbnet.thumbnails.archive import thumbnail_archive
    from thumbnet.training import fit, train_teacher

__version__ = "0.1.0"

_HOMES = {
    "thumbnet.bundle": ("ThumbNet",),
    "thumbnet.classification": ("Classification",),
    "thumbnet.comparison.recipe_comparison": ("compare",),
    "thumbnet.comparison.sweep": ("sweep",),
    "thumbnet.config": (
        "ArchiveSettings",
        "CacheSettings",
        "ColumnSettings",
        "CompareSettings",
        "DownscalerSettings",
        "FeatureMappingSettings",
        "LossSettings",
        "MixSettings",
        "OptimizerSettings",
        "StudentSettings",
        "SweepSettings",
        "ThumbnailSettings",
        "TrainSettings",
        "ViewSettings",
    ),
    "thumbnet.errors": ("ThumbNetError",),
    "thumbnet.evaluation": ("evaluate",),
    "thumbnet.objective": ("StepTensors", "Term"),
    "thumbnet.teacher_evaluation": ("evaluate_teacher",),
    "thumbnet.thumbnails.archive": ("thumbnail_archive",),
    "thumbnet.training": ("fit", "train_teacher"),
}

__all__ = [
    "ArchiveSettings",
    "CacheSettings",
    "Classification",
    "ColumnSettings",
    "CompareSettings",
    "DownscalerSettings",
    "FeatureMappingSettings",
    "LossSettings",
    "MixSettings",
    "OptimizerSettings",
    "StepTensors",
    "StudentSettings",
    "SweepSettings",
    "Term",
    "ThumbNet",
    "ThumbNetError",
    "ThumbnailSettings",
    "TrainSettings",
    "ViewSettings",
    "compare",
    "evaluate",
    "evaluate_teacher",
    "fit",
    "sweep",
    "thumbnail_archive",
    "train_teacher",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'thumbnet' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
