"""`--format torch-export`: E and S as programs of `torch.export` (.pt2), for PyTorch without this package."""

import io
import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from thumbnet.bundle import ThumbNet
from thumbnet.deployment.formats.made import Made
from thumbnet.deployment.gate import Engines
from thumbnet.deployment.graphs import DownscalerGraph, downscaler_example, student_network
from thumbnet.deployment.runtime import Run
from thumbnet.errors import ExportError

DOWNSCALER, STUDENT = "downscaler.pt2", "student.pt2"


def make(bundle: ThumbNet) -> Made:
    """Both programs; the number of pictures is open, and so are E's sides.

    Raises:
        ExportError: If a network cannot be exported.
    """
    picture, sides = downscaler_example(bundle)
    thumbnail = torch.zeros(2, bundle.thumbnail_side, bundle.thumbnail_side, 3, dtype=torch.uint8)
    files = {
        DOWNSCALER: _stored(exported(DownscalerGraph(bundle.downscaler), picture, {0: Dim("batch"), **sides})),
        STUDENT: _stored(exported(student_network(bundle), thumbnail, {0: Dim("batch")})),
    }
    return Made(files=files, engines=Engines(downscaler=_opened(files[DOWNSCALER]), student=_opened(files[STUDENT])))


def exported(network: nn.Module, example: Tensor, open_sides: dict[int, Any] | None) -> ExportedProgram:
    """A network as a program, without what torch notes of the machine that made it.

    Raises:
        ExportError: If it cannot be exported.
    """
    try:
        with warnings.catch_warnings(action="ignore"), torch.no_grad():
            shapes = None if open_sides is None else (open_sides,)
            program = torch.export.export(network.eval(), (example,), dynamic_shapes=shapes)
    except Exception as error:  # torch's exporter answers with almost any exception
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"{type(network).__name__} cannot be exported by torch.export ({reason})") from error
    for node in program.graph.nodes:
        for name in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
            node.meta.pop(name, None)
    return program


def _stored(program: ExportedProgram) -> bytes:
    buffer, logger = io.BytesIO(), logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        torch.export.save(program, buffer)
    finally:
        logger.setLevel(level)
    return buffer.getvalue()


def _opened(content: bytes) -> Run:
    network = torch.export.load(io.BytesIO(content)).module()

    def run(values: Any) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(values)).numpy()

    return run
