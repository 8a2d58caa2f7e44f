"""What a user can get wrong: one clear line with the right exit code, and nothing left behind."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from command_line import TINY_FLAGS, Run, assert_one_clear_line
from thumbnet import objective, storage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--teacher", "timm/resnet19"], ["timm has no network 'resnet19'", "did you mean"]),
        (["--teacher", "tiny_networks:two_stages"], ["does not say the side of its input", "--image-side"]),
        (["--teacher", "tiny_networks:two_stages", "--image-side", "30"], ["ratio 4 does not divide", "32"]),
        (["--teacher", "tiny_networks:two_stages", "runs/x"], ["either a run folder or --teacher"]),
        (["--teacher", "timm/resnet18", "--ratio", "9"], ["ratio", "9"]),
    ],
)
def test_info_of_a_teacher_that_cannot_be(thumbnet: Run, arguments: list[str], words: list[str]) -> None:
    assert_one_clear_line(thumbnet("info", *arguments), *words)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--format", "gif"), ["gif", "png, webp, jpeg, jpeg444"]),
        (("--quality", 80), ["png loses nothing"]),
        (("--format", "jpeg", "--quality", 101), ["quality is 101"]),
    ],
)
def test_a_format_of_thumbnails_that_cannot_be(
    flags: tuple[Any, ...], words: list[str], thumbnet: Run, trained_run: Path, photos: Path, tmp_path: Path
) -> None:
    answer = thumbnet("thumbnail", trained_run, photos / "val", tmp_path / "out", "--allow-code", *flags)
    assert_one_clear_line(answer, *words)


def test_thumbnails_never_replace_the_pictures(thumbnet: Run, trained_run: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (60, 44), "green").save(picture)
    before = picture.read_bytes()
    for source in (picture, tmp_path, tmp_path / ".." / tmp_path.name):
        answer = thumbnet("thumbnail", trained_run, source, tmp_path, "--overwrite", "--allow-code")
        assert_one_clear_line(answer)
    assert picture.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--los.kd", "2"], ["--los.kd", "did you mean --loss.kd?", "thumbnet train --help"]),
        (["train", "--batchsize", "2"], ["--batchsize", "did you mean --batch-size?"]),
        (["train", "--batch-size", "many"], ["--batch-size", "many"]),
        (["train", "--downscaler.kind", "magic"], ["--downscaler.kind", "magic"]),
        (["train"], ["required", "--teacher", "--data", "--output"]),
        (["tran"], ["'tran'", "did you mean train?", "thumbnet --help"]),
        (["train", "--config", "nowhere.yaml"], ["nowhere.yaml"]),
        (["train-teacher", "--ratio", "4"], ["--ratio"]),
        (["info"], ["give either a run folder or --teacher"]),
    ],
)
def test_a_misspelt_flag_or_value(thumbnet: Run, arguments: list[str], words: list[str]) -> None:
    assert_one_clear_line(thumbnet(*arguments), *words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("loss: {kdd: 2}", ["kdd", "did you mean --loss.kd?"]),
        ("epoch: 2", ["epoch", "did you mean --epochs?"]),
        ("epochs: soon", ["epochs", "soon"]),
        ("a: [", ["parsing config", "line 2"]),
    ],
)
def test_a_misspelt_yaml_key_or_value(thumbnet: Run, tmp_path: Path, content: str, words: list[str]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(content)
    assert_one_clear_line(thumbnet("train", "--config", recipe), *words)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--data", "nowhere"], ["no folder at", "nowhere"]),
        (["--ratio", "9"], ["ratio is 9", "from 1 to 8"]),
        (["--ratio", "5"], ["ratio 5 does not divide", "--image-side 30"]),
        (["--teacher", "timm/resnet51"], ["timm has no network 'resnet51'", "did you mean timm/resnet"]),
        (["--teacher", "torchvision/nope"], ["torchvision has no classifier 'nope'"]),
        (["--teacher", "resnet50"], ["timm/NAME"]),
        (["--teacher", "no_such_package:factory"], ["no module 'no_such_package'"]),
        (["--teacher", "tiny_networks:nope"], ["has no 'nope'"]),
        (["--teacher", "tiny_networks:thousand_classes"], ["1000 classes, the data has 2", "train-teacher"]),
        (["--teacher-weights", "gone.safetensors"], ["no file at", "gone.safetensors"]),
        (["--seed", "-1"], ["seed is -1"]),
        (["--device", "meta"], ["device 'meta'"]),
        (["--teacher", ":x"], ["package.module:factory"]),
        (["--device", "cuda:77"], ["device 'cuda:77'"]),
        (["--tracker", "nobody"], ["tracker 'nobody'"]),
        (["--feature_mapping.layers", '["head"]'], ["no layer 'head'"]),
        (
            ["--loss.mm", "0", "--loss.cl", "0", "--loss.kd", "0", "--loss.fm", "0", "--loss.em", "0"],
            ["every loss has weight 0"],
        ),
        (["--resume", "--overwrite"], ["exclude each other"]),
        (["--holdout", "0.2"], ["has its own val/"]),
    ],
)
def test_settings_that_cannot_work_leave_nothing_behind(
    thumbnet: Run, photos: Path, tmp_path: Path, flags: list[str], words: list[str]
) -> None:
    output = tmp_path / "run"
    answer = thumbnet("train", *TINY_FLAGS, "--data", photos, "--output", output, *flags)
    assert_one_clear_line(answer, *words)
    assert not output.exists()


def test_weights_that_hold_something_else(thumbnet: Run, photos: Path, tmp_path: Path, trained_run: Path) -> None:
    for weights in (trained_run / "bundle" / "downscaler.safetensors", photos / "val" / "flat" / "000.png"):
        answer = thumbnet(
            "train", *TINY_FLAGS, "--data", photos, "--output", tmp_path / "run", "--teacher-weights", weights
        )
        assert_one_clear_line(answer, "weights", str(weights))


def test_an_unwritable_output_folder(thumbnet: Run, photos: Path) -> None:
    # /proc takes no files from anyone, root included.
    answer = thumbnet("train", *TINY_FLAGS, "--data", photos, "--output", "/proc/thumbnet/run")
    assert_one_clear_line(answer, "cannot write to", "choose another folder")


def test_a_file_where_the_output_should_be(thumbnet: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        answer = thumbnet("train", *TINY_FLAGS, "--data", photos, "--output", output, "--overwrite")
        assert_one_clear_line(answer, str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"


def test_overwrite_never_removes_what_is_no_run(thumbnet: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "config.yaml").write_text("site: mine")
    answer = thumbnet("train", *TINY_FLAGS, "--data", photos, "--output", tmp_path, "--overwrite")
    assert_one_clear_line(answer, "holds something that is no run")
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_full_disk_is_the_machines_fault_and_leaves_nothing_half_written(
    thumbnet: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    replace = os.replace

    def full_at_the_checkpoint(source: str, target: str | Path) -> None:
        if Path(target).name == "state.pt":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(storage.os, "replace", full_at_the_checkpoint)
    answer = thumbnet("train", *TINY_FLAGS, "--data", photos, "--output", run)
    assert_one_clear_line(answer, "no space left on the disk", "--resume", code=1)
    assert [path.name for path in run.rglob("*") if path.name.startswith(".")] == []
    monkeypatch.undo()
    assert thumbnet("train", *TINY_FLAGS, "--data", photos, "--output", run, "--resume")[0] == 0


def test_nan_in_a_loss_names_the_term_and_the_step(
    thumbnet: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective.losses, "classification", lambda logits, *others: logits.sum() * float("nan"))
    answer = thumbnet("train", *TINY_FLAGS, "--data", photos, "--output", tmp_path / "run")
    assert_one_clear_line(answer, "loss 'cl' became nan at step 0", "lower --lr")


def test_too_little_memory_is_one_line(
    thumbnet: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective.losses, "classification", lambda *_: torch.empty(2**56, dtype=torch.uint8))
    answer = thumbnet("train", *TINY_FLAGS, "--data", photos, "--output", tmp_path / "run")
    assert_one_clear_line(answer, "not enough memory", "--optimizer.accumulation_steps", "smaller --batch-size")


def test_a_defect_of_ours_keeps_its_traceback_and_exits_1() -> None:
    """Through a real process, because only there an exception becomes an exit code."""
    broken = "import sys; from thumbnet.cli import main; sys.modules['thumbnet.cli.main'].build_parser = lambda: 1 / 0"
    script = f"{broken}; sys.exit(main(['info', 'x']))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
