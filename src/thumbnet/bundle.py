"""ThumbNet: the trained downscaler and student, their labels and preprocessing: what ships.

Holds no teacher. A bundle is a folder of safetensors and JSON; loading one never unpickles, and imports a user's module
only when told to.
"""

import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.bundle_description import BundleDescription, bundle_folder, read_description, write_description
from thumbnet.classification import Classification, Given, check_top, ranked_classes, what_is_given
from thumbnet.config import DownscalerSettings, Fit, TrainSettings
from thumbnet.data.preprocessing import Preprocessing, normalise, picture_to_image
from thumbnet.data.working_view import PictureSource
from thumbnet.errors import ConfigError
from thumbnet.hub import BUNDLE_FILES, HubBundle
from thumbnet.model_card import CardFacts, run_of_bundle
from thumbnet.networks.architectures import build_classifier, reparameterise, require_trust
from thumbnet.networks.downscaler import build_downscaler, to_8bit
from thumbnet.networks.hugging_face import config_of
from thumbnet.networks.pair import Pair
from thumbnet.networks.pruning import shapes_of, take_shapes
from thumbnet.networks.space_to_depth import statistics_of, widen_first_layer
from thumbnet.networks.student import fit_student
from thumbnet.networks.student_start import Colours
from thumbnet.networks.weights import load_weights, weights_as_bytes
from thumbnet.profiling import count_macs, count_parameters
from thumbnet.storage import write_atomically
from thumbnet.thumbnail_maker import ThumbnailMaker

_, DOWNSCALER_FILE, STUDENT_FILE = BUNDLE_FILES


class ThumbNet(HubBundle):
    """A trained downscaler and student.

    Args:
        description: Labels, sizes, preprocessing, architecture.
        downscaler: E.
        student: S.
        run: The run folder that it comes from, for its model card.
    """

    def __init__(
        self, description: BundleDescription, downscaler: nn.Module, student: nn.Module, run: Path | None = None
    ) -> None:
        super().__init__(run)
        self.description = description
        self.downscaler = downscaler.eval().requires_grad_(False)
        self.student = student.eval().requires_grad_(False)

    @classmethod
    def from_training(
        cls,
        pair: Pair,
        preprocessing: Preprocessing,
        labels: tuple[str, ...],
        settings: TrainSettings,
        downscaler: DownscalerSettings | None = None,
    ) -> "ThumbNet":
        """The bundle of a trained pair; the pair's own modules, not copies.

        Args:
            pair: E and S.
            preprocessing: How E wants its pictures.
            labels: Of S's outputs, in their order.
            settings: They were trained with.
            downscaler: With the start that it had; by default that of `settings`.
        """
        mean, std = (cast(Colours, values[:3]) for values in (pair.mean, pair.std))
        as_teacher = (mean, std) == (preprocessing.mean, preprocessing.std)
        description = BundleDescription(
            architecture=settings.student.network or settings.teacher,
            labels=labels,
            ratio=settings.ratio,
            preprocessing=preprocessing,
            downscaler=(downscaler or settings.downscaler).shipped(),
            student=settings.student.shipped(),
            multilabel=settings.multilabel,
            config=config_of(pair.student.network),
            student_mean=None if as_teacher else mean,
            student_std=None if as_teacher else std,
            pruned=shapes_of(pair.student.network) if settings.student.prune else None,
        )
        return cls(description, pair.downscaler, pair.student.network)

    @classmethod
    def load(cls, path: Path | str, *, allow_code: bool = False, device: str | torch.device = "cpu") -> "ThumbNet":
        """Loads a bundle.

        Args:
            path: A run folder, or a bundle folder.
            allow_code: Import the `package.module:factory` that the bundle names. Only for bundles you trust.
            device: Where it computes.

        Raises:
            CheckpointError: If there is no bundle, it is damaged, or it needs code that is not allowed.
        """
        folder = bundle_folder(Path(path))
        description = read_description(folder, Path(path))
        name = description.architecture
        require_trust(name, allow_code, f"the bundle in {folder}")
        student = build_classifier(name, "random", len(description.labels), description.config).network
        image_side = description.preprocessing.image_side
        thumbnail_side = image_side // description.ratio
        fit_student(student, description.student, image_side, thumbnail_side)
        widen_first_layer(student, description.student_channels, thumbnail_side)
        if description.pruned is not None:
            take_shapes(student, description.pruned)  # they are those of the fitted and widened student
        if description.reparameterised:
            student = reparameterise(student)
        load_weights(student, folder / STUDENT_FILE)
        downscaler = build_downscaler(description.downscaler, description.ratio)
        load_weights(downscaler, folder / DOWNSCALER_FILE)
        return cls(description, downscaler, student, run_of_bundle(folder)).to(device)

    def save(self, path: Path | str) -> None:
        """Writes the bundle; a bundle that is already there is replaced.

        Raises:
            StorageError: If the disk is full.
            ConfigError: If the folder may not be written to.
        """
        folder = Path(path)
        for name, network in ((DOWNSCALER_FILE, self.downscaler), (STUDENT_FILE, self.student)):
            write_atomically(folder / name, weights_as_bytes(network))
        write_description(folder, self.description)

    def reparameterised(self) -> "ThumbNet":
        """The same bundle with S's branches for training fused, as RepVGG and its kin have them; this one stays.

        The answers are the same but for rounding. A student without such branches is copied as it is.
        """
        student = reparameterise(copy.deepcopy(self.student))
        description = replace(self.description, reparameterised=True)
        return ThumbNet(description, copy.deepcopy(self.downscaler), student)

    def to(self, device: str | torch.device) -> "ThumbNet":
        """Moves both networks to a device, and returns itself."""
        self.downscaler.to(device)
        self.student.to(device)
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.description.labels

    @property
    def image_side(self) -> int:
        """Side of the image that the downscaler takes, px."""
        return self.description.preprocessing.image_side

    @property
    def thumbnail_side(self) -> int:
        """Side of the thumbnail, px."""
        return self.image_side // self.description.ratio

    @property
    def downscaler_macs(self) -> int:
        """Multiply-accumulates of the downscaler for one image."""
        return count_macs(self.downscaler, self.image_side)

    @property
    def student_macs(self) -> int:
        """Multiply-accumulates of the student for one thumbnail."""
        return count_macs(self.student, self.thumbnail_side, self.description.student_channels)

    @property
    def makes_pictures(self) -> bool:
        """Whether what the student takes is a picture; `all_information` hands it more than that."""
        return self.description.student_channels == 3

    def require_pictures(self) -> None:
        """Makes sure that thumbnails can be had.

        Raises:
            ConfigError: If the downscaler is a bound that makes no picture.
        """
        if not self.makes_pictures:
            kind = self.description.downscaler.kind
            raise ConfigError(f"downscaler: {kind} is a bound and makes no picture; train another --downscaler.kind")

    def thumbnail_maker(self, fit: Fit = "crop") -> ThumbnailMaker:
        """What makes thumbnails, by itself; `fit` as in `thumbnail`."""
        self.require_pictures()
        return ThumbnailMaker(self.downscaler, self.description.preprocessing, self.description.ratio, fit)

    def thumbnail(self, picture: PictureSource, fit: Fit = "crop") -> Image.Image:
        """Makes the thumbnail of a picture.

        Args:
            picture: A file's path or bytes, of which a large JPEG is decoded at reduced size; or an opened picture, of
                any size and mode, taken with all its pixels.
            fit: `crop` cuts the centre square as at evaluation; `short-side` keeps the whole picture.

        Returns:
            8-bit RGB, upright, in sRGB: `thumbnail_side` × `thumbnail_side`, or with that as its short side.

        Raises:
            PictureError: If it cannot be read, or is too small or too large to be a picture.
            ConfigError: If the downscaler makes no pictures.
        """
        maker = self.thumbnail_maker(fit)
        return Image.fromarray(maker.thumbnails(maker.view(maker.open(picture)[0])[None])[0])

    def classify(self, picture: PictureSource, top: int = 1, given: Given | None = None) -> Classification:
        """Classifies a full picture, or a thumbnail that was made before.

        Args:
            picture: A full picture, or a thumbnail; opened, or a file's path or bytes as for `thumbnail`.
            top: How many classes to rank.
            given: What `picture` is; by default one of exactly `thumbnail_side` × `thumbnail_side` is a thumbnail.

        Raises:
            ConfigError: If `top` is less than 1, a picture given as thumbnail has another size, or the downscaler makes
                no pictures.
            PictureError: If it cannot be read, or is too small or too large to be a picture.
        """
        check_top(top)
        maker = ThumbnailMaker(self.downscaler, self.description.preprocessing, self.description.ratio)
        upright, _ = maker.open(picture)
        given = what_is_given(upright.size, self.thumbnail_side, given or (None if self.makes_pictures else "picture"))
        if given == "thumbnail":
            self.require_pictures()
        values = (
            picture_to_image(upright).unsqueeze(0).to(self._device)
            if given == "thumbnail"
            else self.thumbnails(picture_to_image(Image.fromarray(maker.view(upright))).unsqueeze(0).to(self._device))
        )
        logits = self.logits(values)[0].float()
        scores = torch.sigmoid(logits) if self.description.multilabel else functional.softmax(logits, dim=0)
        return ranked_classes(scores.cpu().numpy(), self.labels, top, given)

    @torch.no_grad()
    def logits(self, thumbnail: Tensor) -> Tensor:
        """The student's logits `[batch, classes]` for what `thumbnails` gives."""
        preprocessing, channels = self.description.student_preprocessing, self.description.student_channels
        mean, std = (statistics_of(values, channels) for values in (preprocessing.mean, preprocessing.std))
        logits: Tensor = self.student(normalise(thumbnail, mean, std))
        return logits

    @torch.no_grad()
    def thumbnails(self, image: Tensor) -> Tensor:
        """Thumbnails `[batch, 3, side, side]` on the 8-bit grid for images `[batch, 3, image_side, image_side]`.

        Both in [0, 1]. Where the downscaler makes no pictures, there are `description.student_channels` channels.
        """
        return to_8bit(self.downscaler(image))

    def _card_facts(self) -> CardFacts:
        costs = {
            name: {"macs": macs, "parameters": count_parameters(network)}
            for name, network, macs in (
                ("downscaler", self.downscaler, self.downscaler_macs),
                ("student", self.student, self.student_macs),
            )
        }
        return CardFacts(description=asdict(self.description), costs=costs)

    @property
    def _device(self) -> torch.device:
        return next(self.student.parameters()).device
