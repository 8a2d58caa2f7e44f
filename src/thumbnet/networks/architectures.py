"""A name becomes a classifier: `timm/NAME`, `torchvision/NAME`, `hf/NAME`, or `package.module:factory`.

Builds networks; loading files of weights, freezing, copying and shrinking happen elsewhere.
"""

import copy
import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from thumbnet.data.preprocessing import Preprocessing
from thumbnet.errors import CheckpointError, NetworkError
from thumbnet.networks.adapters import adapter_for, head_names
from thumbnet.networks.data_config import timm_preprocessing, torchvision_preprocessing
from thumbnet.networks.hugging_face import (
    build_from_config,
    build_pretrained,
    hugging_face_labels,
    hugging_face_preprocessing,
    is_model_folder,
    read_config,
)

Start = Literal["pretrained", "random"]
HEAD_STD = 0.01
IMAGENET_CLASSES = 1000
# Ours, so a bundle that names them runs no stranger's code.
TRUSTED_FACTORIES = ("thumbnet.data.samples:efficientnet_lite0", "thumbnet.data.samples:efficientnet_lite1")


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A network as its makers built it.

    Attributes:
        network: Maps normalised images `[batch, 3, side, side]` to logits `[batch, classes]`.
        preprocessing: What it was trained with; None where its makers do not say.
        label_sets: The makers' names of the classes in the order of the outputs, each a possible naming; empty where
            they give none, or where the head is not the makers'.
    """

    network: nn.Module
    preprocessing: Preprocessing | None
    label_sets: tuple[tuple[str, ...], ...] = ()


def build_classifier(
    name: str, start: Start, classes: int | None = None, config: dict[str, Any] | None = None
) -> Classifier:
    """Builds a classifier by name, and does once what its family needs.

    Args:
        name: `timm/NAME`, `torchvision/NAME`, `hf/NAME` or a folder with a model of `transformers`, or
            `package.module:factory`. A factory may take `pretrained` and `num_classes`; it is given what it takes.
        start: Whether to load the makers' pretrained weights.
        classes: Number of outputs; None keeps the makers' own. A different number gets a new, nearly silent head,
            unless a factory that takes `num_classes` makes its own.
        config: Of a model of `transformers`, where it is known: the name is then not looked up, and `start` is random.

    Raises:
        NetworkError: If the name is unknown, or pretrained weights cannot be had.
    """
    source, _, rest = name.partition("/")
    if config is not None:
        classifier = Classifier(network=build_from_config(config, name, classes), preprocessing=None)
    elif source == "timm" and rest:
        classifier = _from_timm(rest, start)
    elif source == "torchvision" and rest:
        classifier = _from_torchvision(rest, start)
    elif re.fullmatch(r"[\w.]+:\w+", name):
        classifier = _from_factory(name, start, classes)
    elif (source == "hf" and rest) or is_model_folder(name):
        classifier = _from_hugging_face(name, start, classes)
    else:
        known = "timm/NAME, torchvision/NAME, hf/NAME, a folder with a Hugging Face model, or package.module:factory"
        raise NetworkError(f"teacher '{name}' is unknown; give {known}")
    adapter_for(classifier.network).prepare(classifier.network)
    if classes is not None and replace_head(classifier.network, classes):
        return replace(classifier, label_sets=())
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


def replace_head(network: nn.Module, classes: int) -> bool:
    """Gives a network, or each of its heads, a new last layer with `classes` outputs, if it has another number.

    The new weights are small, so that training starts from an even answer instead of a loud wrong one. A network of
    timm's that was trained without classes gets its first head.

    Returns:
        Whether there is anything new.

    Raises:
        NetworkError: If no last linear or 1×1 convolution layer is found.
    """
    if not head_names(network) and hasattr(network, "reset_classifier"):
        cast(Any, network).reset_classifier(classes)
        for name in _heads_of(network):
            _quieten(cast(Any, network.get_submodule(name)))
        return True
    replaced = [_replace_layer(network, name, classes) for name in _heads_of(network)]
    return any(replaced)


def keep_outputs(network: nn.Module, outputs: Sequence[int]) -> None:
    """Cuts a classifier in place to some of its outputs: the answers to those stay what they were.

    Args:
        network: A classifier whose last layer, or that of each head, is linear or a 1×1 convolution.
        outputs: Which ones to keep, in their new order.

    Raises:
        NetworkError: If no such layer is found.
    """
    heads = {name: network.get_submodule(name) for name in _heads_of(network)}
    replace_head(network, len(outputs))
    chosen = torch.tensor(outputs)
    for name, old in heads.items():
        new = network.get_submodule(name)
        if new is old:  # as many as there were, in another order
            new = copy.deepcopy(old)
            _set_layer(network, name, new)
        kept = {key: value[chosen] for key, value in old.state_dict().items()}
        new.load_state_dict(kept)


def _heads_of(network: nn.Module) -> list[str]:
    heads = head_names(network)
    if not heads:
        raise NetworkError("teacher: no linear layer to replace; give a factory that takes num_classes")
    return heads


def _quieten(layer: nn.Linear | nn.Conv2d) -> None:
    nn.init.normal_(layer.weight, std=HEAD_STD)
    nn.init.zeros_(cast(Tensor, layer.bias))


def _replace_layer(network: nn.Module, name: str, classes: int) -> bool:
    head = network.get_submodule(name)
    new: nn.Linear | nn.Conv2d
    if isinstance(head, nn.Linear):
        if head.out_features == classes:
            return False
        new = nn.Linear(head.in_features, classes)
    else:
        convolution = cast(nn.Conv2d, head)
        if convolution.out_channels == classes:
            return False
        if convolution.kernel_size != (1, 1):
            raise NetworkError(
                f"teacher: its last layer '{name}' is no classifier; give a factory that takes num_classes"
            )
        new = nn.Conv2d(convolution.in_channels, classes, kernel_size=1)
    _quieten(new)
    _set_layer(network, name, new)
    return True


def _set_layer(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, layer)


def reparameterise(network: nn.Module) -> nn.Module:
    """Fuses the branches that RepVGG and its kin have for training only, in place; the answers stay the same.

    A network without such branches stays as it is.
    """
    from timm.utils import reparameterize_model

    fused: nn.Module = reparameterize_model(network.eval(), inplace=True)
    return fused


def _from_timm(name: str, start: Start) -> Classifier:
    import timm

    if not timm.is_model(name.split(".", maxsplit=1)[0]):
        near = difflib.get_close_matches(name.split(".", maxsplit=1)[0], timm.list_models(), 3)
        hint = f"; did you mean {', '.join(f'timm/{other}' for other in near)}?" if near else ""
        raise NetworkError(f"teacher: timm has no network '{name}'{hint or '; see timm.list_models()'}")
    network = _with_weights(f"timm/{name}", lambda: timm.create_model(name, pretrained=start == "pretrained"))
    return _described_by_timm(network)


def _described_by_timm(network: nn.Module) -> Classifier:
    """What timm says of a network of its own, whoever built it."""
    preprocessing = timm_preprocessing(network)
    known = preprocessing is not None and getattr(network, "num_classes", None) == IMAGENET_CLASSES
    return Classifier(network=network, preprocessing=preprocessing, label_sets=_imagenet_labels() if known else ())


def _imagenet_labels() -> tuple[tuple[str, ...], ...]:
    """ImageNet's 1000 classes as WordNet numbers and as first descriptions."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    first = tuple(description.split(",")[0] for description in info.label_descriptions())
    return tuple(info.label_names()), first


def _from_torchvision(name: str, start: Start) -> Classifier:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise NetworkError(f"teacher: torchvision has no classifier '{name}'; see torchvision.models.list_models()")
    weights = models.get_model_weights(name).DEFAULT
    wanted = weights if start == "pretrained" else None
    network = _with_weights(f"torchvision/{name}", lambda: models.get_model(name, weights=wanted))
    if hasattr(network, "transform_input"):
        # It is set with pretrained weights only, and a bundle is rebuilt without any.
        network.transform_input = True  # type: ignore[assignment]
    preprocessing = torchvision_preprocessing(weights.transforms())
    categories = tuple(weights.meta["categories"])
    others = _imagenet_labels() if len(categories) == IMAGENET_CLASSES else ()
    return Classifier(network=network, preprocessing=preprocessing, label_sets=(categories, *others))


def _from_hugging_face(name: str, start: Start, classes: int | None) -> Classifier:
    config = read_config(name)
    network = build_pretrained(name, classes) if start == "pretrained" else build_from_config(config, name, classes)
    labels = hugging_face_labels(config) if classes in (None, config["num_labels"]) else None
    preprocessing = hugging_face_preprocessing(name)
    return Classifier(network=network, preprocessing=preprocessing, label_sets=(labels,) if labels else ())


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
    return _described_by_timm(network)


def _with_weights(name: str, build: Callable[[], nn.Module]) -> nn.Module:
    try:
        return build()
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = "check the network, or give --teacher-weights FILE"
        raise NetworkError(f"teacher: no pretrained weights for {name} ({reason}); {advice}") from error
