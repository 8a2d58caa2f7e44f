"""One random geometric view of a picture, the same each time it is asked for.

A view is a pure function of (seed, picture, view number): any process can draw it, in any order, and a resumed run
draws what the stopped one would have drawn. Teacher and downscaler see the same view because it is drawn once.
"""

import hashlib
from collections.abc import Callable
from functools import partial

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from thumbnet.config import ViewSettings
from thumbnet.data.preprocessing import Preprocessing, image_to_picture, normalise, picture_to_image

DIHEDRAL = (None, *Image.Transpose)


def view_transform(settings: ViewSettings, preprocessing: Preprocessing) -> v2.Transform:
    """The random crop, flips and changes that make a view of `image_side` × `image_side`."""
    steps: list[Callable[[Image.Image], Image.Image]] = [
        v2.RandomResizedCrop(
            preprocessing.image_side,
            scale=settings.scale,
            ratio=settings.aspect,
            interpolation=InterpolationMode(preprocessing.interpolation),
        )
    ]
    if settings.dihedral:
        steps.append(turn_or_mirror)
    else:
        steps += [v2.RandomHorizontalFlip(settings.horizontal_flip), v2.RandomVerticalFlip(settings.vertical_flip)]
    if settings.randaugment:
        colour = [round(255 * mean) for mean in preprocessing.mean]  # what a shift or turn uncovers
        steps.append(v2.RandAugment(settings.randaugment_changes, settings.randaugment, fill=colour))
    if settings.random_erasing:
        steps.append(partial(erase, probability=settings.random_erasing, preprocessing=preprocessing))
    return v2.Compose(steps)


def turn_or_mirror(picture: Image.Image) -> Image.Image:
    """One of the eight rotations and reflections of a square, all as probable; no pixel is computed anew."""
    turned = DIHEDRAL[int(torch.randint(len(DIHEDRAL), ()))]
    return picture if turned is None else picture.transpose(turned)


def erase(picture: Image.Image, probability: float, preprocessing: Preprocessing) -> Image.Image:
    """Random erasing (Zhong et al. 2020): a rectangle of normal noise with the mean and spread that T expects."""
    erasing = v2.RandomErasing(p=probability, value="random")
    mean, std = preprocessing.mean, preprocessing.std
    normalised = normalise(picture_to_image(picture).unsqueeze(0), mean, std)[0]
    erased = erasing(normalised)
    if erased is normalised:
        return picture
    back = [value * scale + shift for value, scale, shift in zip(erased, std, mean, strict=True)]
    return image_to_picture(torch.stack(back))


def draw_view(picture: Image.Image, transform: v2.Transform, seed: int, name: str, view: int) -> Image.Image:
    """Draws one view.

    Args:
        picture: RGB, any size.
        transform: From `view_transform`.
        seed: The run's seed.
        name: The picture's name within its data set.
        view: Number of the view: of a fixed set, or of the epoch where views are fresh.

    Returns:
        RGB picture of the working size. PyTorch's own random state is left as it was.
    """
    key = hashlib.sha256(f"{seed}\0{name}\0{view}".encode()).digest()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int.from_bytes(key[:7]))  # torch.manual_seed would seed accelerators too
        drawn: Image.Image = transform(picture)
    return drawn
