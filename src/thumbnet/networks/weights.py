"""Files of weights: read without unpickling, and loaded into a network all together or not at all."""

import json
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from thumbnet.errors import CheckpointError
from thumbnet.networks.adapters import adapter_for

LABELS_KEY = "thumbnet_labels"


def load_weights(network: nn.Module, path: Path) -> None:
    """Loads a file of weights, all of them or none.

    Args:
        network: Where they go. Weights of parts that its adapter leaves out are passed over.
        path: `.safetensors`, or a `.pth`/`.pt` file holding a dictionary of tensors. Nothing is unpickled.

    Raises:
        CheckpointError: If the file is missing, damaged, unsafe, or holds the weights of something else.
    """
    left_out = tuple(f"{part}." for part in adapter_for(network).left_out)
    tensors = {name: value for name, value in _read_tensors(path).items() if not name.startswith(left_out)}
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
    # Some layers, such as MNASNet's, ask for the version of their weights, which a file does not hold: it is ours.
    expected.update(tensors)
    network.load_state_dict(expected)


def stored_shapes(path: Path) -> dict[str, torch.Size]:
    """Shape of every tensor in a file of weights, by name.

    Raises:
        CheckpointError: If the file is missing, damaged or unsafe.
    """
    return {name: tensor.shape for name, tensor in _read_tensors(path).items()}


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


def weights_as_bytes(network: nn.Module, labels: tuple[str, ...] | None = None) -> bytes:
    """A network's weights and buffers in the safetensors format, and the names of its classes beside them."""
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    return save(tensors, metadata={LABELS_KEY: json.dumps(labels)} if labels else None)
