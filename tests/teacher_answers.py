"""Made-up answers of a teacher, and caches that hold them."""

from collections.abc import Callable

import torch
from torch import Tensor

from thumbnet.data.teacher_cache import TeacherCache

OpenCache = Callable[..., TeacherCache]
SHAPES: dict[str, tuple[int, ...]] = {"logits": (5,), "stage.1": (4, 2, 2)}
ROW_BYTES = 2 * (5 + 16)
CPU = torch.device("cpu")


def answers(count: int, seed: int = 0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {name: torch.randn(count, *shape, generator=random) for name, shape in SHAPES.items()}


def rows_of(cache: TeacherCache, *rows: int) -> dict[str, Tensor]:
    return cache.read(torch.tensor(rows), CPU)


def filled_cache(open_cache: OpenCache, key: str = "key") -> TeacherCache:
    cache = open_cache(key)
    cache.append(answers(10))
    cache.save()
    return cache
