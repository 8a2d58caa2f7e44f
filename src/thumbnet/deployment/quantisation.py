"""E and S with 8-bit weights and activations, by onnxruntime's static quantisation (QDQ), calibrated on pictures."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thumbnet.bundle import ThumbNet
from thumbnet.data.labelled import Pictures
from thumbnet.data.working_view import Pixels, open_picture, view_of
from thumbnet.errors import ExportError, PictureError

# What turns uint8 into values, and values into uint8 or probabilities, stays as it is.
_QUANTISED = ["Conv", "Gemm", "MatMul", "Add", "Mul", "Concat", "Relu", "Clip", "MaxPool", "AveragePool"]
_QUANTISED += ["GlobalAveragePool", "ReduceMean", "Pad"]


def calibration_views(bundle: ThumbNet, pictures: Pictures) -> list[Pixels]:
    """The working views of the pictures that can be read.

    Raises:
        ExportError: If there is none.
    """
    views = []
    for file in pictures.files:
        try:
            upright, _ = open_picture(file, bundle.description.preprocessing)
        except PictureError:
            continue
        views.append(view_of(upright, bundle.description.preprocessing, bundle.description.ratio))
    if not views:
        raise ExportError("no picture to calibrate int8 on can be read; give others with --verify-data")
    return views


def quantised(graph: Any, inputs: list[Pixels], keep: tuple[str, ...] = ()) -> Any:
    """The graph with 8-bit convolutions and products.

    Args:
        graph: A model of ONNX, with one input.
        inputs: What to calibrate on, one picture each.
        keep: Names of nodes to leave as they are.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # onnxruntime advises there what is done here
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain, prepared, made = (str(Path(folder) / name) for name in ("plain", "prepared", "made"))
            onnx.save(graph, plain)
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared,
                made,
                _Reader(graph.graph.input[0].name, inputs),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_QUANTISED,
                nodes_to_exclude=list(keep),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
            return onnx.load(made)
    finally:
        logger.setLevel(level)


def plain_filters(graph: Any) -> tuple[str, ...]:
    """Names of E's fixed filters: the plain thumbnail under the learned correction stays exact."""
    shapes = {one.name: tuple(one.dims) for one in graph.graph.initializer}
    convolutions = [node for node in graph.graph.node if node.op_type == "Conv"]
    # They look at one plane each, and along one side.
    return tuple(node.name for node in convolutions if _is_filter(shapes.get(node.input[1], ())))


def _is_filter(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[1] == 1 and 1 in shape[2:]


class _Reader:
    """What onnxruntime calls a calibration data reader."""

    def __init__(self, name: str, inputs: list[Pixels]) -> None:
        self.name = name
        self.rest: Iterator[Pixels] = iter(inputs)

    def get_next(self) -> dict[str, Pixels] | None:
        """The next feed, None at the end."""
        picture = next(self.rest, None)
        return None if picture is None else {self.name: np.ascontiguousarray(picture)[None]}
