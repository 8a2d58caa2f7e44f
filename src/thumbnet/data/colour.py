"""Colours as their file means them, in sRGB: what networks are trained on, and what a picture without a profile has."""

from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageCms

_PLAIN_MODES = {"RGBA": "RGB", "P": "RGB", "PA": "RGB", "LA": "L"}


def colour_profile(picture: Image.Image) -> str | None:
    """Name of the colour profile within a picture's file; None where there is none that can be read."""
    profile = picture.info.get("icc_profile")
    return _name(profile) if isinstance(profile, bytes) and profile else None


def to_srgb(picture: Image.Image) -> Image.Image:
    """A picture in sRGB, converted by the profile within its file.

    Args:
        picture: Of any mode with 8 bits a channel; without transparency, or it is dropped.

    Returns:
        The picture itself where it has no profile, says sRGB, or its profile is damaged or of another kind of picture.
    """
    profile = picture.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile or _is_srgb(profile):
        return picture
    plain = picture.convert(_PLAIN_MODES[picture.mode]) if picture.mode in _PLAIN_MODES else picture
    transform = _transform(profile, plain.mode)
    if transform is None:
        return picture
    converted: Image.Image = transform.apply(plain)
    return converted


def _is_srgb(profile: bytes) -> bool:
    name = _name(profile)
    return name is not None and "srgb" in name.lower()


@lru_cache(maxsize=64)
def _name(profile: bytes) -> str | None:
    try:
        return str(ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile)))).strip() or None
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
