"""Picture to thumbnail: reading, working view, E, 8-bit pixels. One path for a single picture and for an archive.

Needs E alone, so a process that only makes thumbnails holds no student. Pixels are uint8 arrays between its stages,
which may run in different processes.
"""

from typing import get_args

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import nn

from thumbnet.config import Fit
from thumbnet.data.pictures import PictureFacts
from thumbnet.data.preprocessing import Preprocessing, levels_to_values
from thumbnet.data.working_view import PictureSource, open_picture, view_of
from thumbnet.errors import ConfigError

# More at a time would only fill the processor's caches and memory; measured on two cores.
AT_ONCE_ON_CPU = 4


class ThumbnailMaker:
    """Makes the thumbnails of one downscaler.

    Args:
        downscaler: E, in eval mode.
        preprocessing: The classifier's.
        ratio: Downscale factor per side.
        fit: `crop`, the square that the classifier sees at evaluation; or `short-side`, the whole picture with its
            short side at the working size, whatever its shape.

    Raises:
        ConfigError: If there is no such fit.
    """

    def __init__(self, downscaler: nn.Module, preprocessing: Preprocessing, ratio: int, fit: Fit = "crop") -> None:
        if fit not in get_args(Fit):
            raise ConfigError(f"fit is {fit}, but must be one of {', '.join(get_args(Fit))}")
        self.downscaler = downscaler.eval()
        self.preprocessing = preprocessing
        self.ratio = ratio
        self.fit = fit

    def open(self, source: PictureSource) -> tuple[Image.Image, PictureFacts]:
        """A picture as upright 8-bit RGB in sRGB, and what its file says.

        See `data.working_view.open_picture`.

        Raises:
            PictureError: If it cannot be read, or is too small or too large to be a picture.
        """
        return open_picture(source, self.preprocessing, self.fit)

    def view(self, picture: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
        """The working view of a picture that `open` gave.

        Raises:
            PictureError: If the whole is asked for of a picture too long to keep.
        """
        return view_of(picture, self.preprocessing, self.ratio, self.fit)

    @torch.inference_mode()
    def thumbnails(
        self, views: UInt8[np.ndarray, "batch height width 3"]
    ) -> UInt8[np.ndarray, "batch small_height small_width 3"]:
        """Thumbnails of working views of one size; each is the same in a batch as by itself."""
        device = next((tensor.device for tensor in self.downscaler.state_dict().values()), torch.device("cpu"))
        most = AT_ONCE_ON_CPU if device.type == "cpu" else len(views)
        made = []
        for start in range(0, len(views), most):
            pixels = torch.from_numpy(views[start : start + most]).to(device)
            image = levels_to_values(pixels.permute(0, 3, 1, 2).float())
            thumbnail = self.downscaler(image).clamp(0, 1).mul(255).round().to(torch.uint8)
            made.append(thumbnail.permute(0, 2, 3, 1).contiguous().cpu().numpy())
        return np.concatenate(made)
