"""The networks of an export, as the server needs them."""

from pathlib import Path

import numpy as np
from PIL import Image

from thumbnet.classification import Given, what_is_given
from thumbnet.data.pictures import PictureLimits
from thumbnet.data.working_view import Pixels, open_picture
from thumbnet.deployment.exported_folder import TEACHER
from thumbnet.deployment.runtime import Run, ThumbNetRuntime, open_graph
from thumbnet.deployment.server.work import Decoded


class ExportedNetworks:
    """E, S and, where it was exported, T in onnxruntime.

    Args:
        runtime: E and S.
        teacher: From uint8 working views to probabilities.
    """

    def __init__(self, runtime: ThumbNetRuntime, teacher: Run | None = None) -> None:
        self.runtime = runtime
        self.labels = runtime.labels
        self.thumbnail_side = runtime.thumbnail_side
        self._teacher = teacher
        self.has_teacher = teacher is not None

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> "ExportedNetworks":
        """Loads an export.

        Raises:
            CheckpointError: If there is none, or it is damaged.
            ConfigError: If onnxruntime is not installed.
        """
        runtime = ThumbNetRuntime.load(folder, threads=threads)
        teacher = folder / TEACHER
        return cls(runtime, open_graph(teacher, threads=threads) if teacher.is_file() else None)

    def warm_up(self) -> None:
        """Runs every network once, so that the first request does not wait for what is prepared then."""
        side = self.runtime.image_side
        view = np.zeros((1, side, side, 3), dtype=np.uint8)
        self.scores(self.thumbnails(view))
        if self._teacher is not None:
            self._teacher(view)

    def decode(self, content: bytes, given: Given | None, limits: PictureLimits) -> Decoded:
        """A file's bytes as pixels; see `Networks`."""
        upright, _ = open_picture(content, self.runtime.description.preprocessing, limits=limits)
        kind = what_is_given(upright.size, self.thumbnail_side, given)
        return Decoded(
            pixels=np.asarray(upright) if kind == "thumbnail" else self.runtime.view(upright),
            given=kind,
        )

    def thumbnails(self, views: Pixels) -> Pixels:
        """E."""
        return self.runtime.downscaler(views)

    def plain(self, view: Pixels) -> Pixels:
        """A working view's bicubic thumbnail."""
        side = self.thumbnail_side
        return np.asarray(Image.fromarray(view).resize((side, side), Image.Resampling.BICUBIC))

    def scores(self, thumbnails: Pixels) -> np.ndarray:
        """S."""
        return self.runtime.student(thumbnails)

    def teacher_scores(self, views: Pixels) -> np.ndarray:
        """T."""
        assert self._teacher is not None
        return self._teacher(views)
