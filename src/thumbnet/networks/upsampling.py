"""Enlarging a thumbnail to the image side before a network sees it: the teacher's whole compute on what it holds."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.networks.detail_decoder import NAME as DECODER
from thumbnet.networks.detail_decoder import decoder_of


@dataclass(frozen=True)
class Upsampling:
    """A hook that enlarges the input of a network: bicubic (a = -0.75), without antialiasing.

    It stays with the network and may be shared by its copies, for it holds nothing that changes.

    Attributes:
        side: To which it enlarges, px.
    """

    side: int

    def __call__(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """The input at `side`; one of that side stays as it is."""
        (picture,) = inputs
        if picture.shape[-1] == self.side:
            return picture
        return functional.interpolate(picture, size=(self.side, self.side), mode="bicubic", align_corners=False)


class _Enlarged(nn.Module):
    """The same as a layer."""

    def __init__(self, upsampling: Upsampling) -> None:
        super().__init__()
        self.upsampling = upsampling

    def forward(self, picture: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 side side"]:
        return self.upsampling(self, (picture,))


def upsample_input(network: nn.Module, side: int) -> None:
    """Enlarges what a network's own layers see, in place: its input, or what its detail decoder makes of it.

    Args:
        network: With its detail decoder, where it is to have one; all layers keep their names.
        side: To which it enlarges, px.
    """
    if decoder_of(network) is None or not isinstance(network, nn.Sequential):
        network.register_forward_pre_hook(Upsampling(side))  # after the decoder's own, which was there before
        return
    # Layers in a row call their decoder as the first of them, so what enlarges is the second.
    own = dict(network._modules)
    network._modules.clear()
    network.add_module(DECODER, own.pop(DECODER))
    network.add_module("upsampling", _Enlarged(Upsampling(side)))
    network._modules.update(own)
