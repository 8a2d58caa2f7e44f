"""A name becomes a classifier: `timm/NAME`, `torchvision/NAME`, or `package.module:factory`.

Builds networks and loads weights into them; freezing, copying and shrinking happen elsewhere.
"""

import difflib
import importlib
import inspect
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from thumbnet.data.preprocessing import Preprocessing
from thumbnet.errors import CheckpointError, NetworkError
from thumbnet.networks.data_config import timm_preprocessing, torchvision_preprocessing

Start = Literal["pretrained", "random"]
HEAD_STD = 0.01
LABELS_KEY = "thumbnet_labels"
# Ours, so a bundle that names them runs no stranger's code.
TRUSTED_FACTORIES = ("thumbnet.data.samples:efficientnet_lite0",)


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A network as its makers built it.

    Attributes:
        network: Maps normalised images `[batch, 3, side, side]` to logits `[batch, classes]`.
        preprocessing: What it was trained with; None where its makers do not say.
    """

    network: nn.Module
    preprocessing: Preprocessing | None


def build_classifier(name: str, start: Start, classes: int | None = None) -> Classifier:
    """Builds a classifier by name.

    Args:
        name: `timm/NAME`, `torchvision/NAME`, or `package.module:factory`. A factory may take `pretrained` and
            `num_classes`; it is given what it takes.
        start: Whether to load the makers' pretrained weights.
        classes: Number of outputs; None keeps the makers' own. A different number gets a new, nearly silent head,
            unless a factory that takes `num_classes` makes its own.

    Raises:
        NetworkError: If the name is unknown, or pretrained weights cannot be had.
    """
    source, _, rest = name.partition("/")
    if source == "timm" and rest:
        classifier = _from_timm(rest, start)
    elif source == "torchvision" and rest:
        classifier = _from_torchvision(rest, start)
    elif re.fullmatch(r"[\w.]+:\w+", name):
        classifier = _from_factory(name, start, classes)
    else:
        raise NetworkError(f"teacher '{name}' is unknown; give timm/NAME, torchvision/NAME or package.module:factory")
    if classes is not None:
        replace_head(classifier.network, classes)
    return classifier


def require_trust(name: str, allow_code: bool, where: str) -> None:
    """Makes sure that building this classifier imports nothing that the caller has not allowed.

    Args:
        name: As for `build_classifier`.
        allow_code: Whether the caller trusts whoever wrote the name.
        where: What holds the name, for the message.

    Raises:
        CheckpointError: If the name is a factory that is neither ours nor allowed.
    """
    if ":" in name and name not in TRUSTED_FACTORIES and not allow_code:
        asks = f"{where} names the factory '{name}', and building it runs that code"
        raise CheckpointError(f"{asks}; if you trust it, give allow_code=True or --allow-code")


def replace_head(network: nn.Module, classes: int) -> None:
    """Gives a network a new last layer with `classes` outputs, if it has another number.

    The new weights are small, so that training starts from an even answer instead of a loud wrong one.

    Raises:
        NetworkError: If no last linear or 1×1 convolution layer is found.
    """
    heads = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    if not heads:
        raise NetworkError("teacher: no linear layer to replace; give a factory that takes num_classes")
    name, head = heads[-1]
    new: nn.Linear | nn.Conv2d
    if isinstance(head, nn.Linear):
        if head.out_features == classes:
            return
        new = nn.Linear(head.in_features, classes)
    else:
        if head.out_channels == classes:
            return
        if head.kernel_size != (1, 1):
            raise NetworkError(
                f"teacher: its last layer '{name}' is no classifier; give a factory that takes num_classes"
            )
        new = nn.Conv2d(head.in_channels, classes, kernel_size=1)
    nn.init.normal_(new.weight, std=HEAD_STD)
    nn.init.zeros_(cast(Tensor, new.bias))
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, new)


def load_weights(network: nn.Module, path: Path) -> None:
    """Loads a file of weights, all of them or none.

    Args:
        network: Where they go.
        path: `.safetensors`, or a `.pth`/`.pt` file holding a dictionary of tensors. Nothing is unpickled.

    Raises:
        CheckpointError: If the file is missing, damaged, unsafe, or holds the weights of something else.
    """
    tensors = _read_tensors(path)
    expected = network.state_dict()
    missing = [key for key in expected if key not in tensors]
    unexpected = [key for key in tensors if key not in expected]
    misshapen = [key for key in expected if key in tensors and expected[key].shape != tensors[key].shape]
    if misshapen and not missing and not unexpected:
        key = misshapen[-1]
        shapes = f"{key} is {list(tensors[key].shape)}, the network's is {list(expected[key].shape)}"
        raise CheckpointError(
            f"weights: {path} does not fit: {shapes}; check the number of classes and the network's name"
        )
    if missing or unexpected or misshapen:
        example = f"it lacks {missing[0]}" if missing else f"it has {unexpected[0]}, which the network lacks"
        raise CheckpointError(f"weights: {path} holds another network's weights ({example}); check the network's name")
    network.load_state_dict(tensors)


def stored_labels(path: Path) -> tuple[str, ...] | None:
    """Names of the classes that a file of weights carries; None where it carries none."""
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            labels = json.loads((file.metadata() or {}).get(LABELS_KEY, "null"))
    except (SafetensorError, ValueError):
        return None
    return tuple(labels) if isinstance(labels, list) else None


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(
            f"weights: no file at {path}; give pretrained, random or an existing .safetensors or .pth file"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        unsafe = "is damaged, or holds objects other than tensors, which are never loaded"
        raise CheckpointError(f"weights: {path} {unsafe}; save network.state_dict() instead") from error
    except Exception as error:  # the readers do not check what they read: a damaged file fails in any way
        raise CheckpointError(f"weights: {path} is damaged or no file of weights; save it again") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()) or not content:
        raise CheckpointError(f"weights: {path} holds something other than weights; save network.state_dict()")
    return content


def _from_timm(name: str, start: Start) -> Classifier:
    import timm

    if not timm.is_model(name.split(".", maxsplit=1)[0]):
        near = difflib.get_close_matches(name.split(".", maxsplit=1)[0], timm.list_models(), 3)
        hint = f"; did you mean {', '.join(f'timm/{other}' for other in near)}?" if near else ""
        raise NetworkError(f"teacher: timm has no network '{name}'{hint or '; see timm.list_models()'}")
    network = _with_weights(f"timm/{name}", lambda: timm.create_model(name, pretrained=start == "pretrained"))
    return Classifier(network=network, preprocessing=timm_preprocessing(network))


def _from_torchvision(name: str, start: Start) -> Classifier:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise NetworkError(f"teacher: torchvision has no classifier '{name}'; see torchvision.models.list_models()")
    weights = models.get_model_weights(name).DEFAULT
    wanted = weights if start == "pretrained" else None
    network = _with_weights(f"torchvision/{name}", lambda: models.get_model(name, weights=wanted))
    return Classifier(network=network, preprocessing=torchvision_preprocessing(weights.transforms()))


def _from_factory(name: str, start: Start, classes: int | None) -> Classifier:
    module_name, _, function_name = name.partition(":")
    try:
        factory: Callable[..., Any] = getattr(importlib.import_module(module_name), function_name)
    except ModuleNotFoundError as error:
        raise NetworkError(
            f"teacher: no module '{error.name}' to import for '{name}'; install it or add it to PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise NetworkError(
            f"teacher: module '{module_name}' has no '{function_name}'; give package.module:factory"
        ) from error
    takes = inspect.signature(factory).parameters
    offered = {"pretrained": start == "pretrained"} | ({"num_classes": classes} if classes is not None else {})
    arguments = {parameter: value for parameter, value in offered.items() if parameter in takes}
    try:
        inspect.signature(factory).bind(**arguments)
    except TypeError as error:
        raise NetworkError(
            f"teacher: {name} cannot be called without arguments ({error}); give them defaults"
        ) from error
    network = factory(**arguments)
    if not isinstance(network, nn.Module):
        raise NetworkError(f"teacher: {name} returned {type(network).__name__}, not a torch.nn.Module; fix the factory")
    return Classifier(network=network, preprocessing=timm_preprocessing(network))


def _with_weights(name: str, build: Callable[[], nn.Module]) -> nn.Module:
    try:
        return build()
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = "check the network, or give --teacher-weights FILE"
        raise NetworkError(f"teacher: no pretrained weights for {name} ({reason}); {advice}") from error
