"""What every format makes."""

import importlib.util
from dataclasses import dataclass

from thumbnet.deployment.gate import Engines
from thumbnet.errors import ExportError


@dataclass(frozen=True, kw_only=True)
class Made:
    """An export that is not yet written.

    Attributes:
        files: Content by name.
        engines: The same, ready to be verified.
    """

    files: dict[str, bytes]
    engines: Engines


def require_packages(format_: str, needed: tuple[str, ...], extra: str, command: str = "export") -> None:
    """Makes sure that the packages of a format are there.

    Args:
        format_: What needs them.
        needed: Their names, as they are imported.
        extra: Of `thumbnet`, that brings them.
        command: Of `thumbnet`, that is told of.

    Raises:
        ExportError: If one is not.
    """
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"{command}: {format_} needs the package {missing[0]}; run: pip install 'thumbnet[{extra}]'")
