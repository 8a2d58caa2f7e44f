"""The networks to time, as files: modules for PyTorch and graphs for onnxruntime, float and 8-bit."""

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from thumbnet.bundle import ThumbNet
from thumbnet.config import BenchmarkSettings
from thumbnet.data.working_view import open_picture, view_of
from thumbnet.deployment.benchmark.subjects import NETWORKS, WAYS, Engine, Inputs, Precision, Subject
from thumbnet.deployment.graphs import (
    DownscalerGraph,
    downscaler_graph,
    student_graph,
    student_network,
    teacher_graph,
    teacher_network,
)
from thumbnet.deployment.quantisation import plain_filters, quantised
from thumbnet.errors import DataError, PictureError
from thumbnet.storage import write_atomically

QUALITY = 90


def inputs_of(bundle: ThumbNet, files: Sequence[Path | bytes], count: int) -> Inputs:
    """The first pictures that can be read, as JPEG files, working views and thumbnails.

    Raises:
        DataError: If none can be read.
    """
    contents: list[bytes] = []
    views = []
    for file in files:
        content = file if isinstance(file, bytes) else file.read_bytes()
        try:
            content = _as_jpeg(content)
            upright, _ = open_picture(content, bundle.description.preprocessing)
            views.append(view_of(upright, bundle.description.preprocessing, bundle.description.ratio))
        except (PictureError, OSError):
            continue
        contents.append(content)
        if len(contents) == count:
            break
    if not contents:
        raise DataError("none of the pictures to time with can be read; give others with --data")
    stacked = np.stack(views)
    return Inputs(files=tuple(contents), views=stacked, thumbnails=bundle.thumbnail_maker().thumbnails(stacked))


def _as_jpeg(content: bytes) -> bytes:
    with Image.open(BytesIO(content)) as picture:
        if picture.format == "JPEG":
            return content
        made = BytesIO()
        picture.convert("RGB").save(made, "JPEG", quality=QUALITY)
        return made.getvalue()


def write_networks(
    bundle: ThumbNet, teacher: nn.Module, inputs: Inputs, settings: BenchmarkSettings, folder: Path
) -> list[Subject]:
    """Writes every network for every engine, and gives the subjects that are made of them.

    Raises:
        ExportError: If a network cannot be exported.
    """
    preprocessing, threads = bundle.description.preprocessing, settings.threads or os.cpu_count() or 1
    modules: dict[str, nn.Module] = {
        "downscaler": DownscalerGraph(bundle.downscaler),
        "student": student_network(bundle),
        "teacher": teacher_network(teacher, bundle),
    }
    files: dict[tuple[Engine, Precision], dict[str, Path]] = {("torch", "float"): {}}
    for name, module in modules.items():
        files["torch", "float"][name] = place = folder / f"{name}.pt"
        torch.save(module.eval(), place)
    graphs = {
        "downscaler": downscaler_graph(bundle),
        "student": student_graph(bundle),
        "teacher": teacher_graph(teacher, bundle),
    }
    files["onnxruntime", "float"] = _written(graphs, folder, "float")
    if settings.int8:
        given = {"downscaler": inputs.views, "student": inputs.thumbnails, "teacher": inputs.views}
        kept = {"downscaler": plain_filters(graphs["downscaler"])}
        small = {name: quantised(graph, list(given[name]), kept.get(name, ())) for name, graph in graphs.items()}
        files["onnxruntime", "int8"] = _written(small, folder, "int8")
    return [
        Subject(
            way=way,
            engine=engine,
            precision=precision,
            files=tuple(networks[name] for name in NETWORKS[way]),
            preprocessing=preprocessing,
            threads=threads,
        )
        for (engine, precision), networks in files.items()
        for way in WAYS
    ]


def _written(graphs: dict[str, Any], folder: Path, precision: Precision) -> dict[str, Path]:
    places = {name: folder / f"{name}.{precision}.onnx" for name in graphs}
    for name, graph in graphs.items():
        write_atomically(places[name], graph.SerializeToString())
    return places
