"""E, S and T as ONNX graphs of uint8 pictures: all scaling, rounding and normalisation is inside."""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional

from thumbnet.bundle import ThumbNet
from thumbnet.data.preprocessing import Preprocessing, levels_to_values, normalise
from thumbnet.deployment.view_graph import IR_VERSION, OPSET
from thumbnet.errors import ExportError

# What an example has along each side, in thumbnail pixels: different, and nothing that a network could single out.
_EXAMPLE_SIDES = (8, 9)


class DownscalerGraph(nn.Module):
    """Uint8 pictures `[batch, height, width, 3]` to uint8 thumbnails; both sides divisible by the ratio."""

    def __init__(self, downscaler: nn.Module) -> None:
        super().__init__()
        self.downscaler = downscaler

    def forward(self, picture: Tensor) -> Tensor:
        """The very steps of `ThumbnailMaker.thumbnails`."""
        image = levels_to_values(picture.permute(0, 3, 1, 2).contiguous().float())
        thumbnail: Tensor = self.downscaler(image).clamp(0, 1).mul(255).round().to(torch.uint8)
        # Engines for small devices take a memory format as it comes, so both ends are made plain.
        return thumbnail.contiguous().permute(0, 2, 3, 1).contiguous()


class ClassifierGraph(nn.Module):
    """Uint8 pictures `[batch, side, side, 3]` to probabilities `[batch, classes]`: S on thumbnails, or T on views."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, multilabel: bool) -> None:
        super().__init__()
        self.network = network
        self.mean, self.std = preprocessing.mean, preprocessing.std
        self.multilabel = multilabel

    def forward(self, picture: Tensor) -> Tensor:
        """The very steps of `ThumbNet.classify`."""
        values = levels_to_values(picture.permute(0, 3, 1, 2).contiguous().float())
        logits = self.network(normalise(values, self.mean, self.std)).float()
        return torch.sigmoid(logits) if self.multilabel else functional.softmax(logits, dim=1)


def student_network(bundle: ThumbNet) -> ClassifierGraph:
    """S with its preprocessing; branches for training are fused."""
    bundle = bundle.reparameterised()
    description = bundle.description
    return ClassifierGraph(bundle.student, description.student_preprocessing, description.multilabel)


def teacher_network(teacher: nn.Module, bundle: ThumbNet) -> ClassifierGraph:
    """T with its preprocessing."""
    return ClassifierGraph(teacher.eval(), bundle.description.preprocessing, bundle.description.multilabel)


def downscaler_graph(bundle: ThumbNet) -> Any:
    """E, from `picture` to `thumbnail`.

    Raises:
        ExportError: If it cannot be exported.
    """
    picture, sides = downscaler_example(bundle)
    model = _to_onnx(DownscalerGraph(bundle.downscaler), picture, sides, ("picture", "thumbnail"))
    _name_sides(model.graph.input[0], ("batch", "height", "width"))
    _name_sides(model.graph.output[0], ("batch", "thumbnail_height", "thumbnail_width"))
    return model


def student_graph(bundle: ThumbNet) -> Any:
    """S, from `thumbnail` to `probabilities`.

    Raises:
        ExportError: If it cannot be exported.
    """
    return _classifier_graph(student_network(bundle), bundle.thumbnail_side, "thumbnail")


def teacher_graph(teacher: nn.Module, bundle: ThumbNet) -> Any:
    """T, from `picture`, the working view, to `probabilities`.

    Raises:
        ExportError: If it cannot be exported.
    """
    return _classifier_graph(teacher_network(teacher, bundle), bundle.image_side, "picture")


def _classifier_graph(network: ClassifierGraph, side: int, given: str) -> Any:
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    model = _to_onnx(network, example, {}, (given, "probabilities"))
    for value in (model.graph.input[0], model.graph.output[0]):
        _name_sides(value, ("batch",))
    return model


def downscaler_example(bundle: ThumbNet) -> tuple[Tensor, dict[int, Any]]:
    """An input of E to export it with, and what of its shape is open beside the number of pictures."""
    ratio = bundle.description.ratio
    height, width = (ratio * side for side in _EXAMPLE_SIDES)
    sides = {1: ratio * Dim("height", min=2), 2: ratio * Dim("width", min=2)}
    return torch.zeros(2, height, width, 3, dtype=torch.uint8), sides


def _to_onnx(network: nn.Module, example: Tensor, sides: Mapping[int, Any], names: tuple[str, str]) -> Any:
    shapes = ({0: Dim("batch"), **sides},)
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"), torch.no_grad():
            exported = torch.export.export(network.eval(), (example,), dynamic_shapes=shapes)
            program = torch.onnx.export(
                exported,
                dynamo=True,
                input_names=names[:1],
                output_names=names[1:],
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:  # torch's exporter answers with almost any exception
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"what makes the {names[1]} cannot be exported to ONNX ({reason})") from error
    finally:
        exporter.setLevel(level)
    assert program is not None
    model = program.model_proto
    _strip(model)
    model.ir_version = IR_VERSION
    return model


def _strip(model: Any) -> None:
    """Leaves out what torch notes on the way: its own names for sides, and where on this machine each node was made."""
    del model.graph.value_info[:], model.graph.metadata_props[:], model.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]


def _name_sides(value: Any, names: tuple[str, ...]) -> None:
    for dimension, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
        if not dimension.dim_value:
            dimension.dim_param = name
