"""`--format onnx`: graphs for onnxruntime, on a server, in the runtime without torch and in the browser."""

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from torch import nn

from thumbnet.bundle import ThumbNet
from thumbnet.data.labelled import Pictures
from thumbnet.deployment.exported_folder import BROWSER, DOWNSCALER, STUDENT, TEACHER, WHOLE, ExportDescription
from thumbnet.deployment.formats.made import Made
from thumbnet.deployment.gate import Engines, Runs
from thumbnet.deployment.graphs import downscaler_graph, student_graph, teacher_graph
from thumbnet.deployment.quantisation import calibration_views, plain_filters, quantised
from thumbnet.deployment.runtime import open_graph, open_session
from thumbnet.deployment.view_graph import in_one, learned_and_plain, working_view_graph

NEEDED = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Graphs of E, S and T, as onnx has them in memory."""

    downscaler: Any
    student: Any
    teacher: Any | None


def networks(bundle: ThumbNet, teacher: nn.Module | None, calibration: Pictures | None) -> Networks:
    """The networks as graphs, with 8 bits where there are pictures to calibrate on.

    Raises:
        ExportError: If one cannot be exported, or no picture can be read.
    """
    downscaler, student = downscaler_graph(bundle), student_graph(bundle)
    taught = None if teacher is None else teacher_graph(teacher, bundle)
    if calibration is not None:
        views = calibration_views(bundle, calibration)
        make = open_graph(downscaler.SerializeToString())
        thumbnails = [make(one[None])[0] for one in views]
        downscaler = quantised(downscaler, views, keep=plain_filters(downscaler))
        student = quantised(student, thumbnails)
        taught = None if taught is None else quantised(taught, views)
    return Networks(downscaler=downscaler, student=student, teacher=taught)


def make(
    bundle: ThumbNet, teacher: nn.Module | None, calibration: Pictures | None, description: ExportDescription
) -> Made:
    """The graphs; `calibration` is for 8 bits, None for floating point.

    Raises:
        ExportError: If a network, or the bundle's resize, cannot be exported.
    """
    view = working_view_graph(bundle.description.preprocessing)
    found = networks(bundle, teacher, calibration)
    graphs = {
        DOWNSCALER: found.downscaler,
        STUDENT: found.student,
        WHOLE: in_one(view, found.downscaler, found.student),
        BROWSER: learned_and_plain(view, found.downscaler, bundle.image_side, bundle.thumbnail_side),
    }
    graphs |= {} if found.teacher is None else {TEACHER: found.teacher}
    for graph in graphs.values():
        _note(graph, description)
    files = {name: graph.SerializeToString() for name, graph in graphs.items()}
    engines = Engines(
        downscaler=open_graph(files[DOWNSCALER]),
        student=open_graph(files[STUDENT]),
        whole=_open_two(files[WHOLE], ("thumbnail", "probabilities")),
        browser=_open_two(files[BROWSER], ("thumbnail", "plain")),
        view=open_graph(view.SerializeToString()),
        teacher=open_graph(files[TEACHER]) if TEACHER in files else None,
    )
    return Made(files=files, engines=engines)


def _open_two(graph: bytes, outputs: tuple[str, str]) -> Runs:
    session = open_session(graph)
    return lambda picture: session.run(list(outputs), {"picture": picture})


def _note(model: Any, description: ExportDescription) -> None:
    """Puts the description into the graph's own metadata, for whoever has the file alone."""
    import onnx

    model.producer_name, model.producer_version = "thumbnet", version("thumbnet")
    facts = asdict(description)
    notes = {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    onnx.helper.set_model_props(model, notes)
