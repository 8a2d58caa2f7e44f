"""How often networks are right: accuracies of logits, and the logits of a pair over a loader."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy

from thumbnet import processes
from thumbnet.data.batches import Batch, to_image
from thumbnet.networks.pair import Pair


def accuracies(logits: Tensor, labels: Tensor, classes: tuple[str, ...]) -> dict[str, Any]:
    """`top1`, `top5` (of all classes where there are fewer) and `per_class`, as shares of 1.

    Args:
        logits: `[pictures, classes]`.
        labels: Class indices `[pictures]`.
        classes: Names, in the order of the logits.
    """
    count = len(classes)
    per_class = multiclass_accuracy(logits, labels, num_classes=count, average="none")
    return {
        "top1": float(multiclass_accuracy(logits, labels, num_classes=count, average="micro")),
        "top5": float(multiclass_accuracy(logits, labels, num_classes=count, average="micro", top_k=min(5, count))),
        "per_class": {name: float(value) for name, value in zip(classes, per_class, strict=True)},
    }


def top1_of(pair: Pair, loader: Iterable[Batch], device: torch.device) -> float:
    """Share of pictures whose most probable class is right, where each process's loader has a share of them."""
    logits, labels = logits_of(pair, loader, device, shared=True)
    return float((logits.argmax(dim=1) == labels).float().mean())


@torch.no_grad()
def logits_of(pair: Pair, loader: Iterable[Batch], device: torch.device, shared: bool = False) -> tuple[Tensor, Tensor]:
    """Logits `[pictures, classes]` and labels `[pictures]`, on the processor; the pair's mode is left as it was.

    Args:
        pair: The networks.
        loader: Pictures in order.
        device: Where to compute.
        shared: Each process's loader has the next part of the pictures, and every process gets the whole.
    """
    training = pair.training
    pair.eval()
    logits, labels = [], []
    for batch in loader:
        logits.append(pair(to_image(batch, device)).logits.float().cpu())
        labels.append(batch.label)
    pair.train(training)
    if shared:
        return processes.gathered(logits), processes.gathered(labels)
    return torch.cat(logits), torch.cat(labels)
