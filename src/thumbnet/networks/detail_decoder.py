"""The detail decoder: the student's own first layers that read back what the downscaler hid in the thumbnail.

Ours, not the paper's. A few grey levels of a thumbnail can say what its pixels left out: where an edge runs inside one
of them, or that stripes were there. A downscaler learns to write it and these layers to read it, both towards the image
at twice the thumbnail's side (`loss.dm`), and the network behind them sees that as its picture.
"""

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.networks.taps import DETAIL, TappedNetwork

COLOURS = 3
ENLARGEMENT = 2
CHANNELS = 16
NAME = "detail_decoder"
# What the upper (or left) and the lower (or right) of two new pixels take of the three pixels around theirs.
_BILINEAR = (torch.tensor([0.25, 0.75, 0.0]), torch.tensor([0.0, 0.75, 0.25]))


class DetailDecoder(nn.Module):
    """A thumbnail to a picture of twice its side: two layers, and the thumbnail itself beside the hidden channels.

    It starts as the bilinear enlargement. Borders are replicated.
    """

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Conv2d(COLOURS, CHANNELS, 5, padding=2, padding_mode="replicate")
        self.write = nn.Conv2d(
            COLOURS + CHANNELS, COLOURS * ENLARGEMENT**2, 3, padding=1, padding_mode="replicate", bias=False
        )
        with torch.no_grad():
            self.write.weight.zero_()
            for colour in range(COLOURS):
                for place, (row, column) in enumerate((r, c) for r in _BILINEAR for c in _BILINEAR):
                    self.write.weight[colour * ENLARGEMENT**2 + place, colour] = torch.outer(row, column)

    def forward(
        self, normalised: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 twice_height twice_width"]:
        """A normalised thumbnail to a normalised picture."""
        hidden = functional.relu(self.read(normalised))
        return functional.pixel_shuffle(self.write(torch.cat([normalised, hidden], dim=1)), ENLARGEMENT)


class _ReadFirst:
    """A hook that hands a network's input to its detail decoder first; it holds nothing, so copies may share it."""

    def __call__(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        return cast(Tensor, network.get_submodule(NAME)(inputs[0]))


def add_detail_decoder(network: nn.Module) -> None:
    """Gives a network a detail decoder before its first layer, in place; all of its own layers keep their names."""
    # It comes first among the layers, since the last layer of a network is looked for at their end.
    own = dict(network._modules)
    network._modules.clear()
    network.add_module(NAME, DetailDecoder())
    network._modules.update(own)
    if not isinstance(network, nn.Sequential):  # which calls its layers in their order anyway
        network.register_forward_pre_hook(_ReadFirst())


class _Change(nn.Module):
    """A hook as a layer."""

    def __init__(self, hook: Callable[[nn.Module, tuple[Tensor, ...]], Tensor]) -> None:
        super().__init__()
        self.hook = hook

    def forward(
        self, picture: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels new_height new_width"]:
        return self.hook(self, (picture,))


def change_input(network: nn.Module, name: str, hook: Callable[[nn.Module, tuple[Tensor, ...]], Tensor]) -> None:
    """Has a hook change what a network's own layers see, in place: its input, or what its detail decoder makes of it.

    Args:
        network: With its detail decoder, where it is to have one; all layers keep their names.
        name: Of the layer that the hook becomes where a hook would come before the decoder.
        hook: Takes the network and its inputs, gives the picture that it sees instead.
    """
    if decoder_of(network) is None or not isinstance(network, nn.Sequential):
        network.register_forward_pre_hook(hook)  # after the decoder's own, which was there before
        return
    # Layers in a row call their decoder as the first of them, so what changes its picture is the second.
    own = dict(network._modules)
    network._modules.clear()
    network.add_module(NAME, own.pop(NAME))
    network.add_module(name, _Change(hook))
    network._modules.update(own)


def decoder_of(network: nn.Module) -> DetailDecoder | None:
    """The detail decoder of a network, None where it has none."""
    found = dict(network.named_children()).get(NAME)
    return found if isinstance(found, DetailDecoder) else None


def tapped_student(
    student: nn.Module, layers: tuple[str, ...], keys: tuple[str, ...], embedding: bool
) -> TappedNetwork:
    """A student with its taps, and where it has a detail decoder one on that, under the key `detail`."""
    if decoder_of(student) is not None:
        layers, keys = (*layers, NAME), (*keys, DETAIL)
    return TappedNetwork(student, layers, keys, embedding=embedding)
