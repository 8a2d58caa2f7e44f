"""The scripts of `benchmarks/`, which is no package, as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def script(name: str) -> ModuleType:
    """Loads `benchmarks/NAME.py` anew; its neighbours can be imported from it, as when it is run."""
    found = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        found.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module
