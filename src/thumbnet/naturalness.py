"""How natural a thumbnail looks: how far it is from the plain bicubic thumbnail of the same image.

Pure functions of thumbnails; knows nothing of how they were made. A person would call the bicubic thumbnail natural, so
distance from it stands for what a person would notice. It says nothing of what the thumbnail is worth to a classifier.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

# Flat 7 × 7 in place of the Gaussian 11 × 11: a thumbnail has few pixels.
SSIM_WINDOW = 7
# Linear sRGB to CIE XYZ, and the white that both agree on (IEC 61966-2-1, D65, 2° observer).
_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_WHITE = (0.9504700, 1.0000000, 1.0888300)


class PictureNaturalness(NamedTuple):
    """What is measured of each thumbnail of a batch.

    Attributes:
        ssim: Structural similarity, 1 where the two are the same.
        delta_e: Mean colour difference over the pixels (CIE76).
        levels: Mean absolute difference over pixels and channels, in levels of 255.
        squared_error: Mean squared difference of values in [0, 1].
    """

    ssim: Float[Tensor, "batch"]
    delta_e: Float[Tensor, "batch"]
    levels: Float[Tensor, "batch"]
    squared_error: Float[Tensor, "batch"]


def naturalness_by_picture(
    thumbnail: Float[Tensor, "batch 3 height width"], bicubic: Float[Tensor, "batch 3 height width"]
) -> PictureNaturalness:
    """Measures each thumbnail beside the bicubic thumbnail of the same image, both in [0, 1]; no gradient is meant."""
    difference = thumbnail - bicubic
    return PictureNaturalness(
        ssim=structural_similarity(thumbnail, bicubic),
        delta_e=colour_difference(thumbnail, bicubic).mean(dim=(1, 2)),
        levels=255 * difference.abs().mean(dim=(1, 2, 3)),
        squared_error=difference.square().mean(dim=(1, 2, 3)),
    )


def naturalness(parts: Sequence[PictureNaturalness]) -> dict[str, float | None]:
    """Means over all pictures of all parts.

    Returns:
        `ssim`, `delta_e` and `levels` as in `PictureNaturalness`, and `psnr`: of the mean squared error over all
        pictures, in dB; None where that is 0.
    """
    ssim, delta_e, levels, squared_error = (float(torch.cat(values).mean()) for values in zip(*parts, strict=True))
    psnr = float(-10 * torch.tensor(squared_error).log10()) if squared_error else None
    return {"ssim": ssim, "delta_e": delta_e, "levels": levels, "psnr": psnr}


def structural_similarity(
    thumbnail: Float[Tensor, "batch 3 height width"], other: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch"]:
    """SSIM (Wang et al. 2004, equation 13) of values in [0, 1], over flat windows of 7 × 7 pixels, all channels alike.

    Windows that leave the thumbnail see it mirrored there. One that is smaller than the window is first continued by
    its border pixels.
    """
    # Imported here: it takes longer than everything else that a command needs to begin.
    from torchmetrics.functional.image import structural_similarity_index_measure

    # On the processor in double precision: in flat areas the variance is a small difference of large numbers.
    across, down = (max(0, SSIM_WINDOW - size) for size in (thumbnail.shape[3], thumbnail.shape[2]))
    padding = (across // 2, across - across // 2, down // 2, down - down // 2)
    first, second = (functional.pad(values.cpu().double(), padding, mode="replicate") for values in (thumbnail, other))
    similarity = structural_similarity_index_measure(
        first, second, gaussian_kernel=False, kernel_size=SSIM_WINDOW, data_range=1.0, reduction="none"
    )
    assert isinstance(similarity, Tensor)
    return similarity.reshape(len(thumbnail)).float().to(thumbnail.device)


def colour_difference(
    thumbnail: Float[Tensor, "batch 3 height width"], other: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch height width"]:
    """ΔE of each pixel, of sRGB values in [0, 1]: the distance in CIELAB (CIE76); about 2.3 is just noticeable."""
    return (to_lab(thumbnail) - to_lab(other)).square().sum(dim=1).sqrt()


def to_lab(values: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
    """Values in [0, 1], taken as sRGB, to CIELAB under D65 (IEC 61966-2-1, CIE 15): L is 0 to 100."""
    linear = torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(_TO_XYZ, dtype=values.dtype, device=values.device)
    white = torch.tensor(_WHITE, dtype=values.dtype, device=values.device).view(3, 1, 1)
    relative = torch.einsum("xc,bchw->bxhw", matrix, linear) / white
    edge = 6 / 29
    root = torch.where(relative > edge**3, relative.clamp(min=1e-12) ** (1 / 3), relative / (3 * edge**2) + 4 / 29)
    x, y, z = root.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)
