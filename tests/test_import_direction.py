"""Imports point one way: from what a user calls down to what knows nothing of the rest."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import thumbnet

SOURCE = Path(thumbnet.__file__).parent

# From the bottom up. A room may import its own layer and those above it in this list, which are lower in the building.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("config", "storage", "profiling", "thumbnail_codec", "classification"),
    ("data",),
    ("networks",),
    ("losses", "naturalness", "retrieval"),
    ("objective",),
    (
        "bundle",
        "bundle_description",
        "thumbnail_maker",
        "run_data",
        "opened_run",
        "hub",
        "model_card",
        "run_folder",
        "run_record",
        "resolved_settings",
        "accuracy",
        "preview",
        "progress",
        "devices",
        "checkpoint",
        "optimization",
        "trained_downscaler",
        "detail_start",
        "teacher_outputs",
        "evaluation_answers",
        "processes",
        "compilation",
    ),
    ("evaluation", "format_evaluation", "teacher_evaluation", "report", "thumbnails", "deployment"),
    ("preparation",),
    ("loop",),
    ("training",),
    ("comparison",),
    ("cli", "__main__"),
)
HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}
# Rooms that must know less than their height allows.
ALLOWED: dict[str, set[str]] = {
    "data": {"data", "config", "errors", "storage"},
    "report": {"report", "run_folder", "run_record", "config", "errors", "storage"},
}


def modules(source: Path) -> dict[str, Path]:
    """Every module of the package but its own `__init__`, whose names are loaded on first use, by dotted name."""
    found = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if name:
            found[name] = path
    return found


def imports(module: str, path: Path, known: set[str]) -> set[str]:
    """What a module imports from the package, as dotted names without `thumbnet.`, wherever in the file it does so."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; write the module's full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name == "thumbnet" or name == "thumbnet.__version__" or not name.startswith("thumbnet."):
                continue
            inside = name.removeprefix("thumbnet.")
            parent = inside.rpartition(".")[0]
            home = inside if inside in known else parent
            assert home in known, f"{module} imports '{name}'; import it from the module it lives in"
            found.add(home)
    return found


def violations(source: Path) -> list[str]:
    known = modules(source)
    found = []
    for module, path in known.items():
        room = module.split(".")[0]
        for other in sorted(imports(module, path, set(known))):
            target = other.split(".")[0]
            if HEIGHT.get(target, 0) > HEIGHT.get(room, len(LAYERS)):
                found.append(f"{module} imports {other}, which is above it")
            elif target not in ALLOWED.get(room, HEIGHT):
                found.append(f"{module} imports {other}, which it must not know")
    return found


def test_every_room_has_its_place() -> None:
    homeless = {module.split(".")[0] for module in modules(SOURCE)} - set(HEIGHT)
    assert not homeless, f"say in LAYERS which rooms {homeless} may import"


def test_imports_point_one_way() -> None:
    assert len(modules(SOURCE)) > 20
    assert violations(SOURCE) == []


@pytest.mark.parametrize(
    ("file", "line", "violation"),
    [
        (
            "networks/student.py",
            "from thumbnet.training import fit",
            "networks.student imports training, which is above it",
        ),
        ("losses.py", "from thumbnet import objective", "losses imports objective, which is above it"),
        ("config.py", "import thumbnet.data", "config imports data, which is above it"),
        (
            "report/page.py",
            "def f():\n    from thumbnet.losses import x",
            "report.page imports losses, which it must not know",
        ),
    ],
)
def test_an_upward_arrow_is_found_wherever_it_hides(tmp_path: Path, file: str, line: str, violation: str) -> None:
    for name in ("__init__", "training", "objective", "losses", "config", "data/__init__"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").touch()
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(line)
    assert violations(tmp_path) == [violation]


@pytest.mark.parametrize("module", ["thumbnet", "thumbnet.errors", "thumbnet.config"])
def test_the_package_its_settings_and_its_errors_load_without_torch(module: str) -> None:
    program = f"import sys, {module}; print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_every_public_name_is_found_at_its_home() -> None:
    for name in thumbnet.__all__:
        assert getattr(thumbnet, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'resnet50'"):
        thumbnet.resnet50  # noqa: B018
    assert set(thumbnet.__all__) <= set(dir(thumbnet))
