"""How often networks are right: accuracies of logits, and the logits of a pair over a loader."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from thumbnet import processes
from thumbnet.data.batches import Batch, to_image
from thumbnet.data.labelled import LabelKind
from thumbnet.networks.pair import Pair

# The one number by which networks are compared.
HEADLINES: dict[LabelKind, str] = {"single": "top1", "soft": "top1", "multi": "map", "none": "agreement"}


def accuracies(logits: Tensor, labels: Tensor, classes: tuple[str, ...], kind: LabelKind = "single") -> dict[str, Any]:
    """What can be said of logits beside labels, as shares of 1.

    Args:
        logits: `[pictures, classes]`.
        labels: As in `Batch`: class indices `[pictures]`, or a row a picture.
        classes: Names, in the order of the logits.
        kind: What a label is.

    Returns:
        `top1`, `top5` (of all classes where there are fewer) and `per_class` (of the classes that any picture has); a
        soft label counts as its largest share. With several labels a picture `map` (mean average precision), `f1` (of
        all labels together, a class counting as present where its logit is positive), and the average precision
        `per_class`. Nothing without labels.
    """
    if kind == "none":
        return {}
    if kind == "multi":
        return _multilabel_accuracies(logits, labels, classes)
    # Imported here: it takes longer than everything else that a command needs to begin.
    from torchmetrics.functional.classification import multiclass_accuracy

    count = len(classes)
    wanted = labels.argmax(dim=1) if labels.dim() == 2 else labels
    seen = set(wanted.tolist())
    per_class = multiclass_accuracy(logits, wanted, num_classes=count, average="none")
    return {
        "top1": float(multiclass_accuracy(logits, wanted, num_classes=count, average="micro")),
        "top5": float(multiclass_accuracy(logits, wanted, num_classes=count, average="micro", top_k=min(5, count))),
        "per_class": {name: float(per_class[i]) for i, name in enumerate(classes) if i in seen},
    }


def headline(logits: Tensor, labels: Tensor, classes: tuple[str, ...], kind: LabelKind) -> float:
    """The number by which networks are compared; without labels, `labels` is what the teacher said."""
    if kind == "none":
        return float((logits.argmax(dim=1) == labels).float().mean())
    return float(accuracies(logits, labels, classes, kind)[HEADLINES[kind]])


def agreement(logits: Tensor, others: Tensor, kind: LabelKind = "single") -> float:
    """Share of pictures of which two networks say the same; of labels, where a picture may have several."""
    if kind == "multi":
        return float(((logits > 0) == (others > 0)).float().mean())
    return float((logits.argmax(dim=1) == others.argmax(dim=1)).float().mean())


@torch.no_grad()
def logits_of(pair: Pair, loader: Iterable[Batch], device: torch.device, shared: bool = False) -> tuple[Tensor, Tensor]:
    """Logits `[pictures, classes]` and labels as in `Batch`, on the processor; the pair's mode is left as it was.

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


def _multilabel_accuracies(logits: Tensor, labels: Tensor, classes: tuple[str, ...]) -> dict[str, Any]:
    from torchmetrics.functional.classification import binary_average_precision

    present, said = labels > 0.5, logits > 0
    per_class = {
        name: float(binary_average_precision(torch.sigmoid(logits[:, i]), present[:, i].long()))
        for i, name in enumerate(classes)
        if present[:, i].any()
    }
    right, wrong = (present & said).sum(), (present ^ said).sum()
    return {
        "map": sum(per_class.values()) / len(per_class) if per_class else 0.0,
        "f1": float(2 * right / (2 * right + wrong).clamp(min=1)),
        "per_class": per_class,
    }
