"""A trained pair without torch: thumbnails and answers from the graphs that `thumbnet export` wrote.

Needs numpy, Pillow and onnxruntime, and nothing else; a test blocks the rest. Pictures are read, turned upright and
resized by the very code that the bundle uses, so a thumbnail is the bundle's but for rounding: where the exact value
lies halfway between two levels, the two may take different ones.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thumbnet.classification import Classification, Given, check_top, ranked_classes, what_is_given
from thumbnet.config import Fit
from thumbnet.data.working_view import PictureSource, Pixels, open_picture, view_of
from thumbnet.deployment.exported_folder import DOWNSCALER, STUDENT, ExportDescription, read_export
from thumbnet.errors import CheckpointError, ConfigError

# Of `thumbnails` and `classify_many`; more at a time only fill the processor's caches.
AT_ONCE = 16
# On the processor E goes through fewer at a time: its hidden channels are kept for all of them at the working size, and
# more of them gain nothing but memory.
AT_ONCE_THROUGH_E = 4
PROCESSOR = ("CPUExecutionProvider",)
Run = Callable[[NDArray[Any]], NDArray[Any]]


class ThumbNetRuntime:
    """A downscaler and a student in onnxruntime.

    Args:
        description: Labels, sides, preprocessing.
        downscaler: From uint8 pictures `[batch, height, width, 3]` to uint8 thumbnails.
        student: From uint8 thumbnails `[batch, side, side, 3]` to probabilities `[batch, classes]`.

    Attributes are named as the arguments; both graphs may be called from several threads.
    """

    def __init__(self, description: ExportDescription, downscaler: Run, student: Run) -> None:
        self.description = description
        self.downscaler = downscaler
        self.student = student

    @classmethod
    def load(
        cls, folder: Path | str, *, providers: Sequence[str] | None = None, threads: int | None = None
    ) -> "ThumbNetRuntime":
        """Loads an export.

        Args:
            folder: What `thumbnet export --output` wrote.
            providers: Of onnxruntime, the preferred first; by default the processor.
            threads: Of one graph on the processor; by default onnxruntime's own choice, one a core.

        Raises:
            CheckpointError: If there is no export, it is damaged, or for another engine.
            ConfigError: If onnxruntime is not installed, or has no such provider.
        """
        folder = Path(folder)
        description = read_export(folder)
        if description.engine != "onnx":
            problem = f"{folder} is an export for {description.engine}, and this runtime reads those for onnx"
            raise CheckpointError(f"{problem}; make one with `thumbnet export`")
        downscaler, student = (open_graph(folder / name, providers, threads) for name in (DOWNSCALER, STUDENT))
        if providers is None:
            downscaler = in_parts(downscaler)
        return cls(description, downscaler, student)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.description.labels

    @property
    def image_side(self) -> int:
        """Side of the square that the classifier sees of a picture, px."""
        return self.description.image_side

    @property
    def thumbnail_side(self) -> int:
        """Side of the thumbnail, px."""
        return self.description.thumbnail_side

    def thumbnail(self, picture: PictureSource, fit: Fit = "crop") -> Image.Image:
        """Makes the thumbnail of a picture.

        Args:
            picture: A file's path or bytes, of which a large JPEG is decoded at reduced size; an opened Pillow picture;
                or an array `[height, width, 3]` of uint8 RGB.
            fit: `crop` cuts the centre square as at evaluation; `short-side` keeps the whole picture.

        Returns:
            8-bit RGB, upright, in sRGB: `thumbnail_side` × `thumbnail_side`, or with that as its short side.

        Raises:
            PictureError: If it cannot be read, or is too small or too large to be a picture.
        """
        upright, _ = open_picture(picture, self.description.preprocessing, fit)
        return Image.fromarray(self.downscaler(self.view(upright, fit)[None])[0])

    def classify(self, picture: PictureSource, top: int = 1, given: Given | None = None) -> Classification:
        """Classifies a full picture, or a thumbnail that was made before.

        Args:
            picture: A full picture, or a thumbnail; as for `thumbnail`.
            top: How many classes to rank.
            given: What `picture` is; by default one of exactly `thumbnail_side` × `thumbnail_side` is a thumbnail.

        Raises:
            ConfigError: If `top` is less than 1, or a picture given as thumbnail has another size.
            PictureError: If it cannot be read, or is too small or too large to be a picture.
        """
        return self.classify_many([picture], top, given)[0]

    def classify_many(
        self, pictures: Sequence[PictureSource], top: int = 1, given: Given | None = None
    ) -> list[Classification]:
        """Classifies any number of pictures, full ones and thumbnails in any order, in batches.

        Args:
            pictures: Each as for `classify`.
            top: How many classes to rank.
            given: What they are; by default each is judged by its size.

        Raises:
            ConfigError: As `classify` does.
            PictureError: If one of them cannot be read.
        """
        check_top(top)
        answers: list[Classification] = []
        for start in range(0, len(pictures), AT_ONCE):
            thumbnails, kinds = self._thumbnails(pictures[start : start + AT_ONCE], given)
            scores = self.student(thumbnails)
            answers += [ranked_classes(one, self.labels, top, kind) for one, kind in zip(scores, kinds, strict=True)]
        return answers

    def thumbnails(self, pictures: Sequence[PictureSource]) -> list[Image.Image]:
        """Makes the thumbnails of any number of pictures in batches; each is the one that `thumbnail` makes.

        Args:
            pictures: Each as for `thumbnail`.

        Raises:
            PictureError: If one of them cannot be read.
        """
        made: list[Image.Image] = []
        for start in range(0, len(pictures), AT_ONCE):
            some, _ = self._thumbnails(pictures[start : start + AT_ONCE], "picture")
            made += [Image.fromarray(one) for one in some]
        return made

    def view(self, upright: Image.Image, fit: Fit = "crop") -> Pixels:
        """What `downscaler` takes of a picture that is already upright RGB."""
        return view_of(upright, self.description.preprocessing, self.description.ratio, fit)

    def _thumbnails(self, pictures: Sequence[PictureSource], given: Given | None) -> tuple[Pixels, list[Given]]:
        opened = [open_picture(picture, self.description.preprocessing)[0] for picture in pictures]
        kinds = [what_is_given(picture.size, self.thumbnail_side, given) for picture in opened]
        full = [position for position, kind in enumerate(kinds) if kind == "picture"]
        thumbnails = np.empty((len(opened), self.thumbnail_side, self.thumbnail_side, 3), dtype=np.uint8)
        for position, kind in enumerate(kinds):
            if kind == "thumbnail":
                thumbnails[position] = np.asarray(opened[position])
        if full:
            thumbnails[full] = self.downscaler(np.stack([self.view(opened[position]) for position in full]))
        return thumbnails, kinds


def open_graph(file: Path | bytes, providers: Sequence[str] | None = None, threads: int | None = None) -> Run:
    """A graph with one input and one output as a function of arrays; the arguments are those of `ThumbNetRuntime.load`.

    Raises:
        CheckpointError: If the graph is missing or damaged.
        ConfigError: If onnxruntime is not installed, or has no such provider.
    """
    session = open_session(file, providers, threads)
    name = session.get_inputs()[0].name
    return lambda values: session.run(None, {name: values})[0]


def in_parts(run: Run, most: int = AT_ONCE_THROUGH_E) -> Run:
    """The same function of arrays, with at most so many pictures at a time."""

    def run_parts(values: NDArray[Any]) -> NDArray[Any]:
        if len(values) <= most:
            return run(values)
        return np.concatenate([run(values[start : start + most]) for start in range(0, len(values), most)])

    return run_parts


def open_session(file: Path | bytes, providers: Sequence[str] | None = None, threads: int | None = None) -> Any:
    """The same as a session of onnxruntime."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError("the runtime needs the package onnxruntime; run: pip install onnxruntime") from error
    wanted = list(PROCESSOR if providers is None else providers)
    known = onnxruntime.get_available_providers()
    foreign = [name for name in wanted if name not in known]
    if foreign:
        raise ConfigError(f"providers: onnxruntime has no {foreign[0]} here; choose among {', '.join(known)}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Each graph has threads of its own, which would go on spinning for work while the next graph wants their cores:
    # downscaler and student one after the other took twice as long.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(
            file if isinstance(file, bytes) else str(file), sess_options=options, providers=wanted
        )
    except Exception as error:  # onnxruntime's own exceptions share no base but this
        reason = str(error).splitlines()[0]
        place = "the graph" if isinstance(file, bytes) else str(file)
        raise CheckpointError(f"{place} cannot be loaded ({reason}); export the bundle again") from error
