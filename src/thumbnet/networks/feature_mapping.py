"""The feature mapping: decodes the student's features to the size of the teacher's. It exists in training only."""

import math
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.errors import NetworkError
from thumbnet.networks.taps import Features, LayerTrace


class FeatureMapping(nn.Module):
    """One decoder for each tapped layer.

    Args:
        decoders: By layer name.
    """

    def __init__(self, decoders: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.layers = tuple(decoders)
        self.decoders = nn.ModuleList(decoders.values())

    def forward(self, student_features: Features) -> Features:
        """Student features to the teacher's shapes, by layer name."""
        return {
            layer: decoder(student_features[layer]) for layer, decoder in zip(self.layers, self.decoders, strict=True)
        }


class Decoder(nn.Module):
    """Doubles the size with transposed convolutions until it reaches the target, then cuts to it (paper, figure 3).

    Args:
        student_shape: Channels, height, width of the student's features.
        teacher_shape: The same of the teacher's.
        channels: Most hidden channels between the transposed convolutions.
    """

    def __init__(self, student_shape: tuple[int, ...], teacher_shape: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.target_size = teacher_shape[1:]
        growth = max(target / own for target, own in zip(self.target_size, student_shape[1:], strict=True))
        doublings = max(0, math.ceil(math.log2(growth)))
        hidden = min(channels, student_shape[0], teacher_shape[0])
        steps: list[nn.Module] = []
        width = student_shape[0]
        for _ in range(doublings - 1):
            steps += [
                nn.ConvTranspose2d(width, hidden, kernel_size=2, stride=2, bias=False),
                nn.BatchNorm2d(hidden),
                nn.ReLU(inplace=True),
            ]
            width = hidden
        if doublings:
            steps.append(nn.ConvTranspose2d(width, teacher_shape[0], kernel_size=2, stride=2))
        else:
            steps.append(nn.Conv2d(width, teacher_shape[0], kernel_size=1))
        self.steps = nn.Sequential(*steps)

    def forward(
        self, features: Float[Tensor, "batch student_channels height width"]
    ) -> Float[Tensor, "batch teacher_channels teacher_height teacher_width"]:
        """Student features at the teacher's channels and size."""
        decoded: Tensor = self.steps(features)
        if decoded.shape[-2:] != self.target_size:
            # 2×2 doubles to 8×8, the teacher has 7×7.
            decoded = functional.interpolate(decoded, size=self.target_size, mode="bilinear", align_corners=False)
        return decoded


def build_decoders(
    teacher: Sequence[LayerTrace],
    student: Sequence[LayerTrace],
    layers: Sequence[str],
    channels: int,
    student_layers: Sequence[str] | None = None,
) -> dict[str, nn.Module]:
    """The decoders by layer of the teacher, from one probe of each network.

    Args:
        teacher: `trace_layers` of the teacher at the image side.
        student: `trace_layers` of the student at the thumbnail side.
        layers: Layers of the teacher to map onto, by name.
        channels: Most hidden channels of a decoder.
        student_layers: Layers of the student to map from, one for each; by default those of the same names.

    Raises:
        NetworkError: If a layer gives no spatial features.
    """
    teacher_traces = {trace.name: trace for trace in teacher}
    student_shapes = {trace.name: trace.shape for trace in student if trace.is_map}
    decoders: dict[str, nn.Module] = {}
    for layer, own in zip(layers, student_layers or layers, strict=True):
        trace = teacher_traces.get(layer)
        if student_layers and own not in student_shapes:
            asked = f"feature_mapping.student_layers: '{own}' of the student gives no channels × height × width"
            raise NetworkError(f"{asked}; choose a convolutional layer or block")
        if trace is None or not trace.is_map or own not in student_shapes:
            given = "is not there" if trace is None else f"gives {list(trace.shape)}, not channels × height × width"
            raise NetworkError(f"feature_mapping.layers: '{layer}' {given}; choose a convolutional layer or block")
        decoders[layer] = Decoder(student_shapes[own], trace.shape, channels)
    return decoders
