"""One random geometric view of a picture, the same each time it is asked for.

A view is a pure function of (seed, picture, view number): any process can draw it, in any order, and a resumed run
draws what the stopped one would have drawn. Teacher and downscaler see the same view because it is drawn once.
"""

import hashlib

import torch
from PIL import Image
from torchvision.transforms import v2

from thumbnet.config import ViewSettings
from thumbnet.data.preprocessing import Preprocessing


def view_transform(settings: ViewSettings, preprocessing: Preprocessing) -> v2.Transform:
    """The random crop and flips that make a view of `image_side` × `image_side`."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(
                preprocessing.image_side,
                scale=settings.scale,
                ratio=settings.aspect,
                interpolation=preprocessing.filter,
            ),
            v2.RandomHorizontalFlip(settings.horizontal_flip),
            v2.RandomVerticalFlip(settings.vertical_flip),
        ]
    )


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
