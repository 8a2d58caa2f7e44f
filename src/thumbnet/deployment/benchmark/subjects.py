"""What is timed: a way from an input to an answer, by one engine.

Every network is a function of uint8 arrays, in PyTorch as in onnxruntime, so that all do the same work.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from thumbnet.data.working_view import Pixels, Preprocessing, open_picture, view_of
from thumbnet.deployment.runtime import Run, in_parts, open_graph

Way = Literal["teacher", "student", "downscaler + student", "teacher from JPEG", "downscaler + student from JPEG"]
Engine = Literal["torch", "onnxruntime"]
Precision = Literal["float", "int8"]
WAYS: tuple[Way, ...] = (
    "teacher",
    "student",
    "downscaler + student",
    "teacher from JPEG",
    "downscaler + student from JPEG",
)
# What each way is compared with: the teacher on the same input, and for ready thumbnails on the picture.
BESIDE: dict[Way, Way] = {
    "teacher": "teacher",
    "student": "teacher",
    "downscaler + student": "teacher",
    "teacher from JPEG": "teacher from JPEG",
    "downscaler + student from JPEG": "teacher from JPEG",
}
NETWORKS: dict[Way, tuple[str, ...]] = {
    "teacher": ("teacher",),
    "student": ("student",),
    "downscaler + student": ("downscaler", "student"),
    "teacher from JPEG": ("teacher",),
    "downscaler + student from JPEG": ("downscaler", "student"),
}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One way by one engine.

    Attributes:
        way: From which input to the answer.
        engine: What computes.
        precision: Of the networks.
        files: A file for each of the way's networks, in order: a graph, or a module that `torch.save` wrote.
        preprocessing: The classifier's, for ways that begin with a file.
        threads: Of each network, and of decoding.
    """

    way: Way
    engine: Engine
    precision: Precision
    files: tuple[Path, ...]
    preprocessing: Preprocessing
    threads: int

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.way}, {self.engine} {self.precision}"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The same pictures in the forms that ways begin with.

    Attributes:
        files: Their JPEG files' bytes.
        views: uint8 working views `[pictures, side, side, 3]`.
        thumbnails: uint8 thumbnails of the bundle's.
    """

    files: tuple[bytes, ...]
    views: Pixels
    thumbnails: Pixels

    def batch(self, way: Way, size: int, number: int) -> Any:
        """The `number`-th batch of a way's inputs, beginning again at the end."""
        places = [(number * size + place) % len(self.files) for place in range(size)]
        if way.endswith("JPEG"):
            return [self.files[place] for place in places]
        return (self.thumbnails if way == "student" else self.views)[places]


def load(subject: Subject) -> Callable[[Any], NDArray[Any]]:
    """The subject as a function from a batch of its inputs to probabilities."""
    if subject.engine == "torch":
        networks = [_torch_network(file, subject.threads) for file in subject.files]
    else:
        networks = [open_graph(file, threads=subject.threads) for file in subject.files]
    # As the runtime and the bundle run it.
    names = NETWORKS[subject.way]
    networks = [in_parts(run) if name == "downscaler" else run for name, run in zip(names, networks, strict=True)]
    if not subject.way.endswith("JPEG"):
        return partial(_through, networks)
    pool = ThreadPoolExecutor(subject.threads, thread_name_prefix="decoder")
    return partial(_from_files, pool, subject.preprocessing, networks)


def _through(networks: Sequence[Run], pixels: Pixels) -> NDArray[Any]:
    for network in networks:
        pixels = network(pixels)
    return pixels


def _from_files(
    pool: ThreadPoolExecutor, preprocessing: Preprocessing, networks: Sequence[Run], files: Sequence[bytes]
) -> NDArray[Any]:
    views = pool.map(partial(_view, preprocessing), files)
    return _through(networks, np.stack(list(views)))


def _view(preprocessing: Preprocessing, content: bytes) -> Pixels:
    # The ratio matters to whole pictures only.
    return view_of(open_picture(content, preprocessing)[0], preprocessing, ratio=1)


def _torch_network(file: Path, threads: int) -> Run:
    import torch

    torch.set_num_threads(threads)
    network = torch.load(file, weights_only=False)  # written by this process a moment ago

    @torch.inference_mode()
    def run(pixels: Pixels) -> NDArray[Any]:
        answer: NDArray[Any] = network(torch.from_numpy(pixels)).numpy()
        return answer

    return run
