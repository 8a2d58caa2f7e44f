"""What a network computes with its weights: what kept answers are good for as long as it stays the same."""

import hashlib
import inspect
import re
import sys
from importlib.metadata import PackageNotFoundError, version

from torch import nn

LIBRARIES = ("thumbnet", "torch", "torchvision", "timm", "transformers")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def computation_of(network: nn.Module) -> dict[str, str]:
    """A digest of a network's layers and of the code that is a user's own, and the versions of all other code.

    The layers are as they print, with their options; of a class that no library above has, the file that it is in. What
    such a file imports is not followed.
    """
    digest = hashlib.sha256(_ADDRESS.sub("", repr(network)).encode())
    for module in sorted({type(part).__module__ for part in network.modules()}):
        if module.partition(".")[0] not in LIBRARIES:
            digest.update(_code(module).encode())
    return {"network": digest.hexdigest()[:32], **{name: installed(name) for name in LIBRARIES}}


def installed(package: str) -> str:
    """The version of a package; empty where there is none, for some are optional."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _code(module: str) -> str:
    try:
        return inspect.getsource(sys.modules[module])
    except (KeyError, OSError, TypeError):
        return module
