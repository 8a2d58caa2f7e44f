"""Image classifiers of the package `transformers`: from a name on the hub or a local folder, to logits.

Runs no code that comes with a model. `transformers` is optional and imported where it is used.
"""

import inspect
import json
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thumbnet.data.preprocessing import Preprocessing
from thumbnet.errors import NetworkError
from thumbnet.networks.image_processors import processor_preprocessing, swaps_colours

CONFIG_FILE = "config.json"
PREFIX = "hf/"
COLOURS = 3
# A configuration may choose kernels, which `transformers` fetches and runs, and files on this machine.
REACHING_OUT = (
    "attn_implementation",
    "_attn_implementation",
    "_attn_implementation_internal",
    "experts_implementation",
    "_experts_implementation",
    "_experts_implementation_internal",
    "checkpoint_path",
)


class HuggingFaceClassifier(nn.Module):
    """A classifier of `transformers` that maps normalised images to logits.

    Args:
        model: Takes `pixel_values` and gives an output with `logits`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = cast(Any, model)
        takes = inspect.signature(model.forward).parameters
        # Learned positions are fitted to the input's side at every call, so weights keep their shapes.
        self.options = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in takes else {}

    def forward(self, normalised: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Logits."""
        logits: Tensor = self.model(pixel_values=normalised, **self.options).logits
        return logits


def is_model_folder(name: str) -> bool:
    """Whether this is a folder that holds a model of `transformers`."""
    return (Path(name) / CONFIG_FILE).is_file()


def build_pretrained(name: str, classes: int | None) -> HuggingFaceClassifier:
    """A classifier with its makers' weights, which takes red, green, blue; another number of classes gets a new head.

    Raises:
        NetworkError: If `transformers` is missing, or the model cannot be had or is no image classifier, or its colours
            cannot be brought into this order.
    """
    transformers = _transformers(name)
    config = read_config(name)
    if classes is not None and classes != config["num_labels"]:
        config = {**config, "num_labels": classes}
    options = {"config": _config(config, name), "ignore_mismatched_sizes": True, "dtype": torch.float32}
    try:
        model = transformers.AutoModelForImageClassification.from_pretrained(
            _place(name), trust_remote_code=False, **options
        )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        advice = "check the name, or give --teacher-weights FILE"
        raise NetworkError(f"teacher: no pretrained weights for {name} ({_first_line(error)}); {advice}") from error
    processor = _processor(name)
    if processor is not None and swaps_colours(processor):
        take_rgb(model, name)
    return HuggingFaceClassifier(model)


def build_from_config(config: dict[str, Any], name: str, classes: int | None) -> HuggingFaceClassifier:
    """A classifier with random weights.

    Args:
        config: As `read_config` or `config_of` gives it.
        name: For messages.
        classes: Number of outputs; None keeps the configuration's.

    Raises:
        NetworkError: If `transformers` is missing, or has no such image classifier.
    """
    transformers = _transformers(name)
    if classes is not None and classes != config["num_labels"]:
        config = {**config, "num_labels": classes}
    try:
        model = transformers.AutoModelForImageClassification.from_config(
            _config(config, name), trust_remote_code=False, dtype=torch.float32
        )
    except Exception as error:  # the library answers values that make no network with almost any exception
        raise NetworkError(f"teacher: {name} is no image classifier ({_first_line(error)}); choose another") from error
    return HuggingFaceClassifier(model)


def read_config(name: str) -> dict[str, Any]:
    """A model's configuration as plain values, with the number of its classes as `num_labels`.

    Raises:
        NetworkError: If `transformers` is missing or the model cannot be had.
    """
    transformers = _transformers(name)
    try:
        config = transformers.AutoConfig.from_pretrained(_place(name), trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        advice = "give hf/NAME as on the Hugging Face hub, or a folder with its config.json"
        raise NetworkError(f"teacher: no model {name} ({_first_line(error)}); {advice}") from error
    return _plain(config)


def config_of(network: nn.Module) -> dict[str, Any] | None:
    """The configuration from which this network can be built again; None where it is none of `transformers`."""
    return _plain(network.model.config) if isinstance(network, HuggingFaceClassifier) else None


def hugging_face_labels(config: dict[str, Any]) -> tuple[str, ...] | None:
    """Names of the classes in the order of the outputs; None where the makers gave none."""
    names = {int(index): str(label) for index, label in (config.get("id2label") or {}).items()}
    labels = tuple(names[index] for index in sorted(names))
    generic = all(label == f"LABEL_{index}" for index, label in enumerate(labels))
    return None if generic else labels


def hugging_face_preprocessing(name: str) -> Preprocessing | None:
    """From the model's image processor; None where it has none.

    Raises:
        NetworkError: If ThumbNet cannot show what the processor shows.
    """
    processor = _processor(name)
    return None if processor is None else processor_preprocessing(processor, name)


def _processor(name: str) -> Any | None:
    try:
        return _transformers(name).AutoImageProcessor.from_pretrained(_place(name), trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError):
        return None


def take_rgb(model: nn.Module, name: str) -> None:
    """Lets a network of blue, green, red take red, green, blue, for good: a bundle then needs to know nothing of it.

    Raises:
        NetworkError: If it is not one convolution that takes the colours.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d) and layer.in_channels == COLOURS]
    if len(layers) != 1 or layers[0].groups != 1:
        problem = f"takes blue, green, red, and {len(layers)} of its convolutions take three channels, not one"
        raise NetworkError(f"teacher: {name} {problem}; give a package.module:factory that swaps them")
    with torch.no_grad():
        layers[0].weight.copy_(layers[0].weight.flip(1))


def _plain(config: Any) -> dict[str, Any]:
    """A configuration as JSON holds it, so that what is saved is what was read."""
    values: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    # Where it was read, and what it was read with, is no part of the network.
    for name in ("_name_or_path", "transformers_version", "auto_map", "dtype", "torch_dtype"):
        values.pop(name, None)
    return {**values, "num_labels": config.num_labels}


def _config(values: dict[str, Any], name: str) -> Any:
    known = _self_contained(values)
    labels = known.get("id2label") or {}
    if len(labels) != known["num_labels"]:
        known.pop("id2label", None)
        known.pop("label2id", None)
    else:
        known.pop("num_labels")
    try:
        return _transformers(name).AutoConfig.for_model(**known)
    except Exception as error:  # as above: bundles from strangers hold these values
        advice = "update it"
        raise NetworkError(
            f"teacher: {name} cannot be built by this version of transformers ({_first_line(error)}); {advice}"
        ) from error


def _self_contained(values: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what would fetch or read anything else when the network is built."""
    kept = {name: value for name, value in values.items() if name not in REACHING_OUT}
    return {name: _self_contained(value) if isinstance(value, dict) else value for name, value in kept.items()}


def _place(name: str) -> str:
    return name.removeprefix(PREFIX)


def _transformers(name: str) -> Any:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise NetworkError(
            f"teacher: {name} needs the package transformers; install it with pip install 'thumbnet[hf]'"
        ) from error
    return transformers


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
