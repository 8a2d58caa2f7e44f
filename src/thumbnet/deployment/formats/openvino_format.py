"""`--format openvino`: E and S as OpenVINO's IR, made of the ONNX graphs."""

import functools
import tempfile
from pathlib import Path
from typing import Any

from thumbnet.bundle import ThumbNet
from thumbnet.data.labelled import Pictures
from thumbnet.deployment.formats.made import Made
from thumbnet.deployment.formats.onnx_format import networks
from thumbnet.deployment.gate import Engines
from thumbnet.deployment.runtime import Run

NEEDED = ("openvino", "onnx", "onnxruntime", "onnxscript")
DOWNSCALER, STUDENT = "downscaler", "student"


def make(bundle: ThumbNet, calibration: Pictures | None) -> Made:
    """Both networks, each as .xml and .bin; weights stay in full precision unless there is something to calibrate on.

    Raises:
        ExportError: If a network cannot be exported.
    """
    found = networks(bundle, None, calibration)
    files: dict[str, bytes] = {}
    engines: dict[str, Run] = {}
    for name, graph in ((DOWNSCALER, found.downscaler), (STUDENT, found.student)):
        made = _converted(graph, name)
        files |= made
        engines[name] = _opened(made[f"{name}.xml"], made[f"{name}.bin"])
    return Made(files=files, engines=Engines(downscaler=engines[DOWNSCALER], student=engines[STUDENT]))


@functools.cache
def _core() -> Any:
    # One for the process: each brings a stack for signal handlers, and of two the last to go restores the first one's,
    # which is gone, so that the next signal (Ctrl+C, or a child that ended) would kill the process.
    import openvino

    return openvino.Core()


def _converted(graph: Any, name: str) -> dict[str, bytes]:
    import openvino

    model = _core().read_model(model=graph.SerializeToString())
    with tempfile.TemporaryDirectory() as folder:
        openvino.save_model(model, str(Path(folder) / f"{name}.xml"), compress_to_fp16=False)
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def _opened(structure: bytes, weights: bytes) -> Run:
    core = _core()
    # Half precision, where a processor prefers it, would give other levels than training saw.
    compiled = core.compile_model(
        core.read_model(model=structure, weights=weights), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda values: compiled(values)[0]
