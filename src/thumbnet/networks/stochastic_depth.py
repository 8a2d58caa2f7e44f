"""Stochastic depth: in training, residual blocks are skipped at random, picture by picture; never at evaluation.

Source: Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, with its linear rule: the chance that a block is
skipped rises from 0 for the first to the given one for the last.
"""

from torch import nn

from thumbnet.errors import NetworkError

# Where timm's and Hugging Face's residual blocks keep it.
ATTRIBUTES = ("drop_path", "drop_path1", "drop_path2")


def set_drop_path(network: nn.Module, rate: float) -> None:
    """Gives a network stochastic depth, in place; it adds no weights.

    Args:
        network: Any of timm, torchvision or Hugging Face whose residual blocks have a place for it.
        rate: Of the last block, 0 to 1; earlier ones have less, the first has none.

    Raises:
        NetworkError: If the network has no such blocks.
    """
    from timm.layers import DropPath
    from torchvision.ops import StochasticDepth

    modules = list(network.modules())
    blocks = [(module, places) for module in modules if (places := _places(module))]
    theirs = [module for module in modules if isinstance(module, StochasticDepth)]
    if not blocks and not theirs:
        known = "timm's have such blocks, torchvision's EfficientNet, ConvNeXt and Swin too"
        raise NetworkError(
            f"student.drop_path: the network has no blocks to skip; leave it out, or change it ({known})"
        )
    for number, (block, places) in enumerate(blocks):
        for place in places:
            skip = DropPath(rate * (number / max(1, len(blocks) - 1)))
            setattr(block, place, skip.train(block.training))
    for number, depth in enumerate(theirs):
        depth.p = rate * (number / max(1, len(theirs) - 1))


def _places(module: nn.Module) -> list[str]:
    """Attributes of a residual block that hold its stochastic depth, in use or not."""

    def holds(name: str) -> bool:
        value = getattr(module, name, False)
        # timm's ResNets keep None where there is none, all others an identity.
        unused = value is None and type(module).__module__.startswith("timm.")
        return unused or isinstance(value, nn.Identity) or type(value).__name__.endswith("DropPath")

    return [name for name in ATTRIBUTES if holds(name)]
