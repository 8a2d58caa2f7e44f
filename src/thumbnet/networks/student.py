"""S: a copy of the teacher at thumbnail size, weights included."""

import copy
import math
from collections.abc import Sequence

from torch import nn

from thumbnet.config import StudentSettings
from thumbnet.errors import NetworkError
from thumbnet.networks.taps import LayerTrace, trace_layers


def make_student(teacher: nn.Module, settings: StudentSettings, image_side: int, thumbnail_side: int) -> nn.Module:
    """Copies the teacher and fits the copy to the thumbnail.

    Args:
        teacher: The classifier whose architecture and weights the student starts from.
        settings: How to fit it.
        image_side: Side of the teacher's input, px.
        thumbnail_side: Side of the student's input, px.

    Returns:
        A trainable network that takes `[batch, 3, thumbnail_side, thumbnail_side]`.

    Raises:
        NetworkError: If the copy cannot run at the thumbnail side; names the layer that broke and the smallest side
            that works.
    """
    student = copy.deepcopy(teacher).requires_grad_(True)
    if settings.keep_stem_resolution:
        keep_stem_resolution(student, image_side)
    try:
        trace_layers(student, thumbnail_side)
    except NetworkError as error:
        smallest = smallest_side(student, thumbnail_side, image_side)
        advice = (
            f"the smallest side that works is {smallest} px"
            if smallest
            else "it does not run at the teacher's side either"
        )
        raise NetworkError(f"student {error}; {advice}: give a smaller --ratio or a larger --image-side") from error
    return student


def keep_stem_resolution(network: nn.Module, image_side: int) -> None:
    """Gives the first strided layer stride 1, in place: same weights, features twice as fine.

    Raises:
        NetworkError: If no layer has a stride.
    """
    smaller = (network.get_submodule(trace.name) for trace in trace_layers(network, image_side) if trace.strided)
    # A convolution without padding makes its input smaller, too, but not by a stride.
    layer = next((layer for layer in smaller if getattr(layer, "stride", 1) not in (1, (1, 1))), None)
    if layer is None:
        raise NetworkError("student.keep_stem_resolution: the network has no strided first layer; leave it out")
    layer.stride = 1 if isinstance(layer.stride, int) else (1, 1)  # type: ignore[assignment]


def smallest_side(network: nn.Module, too_small: int, works: int) -> int | None:
    """Smallest side in (too_small, works] at which a network runs, px; None where it does not run at all."""
    try:
        trace_layers(network, works)
    except NetworkError:
        return None
    while works - too_small > 1:
        middle = (works + too_small) // 2
        try:
            trace_layers(network, middle)
            works = middle
        except NetworkError:
            too_small = middle
    return works


def padding_warning(
    teacher: Sequence[LayerTrace], student: Sequence[LayerTrace], layers: Sequence[str], ratio: float
) -> str | None:
    """One line if the copy's features come out smaller than the teacher's divided by the ratio.

    Some networks bake "same" padding for one input size into their layers; a copy at another size then loses a row
    and a column at every stride without an error.

    Args:
        teacher: The teacher's layers at its own side.
        student: The student's layers at the thumbnail side.
        layers: Layers to compare.
        ratio: Expected ratio between their sides.
    """
    sides = {trace.name: trace.shape[-1] for trace in teacher if len(trace.shape) == 3}
    for trace in student:
        if trace.name in layers and trace.name in sides and len(trace.shape) == 3:
            expected = math.ceil(sides[trace.name] / ratio)
            if trace.shape[-1] < expected:
                found = f"the student's features at '{trace.name}' are {trace.shape[-1]} px wide, not {expected}"
                return f"{found}: its padding seems made for one input size; prefer a network that pads for any size"
    return None
