"""Enlarging a thumbnail to the image side before a network sees it: the teacher's whole compute on what it holds."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from thumbnet.networks.detail_decoder import change_input


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


def upsample_input(network: nn.Module, side: int) -> None:
    """Enlarges what a network's own layers see, in place: its input, or what its detail decoder makes of it.

    Args:
        network: With its detail decoder, where it is to have one; all layers keep their names.
        side: To which it enlarges, px.
    """
    change_input(network, "upsampling", Upsampling(side))
