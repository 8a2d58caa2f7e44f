"""Settings of the pictures: where their labels are, the views that training draws, and the cache."""

from dataclasses import dataclass

from thumbnet.config.checks import require


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """The random geometric views that training draws from each picture.

    Attributes:
        per_image: Fixed views per picture, with the teacher's answers kept on disk; 0 draws fresh views every epoch and
            runs the teacher every step.
        scale: Smallest and largest share of the picture's area that a view covers.
        aspect: Smallest and largest width-to-height ratio of that area.
        horizontal_flip: Probability of a left-right flip.
        vertical_flip: Probability of an upside-down flip.
        dihedral: Show each view in one of its eight rotations and reflections, all as probable, in place of flips; for
            pictures with no up.
        randaugment: Magnitude, 0 to 30, of random changes of colour and shape (RandAugment); 0 makes none.
        randaugment_changes: How many such changes a view gets.
        random_erasing: Probability that a rectangle of the view is filled with noise.
        cached_flips: Show each fixed view left-right flipped in half of the epochs, with the teacher's cached features
            flipped and its logits kept: twice the views at no cost, for pictures that mean the same mirrored.
        crop_share: Share of the side that evaluation keeps in its centre crop; by default the teacher's own.
    """

    per_image: int = 0
    scale: tuple[float, float] = (0.5, 1.0)
    aspect: tuple[float, float] = (0.8, 1.25)
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0
    dihedral: bool = False
    randaugment: int = 0
    randaugment_changes: int = 2
    random_erasing: float = 0.0
    cached_flips: bool = False
    crop_share: float | None = None

    def __post_init__(self) -> None:
        require(self.per_image >= 0, "views.per_image", self.per_image, "0 (fresh views) or more")
        rising = len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1] <= 1
        require(rising, "views.scale", self.scale, "two rising shares of the area, e.g. [0.5, 1.0]")
        rising = len(self.aspect) == 2 and 0 < self.aspect[0] <= self.aspect[1]
        require(rising, "views.aspect", self.aspect, "two rising ratios, e.g. [0.8, 1.25]")
        for name in ("horizontal_flip", "vertical_flip", "random_erasing"):
            require(0 <= getattr(self, name) <= 1, f"views.{name}", getattr(self, name), "a probability from 0 to 1")
        require(0 <= self.randaugment <= 30, "views.randaugment", self.randaugment, "0 (off) to 30")
        require(self.randaugment_changes >= 1, "views.randaugment_changes", self.randaugment_changes, "1 or more")
        fixed = not (self.cached_flips and self.per_image == 0)
        asked = "false with --views.per_image 0: fresh views are flipped by --views.horizontal_flip"
        require(fixed, "views.cached_flips", self.cached_flips, asked)
        crops = self.crop_share is None or 0 < self.crop_share <= 1
        require(crops, "views.crop_share", self.crop_share, "more than 0, at most 1")


@dataclass(frozen=True, kw_only=True)
class MixSettings:
    """Mixing of pictures: teacher and student see the same mix, labels are mixed in the same shares.

    With fresh views, those of a batch are mixed and the teacher is asked about the mix. With `views.per_image` the
    teacher's cached answers are mixed instead (its probabilities by shares, its features as the pictures were), or with
    `mixed_views` some views are mixes from the start, which the teacher was asked about.

    Attributes:
        mixup: Alpha of the Beta distribution of mixup's shares; 0 turns it off.
        cutmix: The same of cutmix; where both are on, each mix is one of them.
        probability: Share of the batches that are mixed; of the views that may be mixes, with `mixed_views`.
        mixed_views: How many of the fixed views of a picture are mixes with another one, at most `views.per_image`;
            batches are then not mixed again. 0 mixes batches.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0
    mixed_views: int = 0

    def __post_init__(self) -> None:
        for name in ("mixup", "cutmix"):
            require(getattr(self, name) >= 0, f"mix.{name}", getattr(self, name), "0 (off) or more")
        require(0 < self.probability <= 1, "mix.probability", self.probability, "more than 0, at most 1")
        require(self.mixed_views >= 0, "mix.mixed_views", self.mixed_views, "0 (batches are mixed) or more")
        drawn = self.on or not self.mixed_views
        require(drawn, "mix.mixed_views", self.mixed_views, "0 without --mix.mixup or --mix.cutmix")

    @property
    def on(self) -> bool:
        """Whether anything is mixed."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def in_batches(self) -> bool:
        """Whether the pictures of a batch are mixed with each other."""
        return self.on and not self.mixed_views


@dataclass(frozen=True, kw_only=True)
class ColumnSettings:
    """Which columns of a table, data set or shard hold what; by default found by their usual names.

    Attributes:
        picture: Column of the picture: a path, or the picture's bytes.
        label: Column of the label: a name or number, a list of them with `multilabel`, or a list of shares,
            one a class.
        split: Column that says which split a row belongs to; by default every row is of the split of its file.
    """

    picture: str | None = None
    label: str | None = None
    split: str | None = None


@dataclass(frozen=True, kw_only=True)
class CacheSettings:
    """The teacher's answers on disk: to fixed views (`views.per_image`), and to the pictures to evaluate on.

    Attributes:
        folder: Where teacher outputs are kept between runs; by default `thumbnet` in the user's cache folder.
        limit_gb: Most disk space that folder may take, in 10⁹ bytes; the least recently used answers make way.
        pixels: Keep each view's pixels too, so that later epochs read no pictures either.
    """

    folder: str | None = None
    limit_gb: float = 20.0
    pixels: bool = True

    def __post_init__(self) -> None:
        require(self.limit_gb > 0, "cache.limit_gb", self.limit_gb, "more than 0")
