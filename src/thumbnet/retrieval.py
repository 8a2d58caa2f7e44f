"""How well a picture finds others of its class: nearest neighbours by cosine, as pure functions of features."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

QUERIES_AT_A_TIME = 512


class Retrieval(NamedTuple):
    """What each picture finds among all others, as shares of 1.

    Attributes:
        precision_at_1: 1 where the nearest is of the same class, else 0.
        precision_at_5: Share of the same class among the five nearest (of fewer, where there are fewer others).
        average_precision: Mean, over all others of the class, of the share of the class among those at least as near.
            Its mean over pictures is the mean average precision. 0 where there is no other of the class.
    """

    precision_at_1: Float[Tensor, "pictures"]
    precision_at_5: Float[Tensor, "pictures"]
    average_precision: Float[Tensor, "pictures"]


def retrieval(features: Float[Tensor, "pictures channels"], labels: Int[Tensor, "pictures"]) -> Retrieval:
    """Each picture is asked for the others of its class, nearest by cosine first; the earlier of two equally near.

    Args:
        features: Of any length but zero; two pictures or more.
        labels: Class indices.
    """
    directions = functional.normalize(features.double(), dim=1)
    parts = []
    for rows in torch.split(torch.arange(len(features)), QUERIES_AT_A_TIME):
        similarity = directions[rows] @ directions.T
        similarity[torch.arange(len(rows)), rows] = -torch.inf
        order = similarity.argsort(dim=1, descending=True, stable=True)[:, :-1]  # the last is the picture itself
        parts.append(_of_ranks((labels[order] == labels[rows, None]).double()))
    return Retrieval(*(torch.cat(values).float() for values in zip(*parts, strict=True)))


def _of_ranks(same: Float[Tensor, "queries others"]) -> tuple[Tensor, Tensor, Tensor]:
    precision = same.cumsum(dim=1) / torch.arange(1, same.shape[1] + 1)
    average = (precision * same).sum(dim=1) / same.sum(dim=1).clamp(min=1)
    return same[:, 0], same[:, :5].mean(dim=1), average
