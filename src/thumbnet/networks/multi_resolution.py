"""A student that is trained at several sides at once: shared weights, and batch norms of each side's own.

Source: Wang et al., "Resolution Switchable Networks for Runtime Efficient Image Recognition", ECCV 2020. Deviations:
one side ships, the others exist in training only; their thumbnails come from a fixed filter; and every side learns from
the label and the teacher, without the paper's ensemble of all sides.
"""

import contextlib
import copy
from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thumbnet.data.preprocessing import normalise
from thumbnet.errors import ConfigError, NetworkError
from thumbnet.networks.adapters import adapter_for, any_side
from thumbnet.networks.downscaler import FixedDownscaler, to_8bit
from thumbnet.networks.taps import trace_layers


def other_sides(
    student: nn.Module, ratios: Sequence[int], image_side: int, mean: Sequence[float], std: Sequence[float]
) -> "OtherSides | None":
    """The other sides at which a student trains, None where there are none; arguments as of `OtherSides`.

    Raises:
        ConfigError: If a ratio does not divide the image side.
        NetworkError: As `OtherSides`.
    """
    for ratio in ratios:
        if image_side % ratio:
            problem = f"ratio {ratio} does not divide the image side {image_side} px"
            raise ConfigError(f"student.extra_ratios: {problem}; leave out {ratio}")
    return OtherSides(student, ratios, image_side, mean, std) if ratios else None


class OtherSides(nn.Module):
    """What S says of the same images as thumbnails of other sides. Holds the private norms, not S.

    Args:
        network: S, fitted to its own side; its batch norms are copied for each other side.
        ratios: Of the image side to each other side.
        image_side: Side of the images, px.
        mean: Of S's normalisation.
        std: Of S's normalisation.

    Raises:
        NetworkError: If S has no batch norms, has a side built in, or does not run at one of the sides.
    """

    def __init__(
        self,
        network: nn.Module,
        ratios: Sequence[int],
        image_side: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        norms = {name: module for name, module in network.named_modules() if isinstance(module, _BatchNorm)}
        if not norms or adapter_for(network).resize is not any_side:
            lacks = "has no batch norms" if not norms else "has its side built in"
            raise NetworkError(f"student.extra_ratios: the network {lacks}; leave them out")
        for ratio in ratios:
            try:
                trace_layers(network, image_side // ratio)
            except NetworkError as error:
                raise NetworkError(f"student.extra_ratios: student {error}; leave out {ratio}") from error
        self.names = tuple(norms)
        self.mean, self.std = tuple(mean), tuple(std)
        self.downscalers = nn.ModuleList(FixedDownscaler(ratio, "bicubic") for ratio in ratios)
        self.norms = nn.ModuleList(nn.ModuleList(map(copy.deepcopy, norms.values())) for _ in ratios)

    def forward(
        self, network: nn.Module, image: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch classes"], ...]:
        """S's logits at each other side; gradients flow to its shared weights and to that side's norms.

        Args:
            network: S, or a view of it.
            image: In [0, 1].
        """
        logits = []
        for downscaler, norms in zip(self.downscalers, self.norms, strict=True):
            with torch.autocast(image.device.type, enabled=False):
                thumbnail = to_8bit(downscaler(image.float()))
            assert isinstance(norms, nn.ModuleList)
            with _in_place_of(network, zip(self.names, norms, strict=True)):
                logits.append(network(normalise(thumbnail, self.mean, self.std)))
        return tuple(logits)


@contextlib.contextmanager
def _in_place_of(network: nn.Module, layers: Iterable[tuple[str, nn.Module]]) -> Iterator[None]:
    """Puts other layers into a network for one call, by name."""
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    try:
        for name, layer in layers:
            parent, _, own = name.rpartition(".")
            place = network.get_submodule(parent)
            replaced.append((place, own, network.get_submodule(name)))
            setattr(place, own, layer)
        yield
    finally:
        for place, own, layer in replaced:
            setattr(place, own, layer)
