"""Settings of the thumbnail as a picture: its levels and the codec that training prepares for."""

from dataclasses import dataclass
from typing import Literal, get_args

from thumbnet.config.checks import require

LossyCodec = Literal["jpeg", "jpeg444", "webp"]


@dataclass(frozen=True, kw_only=True)
class ThumbnailSettings:
    """What the thumbnail goes through between downscaler and student during training.

    Attributes:
        eight_bit: Round training thumbnails to the 256 levels of a file; false trains the student on unrounded ones.
            Evaluation, bundle and files are 8-bit either way.
        codec_noise: Probability that a training thumbnail is compressed and decompressed on its way, so that the
            student meets stored ones; 0 compresses none.
        codec: What compresses it: `jpeg` (4:2:0, the usual one), `jpeg444` (colours at full resolution) or `webp`.
        quality: Lowest and highest quality of the codec, 1 to 100, drawn for each thumbnail.
    """

    eight_bit: bool = True
    codec_noise: float = 0.0
    codec: LossyCodec = "jpeg"
    quality: tuple[int, int] = (30, 95)

    def __post_init__(self) -> None:
        require(0 <= self.codec_noise <= 1, "thumbnail.codec_noise", self.codec_noise, "a probability from 0 to 1")
        codecs = get_args(LossyCodec)
        require(self.codec in codecs, "thumbnail.codec", self.codec, f"one of {', '.join(codecs)}")
        whole = len(self.quality) == 2 and all(isinstance(quality, int) for quality in self.quality)
        rising = whole and 1 <= self.quality[0] <= self.quality[1] <= 100
        allowed = "two rising whole numbers from 1 to 100, e.g. [30, 95]"
        require(rising, "thumbnail.quality", self.quality, allowed)
