"""The runtime answers as the bundle does, from whatever a picture comes in, where there is no torch."""

import json
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thumbnet import ThumbNet
from thumbnet.errors import CheckpointError, ConfigError, PictureError

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'thumbnet[onnx]'")

from thumbnet.deployment.runtime import AT_ONCE, ThumbNetRuntime, in_parts

# All that the runtime may use beside the standard library.
ALONE = """
import importlib.util, sys, time

class OnlyThese:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in sys.stdlib_module_names and root not in {"thumbnet", "numpy", "PIL", "onnxruntime"}:
            raise ModuleNotFoundError(f"No module named {name!r} (blocked)", name=name)

sys.meta_path.insert(0, OnlyThese())
for name in ("torch", "torchvision", "timm", "onnx", "jaxtyping", "fsspec", "pyarrow", "safetensors", "yaml", "rich"):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} is not blocked")
start = time.perf_counter()
from thumbnet.deployment.runtime import ThumbNetRuntime
runtime = ThumbNetRuntime.load(sys.argv[1])
answer = runtime.classify(sys.argv[2])
seconds = time.perf_counter() - start
import io, json
from pathlib import Path
import numpy
from PIL import Image
file = Path(sys.argv[2])
picture = Image.open(file)
sources = [str(file), file, file.read_bytes(), picture, numpy.asarray(picture), runtime.thumbnail(file)]
answers = runtime.classify_many(sources, top=2)
print(json.dumps({
    "seconds": seconds,
    "label": answer.label,
    "scores": [one.score for one in answers],
    "given": [one.given for one in answers],
    "thumbnail": numpy.asarray(runtime.thumbnail(file)).tolist(),
    "loaded": sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)),
}))
"""


@pytest.fixture(scope="module")
def runtime(exported: Any) -> ThumbNetRuntime:
    return ThumbNetRuntime.load(exported.folder)


@pytest.fixture(scope="module")
def files(photos: Path) -> list[Path]:
    return sorted((photos / "val").rglob("*.png"))


@pytest.fixture(scope="module")
def alone(exported: Any, files: list[Path]) -> dict[str, Any]:
    """What a process says in which numpy, Pillow and onnxruntime are the only packages."""
    program = [sys.executable, "-c", f"import importlib\n{ALONE}", str(exported.folder), str(files[0])]
    answer = subprocess.run(program, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_it_needs_numpy_pillow_and_onnxruntime_alone(
    alone: dict[str, Any], bundle: ThumbNet, files: list[Path]
) -> None:
    expected = bundle.classify(files[0])
    assert alone["label"] == expected.label
    assert alone["scores"] == pytest.approx([expected.score] * 6, abs=1e-5)
    assert alone["given"] == ["picture"] * 5 + ["thumbnail"]
    assert alone["thumbnail"] == np.asarray(bundle.thumbnail(files[0])).tolist()
    assert not {"torch", "onnx", "timm", "jaxtyping"} & set(alone["loaded"])


def test_the_first_answer_comes_soon_after_the_import(alone: dict[str, Any]) -> None:
    # About half a second on two cores; a busy machine takes longer.
    assert alone["seconds"] < 3


def test_it_answers_as_the_bundle_does(runtime: ThumbNetRuntime, bundle: ThumbNet, files: list[Path]) -> None:
    assert (runtime.labels, runtime.image_side, runtime.thumbnail_side) == (bundle.labels, 32, 8)
    for file in files:
        ours, theirs = runtime.classify(file, top=2), bundle.classify(file, top=2)
        assert [one.label for one in ours.ranked] == [one.label for one in theirs.ranked]
        assert [one.score for one in ours.ranked] == pytest.approx([one.score for one in theirs.ranked], abs=1e-5)
        assert ours.given == "picture"


def test_its_thumbnails_are_the_bundles(runtime: ThumbNetRuntime, bundle: ThumbNet, files: list[Path]) -> None:
    wide = Image.open(files[0]).resize((90, 50))
    assert np.array_equal(np.asarray(runtime.thumbnail(wide)), np.asarray(bundle.thumbnail(wide)))
    whole = runtime.thumbnail(wide, fit="short-side")
    assert whole.size == (14, 8)
    assert np.array_equal(np.asarray(whole), np.asarray(bundle.thumbnail(wide, fit="short-side")))


def test_a_saved_thumbnail_gets_the_answer_of_its_picture(runtime: ThumbNetRuntime, files: list[Path]) -> None:
    stored = BytesIO()
    runtime.thumbnail(files[0]).save(stored, "png")
    ours, theirs = runtime.classify(stored.getvalue(), top=2), runtime.classify(files[0], top=2)
    assert (ours.given, ours.ranked) == ("thumbnail", theirs.ranked)


def test_many_get_the_answers_of_one_each(runtime: ThumbNetRuntime, files: list[Path]) -> None:
    mixed: list[Any] = [file if place % 3 else runtime.thumbnail(file) for place, file in enumerate(files * 2)]
    assert len(mixed) > AT_ONCE
    answers = runtime.classify_many(mixed)
    for one, answer in zip(mixed, answers, strict=True):
        alone = runtime.classify(one)
        assert (answer.label, answer.given) == (alone.label, alone.given)
        assert answer.score == pytest.approx(alone.score, abs=1e-6)
    assert runtime.classify_many([]) == []


def test_many_thumbnails_are_those_of_one_each(runtime: ThumbNetRuntime, files: list[Path]) -> None:
    for made, file in zip(runtime.thumbnails(files * 2), files * 2, strict=True):
        assert np.array_equal(np.asarray(made), np.asarray(runtime.thumbnail(file)))
    assert runtime.thumbnails([]) == []


def test_the_downscaler_sees_few_at_a_time_so_that_its_memory_does_not_grow_with_the_batch() -> None:
    seen: list[int] = []

    def run(values: np.ndarray) -> np.ndarray:
        seen.append(len(values))
        return values + 1

    values = np.arange(AT_ONCE)
    assert (in_parts(run)(values) == values + 1).all()
    assert (max(seen), sum(seen)) == (4, AT_ONCE)
    assert (in_parts(run)(values[:3]) == values[:3] + 1).all()


def test_a_turned_picture_is_taken_upright(runtime: ThumbNetRuntime, files: list[Path]) -> None:
    picture, turned = Image.open(files[0]).resize((60, 40)), BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    picture.rotate(90, expand=True).save(turned, "png", exif=exif)
    assert np.array_equal(np.asarray(runtime.thumbnail(turned.getvalue())), np.asarray(runtime.thumbnail(picture)))


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), b"no picture"])
def test_what_is_no_picture_is_refused_in_one_line(runtime: ThumbNetRuntime, wrong: Any) -> None:
    with pytest.raises(PictureError) as error:
        runtime.classify(wrong)
    assert "\n" not in str(error.value)


def test_what_is_asked_wrongly_is_refused(runtime: ThumbNetRuntime, files: list[Path]) -> None:
    with pytest.raises(ConfigError, match="top is 0"):
        runtime.classify(files[0], top=0)
    with pytest.raises(ConfigError, match="thumbnails of this bundle are 8×8 px"):
        runtime.classify(files[0], given="thumbnail")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("export.json", b"{"),
        ("export.json", b"[]"),
        ("export.json", b'{"format": 1}'),
        ("export.json", b'{"format": 99}'),
        ("student.onnx", b"no graph"),
        ("downscaler.onnx", b""),
        ("downscaler.onnx", None),
        ("export.json", None),
    ],
)
def test_a_damaged_or_missing_file_is_named_in_one_line(
    exported: Any, tmp_path: Path, file: str, content: bytes | None
) -> None:
    shutil.copytree(exported.folder, tmp_path / "export")
    (tmp_path / "export" / file).unlink()
    if content is not None:
        (tmp_path / "export" / file).write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        ThumbNetRuntime.load(tmp_path / "export")
    assert file in str(error.value)
    assert "\n" not in str(error.value)


def test_a_provider_that_is_not_there_is_named(exported: Any) -> None:
    with pytest.raises(ConfigError, match="providers: onnxruntime has no MoonExecutionProvider here; choose among"):
        ThumbNetRuntime.load(exported.folder, providers=["MoonExecutionProvider"])


def test_without_onnxruntime_the_package_is_named(exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match="needs the package onnxruntime; run: pip install onnxruntime"):
        ThumbNetRuntime.load(exported.folder)


def test_the_number_of_threads_can_be_said(exported: Any, files: list[Path], runtime: ThumbNetRuntime) -> None:
    single = ThumbNetRuntime.load(exported.folder, threads=1)
    assert single.classify(files[0]).label == runtime.classify(files[0]).label
