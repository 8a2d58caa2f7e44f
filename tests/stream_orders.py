"""Orders of a stream of ten pictures."""

from collections.abc import Callable
from typing import Any

from thumbnet.data.stream_batches import StreamOrder
from thumbnet.data.streaming import PictureStream

StreamOf = Callable[..., PictureStream]
COUNT = 10


def order_of(stream: PictureStream, epoch: int = 0, start: int = 0, **options: Any) -> StreamOrder:
    order = StreamOrder(stream, **{"batch_size": 4, "micro_batches": 2, "batches": 2, "seed": 0, **options})
    order.epoch, order.start = epoch, start
    return order
