"""Patches at a thumbnail's edge: a side that patches do not divide is padded, so that every pixel is read.

A vision transformer of patch 16 cuts a thumbnail of 56 px into 3 × 3 patches and never looks at its last 8 rows and
columns, a quarter of it. Padded to 64 px it has 4 × 4, as an image of 224 px has 14 × 14.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from thumbnet.networks.detail_decoder import change_input
from thumbnet.networks.taps import LayerTrace


@dataclass(frozen=True)
class Padding:
    """A hook that pads the input of a network on all sides, by its border pixels, to a multiple of the patch.

    It stays with the network and may be shared by its copies, for it holds nothing that changes.

    Attributes:
        patch: Side of a patch, px.
    """

    patch: int

    def __call__(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """The input with sides that are multiples of the patch; one with such sides stays as it is."""
        (picture,) = inputs
        rows, columns = (-side % self.patch for side in picture.shape[-2:])
        if not rows and not columns:
            return picture
        around = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return functional.pad(picture, around, mode="replicate")


def patch_side(network: nn.Module, traces: Sequence[LayerTrace], side: int) -> int:
    """Side of the patches that a network cuts its picture into, px; 1 where its first layer's windows overlap.

    Args:
        network: Any classifier.
        traces: `trace_layers` of it.
        side: Of the picture in these, px.
    """
    first = [network.get_submodule(trace.name) for trace in traces if trace.strided and trace.side_before == side]
    patches = {_patch(layer) for layer in first}
    return patches.pop() if len(patches) == 1 else 1


def _patch(layer: nn.Module) -> int:
    whole = isinstance(layer, nn.Conv2d) and layer.kernel_size == layer.stride and set(layer.padding) == {0}
    return layer.kernel_size[0] if whole and isinstance(layer, nn.Conv2d) else 1


def pad_to_patches(network: nn.Module, patch: int) -> None:
    """Pads what a network's own layers see to whole patches, in place; all layers keep their names."""
    change_input(network, "padding", Padding(patch))
