"""T: the frozen teacher."""

import re

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thumbnet.errors import NetworkError
from thumbnet.networks.adapters import head_names
from thumbnet.networks.taps import Features, TappedNetwork


class Teacher(nn.Module):
    """A classifier that never changes: no gradients, and batch norm in eval mode through every `.train()`.

    Args:
        tapped: The classifier and the layers to read. It is frozen in place.
    """

    def __init__(self, tapped: TappedNetwork) -> None:
        super().__init__()
        self.tapped = tapped.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "Teacher":
        """Stays in eval mode whatever `mode` says."""
        return super().train(False)

    @torch.no_grad()
    def forward(
        self, normalised: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch classes"], Features]:
        """Logits and tapped features; no gradient flows."""
        self.train()  # an inner module may have been put into train mode by itself
        logits, features = self.tapped(normalised)
        return logits, features


def count_classes(network: nn.Module, image_side: int) -> int:
    """Number of outputs of a classifier, found by asking it once.

    Raises:
        NetworkError: If it cannot run at this side or does not give one logit a class.
    """
    parameter = next(network.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            logits = network(torch.zeros(1, 3, image_side, image_side, device=device))
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = f"give --image-side{_or_its_heads(network, reason)}"
        raise NetworkError(f"teacher cannot run at {image_side}×{image_side} px ({reason}); {advice}") from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        raise NetworkError("teacher: its output is not one row of logits a picture; wrap it so that it is")
    return int(logits.shape[1])


def _or_its_heads(network: nn.Module, reason: str) -> str:
    """What else to do where layers disagree about a number of classes: a factory's network may hide further heads."""
    heads = [network.get_submodule(name) for name in head_names(network)]
    outputs = {getattr(head, "out_features", None) or getattr(head, "out_channels", None) for head in heads}
    disagree = any(re.search(rf"\b{number}\b", reason) for number in outputs)
    return ", or, if it has several heads, a factory that takes num_classes" if disagree else ""


def check_classes(network: nn.Module, image_side: int, classes: tuple[str, ...]) -> None:
    """Makes sure that the teacher speaks of the data's classes.

    Raises:
        NetworkError: If the numbers differ.
    """
    outputs = count_classes(network, image_side)
    if outputs != len(classes):
        problem = f"teacher gives {outputs} classes, the data has {len(classes)} ({', '.join(classes[:3])}, …)"
        advice = (
            "fine-tune it first with `thumbnet train-teacher`, then give its teacher.safetensors as --teacher-weights"
        )
        raise NetworkError(f"{problem}; {advice}")
