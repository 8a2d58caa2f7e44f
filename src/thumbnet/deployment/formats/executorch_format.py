"""`--format executorch`: E and S as programs for phones and smaller devices (.pte), lowered to XNNPACK.

Shapes are fixed: one working view, one thumbnail. Such a device has one picture at a time, and plans its memory ahead.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from thumbnet.bundle import ThumbNet
from thumbnet.deployment.formats.made import Made
from thumbnet.deployment.formats.torch_export_format import exported
from thumbnet.deployment.gate import Engines
from thumbnet.deployment.graphs import DownscalerGraph, student_network
from thumbnet.deployment.runtime import Run
from thumbnet.errors import ExportError

NEEDED = ("executorch",)
DOWNSCALER, STUDENT = "downscaler.pte", "student.pte"


def make(bundle: ThumbNet) -> Made:
    """Both programs.

    Raises:
        ExportError: If a network cannot be exported.
    """
    files = {
        DOWNSCALER: _lowered(DownscalerGraph(bundle.downscaler), bundle.image_side),
        STUDENT: _lowered(student_network(bundle), bundle.thumbnail_side),
    }
    engines = Engines(downscaler=_opened(files[DOWNSCALER]), student=_opened(files[STUDENT]), any_size=False)
    return Made(files=files, engines=engines)


def _lowered(network: nn.Module, side: int) -> bytes:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = exported(network, torch.zeros(1, side, side, 3, dtype=torch.uint8), None)
    try:
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    except Exception as error:  # its passes answer with almost any exception
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"{type(network).__name__} cannot be lowered to ExecuTorch ({reason})") from error
    return bytes(lowered.buffer)


def _opened(content: bytes) -> Run:
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(content)
    method = program.load_method("forward")
    if method is None:
        raise ExportError("the program that ExecuTorch made has no method to run")

    def run(values: Any) -> Any:
        made = [method.execute([torch.from_numpy(np.ascontiguousarray(one[None]))])[0].numpy().copy() for one in values]
        return np.concatenate(made)

    run.program = program  # type: ignore[attr-defined]  # the method does not keep it alive
    return run
