"""The learned resizer of Talebi & Milanfar, set to make the thumbnail: a downscaler to compare with."""

from jaxtyping import Float
from torch import Tensor, nn

from thumbnet.networks.filters import AntialiasedResize

SLOPE = 0.2


class LearnedResizer(nn.Module):
    """A residual network around a resize, with one residual block as in the paper's experiments.

    Talebi & Milanfar, "Learning to Resize Images for Computer Vision Tasks", ICCV 2021, figure 3. With R the resize, f
    the 7×7 and 1×1 convolutions at the image's size and g the layers at the thumbnail's:

        thumbnail = R(image) + conv7×7(g(R(f(image))) + R(f(image)))

    Deviations: R is antialiased, where the paper's bilinear resize is not: at ratio 4 that looks at two of every four
    pixels of a row, and would start behind every other downscaler here. The last layer starts at zero, so that training
    begins at R(image); the paper's start is random. The output is clamped to [0, 1], borders are replicated.

    Args:
        ratio: Downscale factor per side.
        channels: Of all hidden layers; 16 in the paper.
        random_start: Leave PyTorch's own start of the last layer, as the paper does.
    """

    def __init__(self, ratio: int, channels: int, *, random_start: bool = False) -> None:
        super().__init__()
        self.resize = AntialiasedResize(ratio, "bilinear")
        self.at_image_size = nn.Sequential(
            _conv(3, channels, 7, bias=True),
            nn.LeakyReLU(SLOPE),
            _conv(channels, channels, 1, bias=True),
            nn.LeakyReLU(SLOPE),
            nn.BatchNorm2d(channels),
        )
        self.block = nn.Sequential(
            _conv(channels, channels, 3),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(SLOPE),
            _conv(channels, channels, 3),
            nn.BatchNorm2d(channels),
        )
        self.after_block = nn.Sequential(_conv(channels, channels, 3), nn.BatchNorm2d(channels))
        self.to_colours = _conv(channels, 3, 7, bias=True)
        if not random_start:
            nn.init.zeros_(self.to_colours.weight)
            nn.init.zeros_(self.to_colours.bias)  # type: ignore[arg-type]

    def forward(
        self, image: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 small_height small_width"]:
        """Image to thumbnail values in [0, 1]."""
        small = self.resize(self.at_image_size(image))
        features = small + self.after_block(small + self.block(small))
        thumbnail: Tensor = self.resize(image) + self.to_colours(features)
        return thumbnail.clamp(0, 1)


def _conv(width_in: int, width_out: int, side: int, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(width_in, width_out, side, padding=side // 2, padding_mode="replicate", bias=bias)
