"""Settings of `thumbnet export`: what is written, and what it must be as good as."""

from dataclasses import dataclass
from typing import Literal, get_args

from thumbnet.config.checks import require

ExportFormat = Literal["onnx", "torch-export", "openvino", "executorch"]
FLOAT_DROP = 0.2
INT8_DROP = 1.0
# Of thumbnails, on average. What differs in floating point alone is a level here and there.
FLOAT_LEVELS = 0.1
INT8_LEVELS = 4.0


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """An export of a bundle.

    Attributes:
        output: Folder for the graphs, their description and the report.
        format: `onnx` for onnxruntime, here and in the browser; `torch-export` (.pt2); `openvino`; `executorch` (.pte).
        int8: Networks with 8-bit weights and activations, calibrated on pictures; for `onnx` and `openvino`.
        with_teacher: Write the run's teacher as well, to compare with; for `onnx`.
        verify_data: Pictures on which the export must answer as the bundle does, as `--data` of `train`; by default the
            run's own held-out ones, else the sample data `elpv`.
        verify_limit: Verify on this many of them, taken evenly; by default on all.
        max_drop: Most by which top-1 may differ from the bundle's, in percentage points; 0.2 by default, 1 with int8.
            Ten times as many pictures may be answered otherwise; without labels, no more than this, in percent.
    """

    output: str
    format: ExportFormat = "onnx"
    int8: bool = False
    with_teacher: bool = False
    verify_data: str | None = None
    verify_limit: int | None = None
    max_drop: float | None = None

    def __post_init__(self) -> None:
        require(
            self.format in get_args(ExportFormat), "format", self.format, "one of " + ", ".join(get_args(ExportFormat))
        )
        require(not self.int8 or self.format in ("onnx", "openvino"), "int8", self.int8, "false for " + self.format)
        with_teacher = not self.with_teacher or self.format == "onnx"
        require(with_teacher, "with_teacher", self.with_teacher, "false for " + self.format)
        require(self.verify_limit is None or self.verify_limit >= 1, "verify_limit", self.verify_limit, "1 or more")
        allowed = "0 or more percentage points"
        require(self.max_drop is None or self.max_drop >= 0, "max_drop", self.max_drop, allowed)

    @property
    def allowed_drop(self) -> float:
        """`max_drop`, or its default, as a share of 1."""
        default = INT8_DROP if self.int8 else FLOAT_DROP
        return (default if self.max_drop is None else self.max_drop) / 100

    @property
    def allowed_levels(self) -> float:
        """Most by which thumbnails may differ, in grey levels on average."""
        return INT8_LEVELS if self.int8 else FLOAT_LEVELS
