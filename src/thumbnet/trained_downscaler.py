"""A downscaler that another run has trained, taken over into this one."""

from pathlib import Path

from torch import nn

from thumbnet.bundle_description import bundle_folder, read_description
from thumbnet.config import DownscalerSettings
from thumbnet.errors import ConfigError
from thumbnet.hub import BUNDLE_FILES
from thumbnet.networks.weights import load_weights

_, DOWNSCALER_FILE, _ = BUNDLE_FILES


def load_trained_downscaler(downscaler: nn.Module, settings: DownscalerSettings, ratio: int) -> bool:
    """Loads the weights and statistics of the downscaler that `settings.weights` names; without a name, does nothing.

    It may have been trained with any network, pictures and image side: it sees unnormalised images of any size.

    Args:
        downscaler: As `build_downscaler` built it.
        settings: What it is, and where its weights are.
        ratio: Downscale factor per side.

    Returns:
        Whether its thumbnails hold detail that a student reads; a new run has to say so too.

    Raises:
        CheckpointError: If there is no bundle, or it is damaged.
        ConfigError: If the bundle's downscaler is another one than the settings ask for.
    """
    if settings.weights is None:
        return False
    asked = Path(settings.weights)
    folder = bundle_folder(asked)
    description = read_description(folder, asked)
    trained = description.downscaler
    for name, found, wanted in (
        ("ratio", description.ratio, ratio),
        ("downscaler.kind", trained.kind, settings.kind),
        ("downscaler.channels", trained.channels, settings.channels),
    ):
        # Of a kind without hidden layers, the number of channels says nothing.
        if found != wanted and not (name == "downscaler.channels" and settings.kind == "muller"):
            other = f"downscaler.weights: {asked} holds a downscaler of {name} {found}, not {wanted}"
            raise ConfigError(f"{other}; give --{name} {found}, or another run")
    load_weights(downscaler, folder / DOWNSCALER_FILE)
    return description.hides_detail
