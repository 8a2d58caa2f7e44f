"""Every setting of a training run, a comparison, an archive, an export or a server, its default and its checks.

Knows values only: no torch, no files, no networks. The same dataclasses are the Python API, the command-line flags
(`--lr 0.001`, `--loss.kd 2.0`) and the YAML recipe, so a setting has one name everywhere.
"""

from thumbnet.config.archive import ArchiveSettings, Container, Fit
from thumbnet.config.benchmark import BenchmarkSettings
from thumbnet.config.comparison import CompareSettings, SweepSettings
from thumbnet.config.data import CacheSettings, ColumnSettings, MixSettings, ViewSettings
from thumbnet.config.export import ExportSettings
from thumbnet.config.losses import LossSettings, OptimizerSettings
from thumbnet.config.networks import (
    FIXED_DOWNSCALERS,
    FIXED_FILTERS,
    DownscalerKind,
    DownscalerSettings,
    FeatureMappingSettings,
    StudentSettings,
    check_ratio,
    hides_detail,
    student_channels,
)
from thumbnet.config.run import (
    LARGEST_LR,
    MAXIMUM_RATIO,
    MINIMUM_RATIO,
    UNUSED_BY_TEACHERS,
    TrainSettings,
    settings_from_dict,
)
from thumbnet.config.serve import ServeSettings
from thumbnet.config.thumbnail import LossyCodec, ThumbnailSettings

__all__ = [
    "FIXED_DOWNSCALERS",
    "FIXED_FILTERS",
    "LARGEST_LR",
    "MAXIMUM_RATIO",
    "MINIMUM_RATIO",
    "UNUSED_BY_TEACHERS",
    "ArchiveSettings",
    "BenchmarkSettings",
    "CacheSettings",
    "ColumnSettings",
    "CompareSettings",
    "Container",
    "DownscalerKind",
    "DownscalerSettings",
    "ExportSettings",
    "FeatureMappingSettings",
    "Fit",
    "LossSettings",
    "LossyCodec",
    "MixSettings",
    "OptimizerSettings",
    "ServeSettings",
    "StudentSettings",
    "SweepSettings",
    "ThumbnailSettings",
    "TrainSettings",
    "ViewSettings",
    "check_ratio",
    "hides_detail",
    "settings_from_dict",
    "student_channels",
]
