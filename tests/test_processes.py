"""Two processes train what one trains: the same curve, one set of files, one line for an error."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from conftest import tiny_values, write_photos
from several_processes import stopping
from thumbnet import fit, processes, train_teacher
from thumbnet.config import (
    CacheSettings,
    LossSettings,
    OptimizerSettings,
    StudentSettings,
    ThumbnailSettings,
    TrainSettings,
    ViewSettings,
)
from thumbnet.run_folder import RunFolder

# Each of several processes imports all of PyTorch: slow where other things run beside.
pytestmark = pytest.mark.timeout(600)

HERE = Path(__file__).parent
LOSSES = ("mm", "cl", "kd", "fm")
STOP = 4


def environment(cache: Path) -> dict[str, str]:
    path = os.pathsep.join([str(HERE), str(HERE.parent / "src")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache)}


def free_port() -> str:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return str(place.getsockname()[1])


def launch(*arguments: str, cache: Path) -> "subprocess.CompletedProcess[str]":
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port()]
    command = [sys.executable, *torchrun, *arguments]
    return subprocess.run(command, check=False, env=environment(cache), capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 to train on, and 13 to evaluate on: two processes have to share an odd number."""
    counts = {"train": {"flat": 12, "round": 12}, "val": {"flat": 7, "round": 6}}
    return write_photos(tmp_path_factory.mktemp("pictures"), counts)


def cases(data: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Runs that must not depend on the number of processes, by name."""

    def settings(name: str, **changes: Any) -> TrainSettings:
        plain = {"teacher": "tiny_networks:without_dropout", "epochs": 3, "lr": 5e-3, "views": ViewSettings()}
        cache = CacheSettings(folder=str(folder / "cache"), limit_gb=0.1)
        return TrainSettings(**{**tiny_values(data, folder / name), **plain, "cache": cache, **changes})

    in_parts, views = OptimizerSettings(accumulation_steps=2), ViewSettings(per_image=2, cached_flips=True)
    return {
        # 24 pictures in batches of 9: five and four of each, and six left out.
        "uneven": {"settings": settings("uneven", batch_size=9)},
        # Micro-batches of five: three and two. Sums of another order may round a pixel to the next of 256 levels.
        "cached": {
            "settings": settings(
                "cached", batch_size=10, optimizer=in_parts, views=views, thumbnail=ThumbnailSettings(eight_bit=False)
            )
        },
        # The last layers get no gradient, and must not be waited for.
        "features": {"settings": settings("features", loss=LossSettings(cl=0.0, kd=0.0), epochs=1)},
        "no_average": {"settings": settings("no_average", optimizer=OptimizerSettings(ema_decay=0.0), epochs=1)},
        # What comes before training does not depend on it either.
        "detail": {
            "settings": settings("detail", student=StudentSettings(detail_decoder=True, detail_steps=6), epochs=1)
        },
        "first_layer": {
            "settings": settings(
                "first_layer", student=StudentSettings(keep_stem_resolution=True, detail_steps=6), epochs=1
            )
        },
        "apart": {"settings": settings("apart", sync_batchnorm=False)},
        "teacher": {"settings": settings("teacher"), "teacher": True},
    }


def train_alone(case: Mapping[str, Any], stop: int | None = None, resume: bool = False) -> None:
    with stopping(stop, KeyboardInterrupt()):
        (train_teacher if case.get("teacher") else fit)(case["settings"], resume=resume, quiet=True)


@pytest.fixture(scope="module")
def runs(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the same runs by `one` process and by `two`, and what the two printed as `output`."""
    folder = tmp_path_factory.mktemp("processes")
    alone, shared = cases(pictures, folder / "one"), cases(pictures, folder / "two")
    for case in alone.values():
        train_alone(case)
    stopped = replace(alone["uneven"]["settings"], output=str(folder / "one-to-two"))
    train_alone({"settings": stopped}, stop=STOP)
    begun = replace(stopped, output=str(folder / "two-to-one"))
    plan = [*shared.values(), {"settings": begun, "stop": STOP}, {"settings": stopped, "resume": True}]
    file = folder / "runs.json"
    file.write_text(json.dumps([{**run, "settings": run["settings"].as_dict()} for run in plan]))
    # With --cpu, Accelerate starts one process unless MPI is there; so it is told of GPUs that the runs do not use.
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launcher += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launcher += ["--main_process_port", free_port(), str(HERE / "several_processes.py"), str(file)]
    done = subprocess.run(launcher, check=False, env=environment(folder), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (folder / "output").write_text(done.stderr)
    train_alone({"settings": begun}, resume=True)
    return {name: folder / name for name in ("one", "two", "one-to-two", "two-to-one", "output")}


def curve(run: Path) -> list[list[float]]:
    names = (*LOSSES, "top1", "lr", "step", "epoch")
    return [[record[name] for name in names if name in record] for record in RunFolder(run).read_metrics()]


def student(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "bundle" / "student.safetensors")


@pytest.mark.parametrize("name", ["uneven", "cached", "features", "no_average", "detail", "first_layer", "teacher"])
def test_two_processes_have_the_curve_of_one(name: str, runs: dict[str, Path]) -> None:
    one, two = (curve(runs[count] / name) for count in ("one", "two"))
    assert len(one) == len(two) > 0
    for expected, found in zip(one, two, strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_weights_become_the_mean_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = (torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)) for _ in range(2))
    other[1].running_mean = torch.arange(4.0)
    wanted = [(one + two) / 2 for one, two in zip(own.parameters(), other.parameters(), strict=True)]
    others = iter([list(other.buffers())[:2], list(other.parameters())])

    def all_reduce(joined: torch.Tensor) -> None:
        joined.add_(torch.cat([value.detach().flatten() for value in next(others)]))

    monkeypatch.setattr(processes, "several", lambda: True)
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes.distributed, "all_reduce", all_reduce)
    processes.average_weights(own)
    for found, expected in zip(own.parameters(), wanted, strict=True):
        torch.testing.assert_close(found, expected)
    assert torch.equal(own[1].running_mean, torch.arange(4.0) / 2)


def test_batch_norm_saw_the_whole_batch(runs: dict[str, Path]) -> None:
    one, two = student(runs["one"] / "uneven"), student(runs["two"] / "uneven")
    assert one.keys() == two.keys()
    statistics = [name for name in one if "running" in name or "tracked" in name]
    assert len(statistics) == 6
    for name in statistics:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)


def test_without_synchronised_batch_norm_training_goes_on_and_differs(runs: dict[str, Path]) -> None:
    one, two = (curve(runs[count] / "apart") for count in ("one", "two"))
    assert len(two) == 3
    assert two[-1][1] != pytest.approx(one[-1][1], rel=1e-4)


@pytest.mark.parametrize("name", ["one-to-two", "two-to-one"])
def test_a_run_goes_on_with_another_number_of_processes(name: str, runs: dict[str, Path]) -> None:
    for expected, found in zip(curve(runs["one"] / "uneven"), curve(runs[name]), strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_two_processes_leave_the_files_of_one(runs: dict[str, Path]) -> None:
    one, two = (
        {str(path.relative_to(runs[count] / "cached")) for path in (runs[count] / "cached").rglob("*")}
        for count in ("one", "two")
    )
    assert one == two
    ours, theirs = (RunFolder(runs[count] / "cached").read_evaluation() for count in ("one", "two"))
    assert ours is not None and theirs is not None
    assert theirs["student"] == ours["student"]


def test_every_line_is_printed_once(runs: dict[str, Path]) -> None:
    output = runs["output"].read_text()
    assert output.count("epoch 3/3") == 5  # uneven, cached, apart, teacher, and the resumed one
    assert output.count(f"bundle: {runs['two'] / 'uneven'}") == 1
    assert "Warning" not in output.replace("warning: ", "")


def train_flags(data: Path, output: Path) -> list[str]:
    flags = ["train", "--teacher", "tiny_networks:without_dropout", "--data", str(data), "--output", str(output)]
    flags += ["--image-side", "32", "--epochs", "1", "--batch-size", "8", "--workers", "0", "--device", "cpu"]
    return [*flags, "--feature_mapping.layers", '["1"]']


def test_torchrun_trains_and_one_process_prints_the_table(pictures: Path, tmp_path: Path) -> None:
    done = launch("-m", "thumbnet", *train_flags(pictures, tmp_path / "run"), cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("student on thumbnails") == 1
    assert (tmp_path / "run" / "report.html").exists()


def errors_of_two(program: list[str], cache: Path) -> tuple[list[str], list[int]]:
    """The lines with errors and the exit codes of two processes that were started without a launcher's help."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, *program],
            env={**environment(cache), **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    printed = "".join(process.communicate(timeout=300)[1] for process in started)
    assert "Traceback" not in printed, printed
    return re.findall("^thumbnet: error: .*$", printed, re.MULTILINE), [process.returncode for process in started]


def test_an_error_in_all_processes_is_one_line(pictures: Path, tmp_path: Path) -> None:
    flags = [*train_flags(pictures, tmp_path / "run"), "--batch-size", "1"]
    lines, codes = errors_of_two(["-m", "thumbnet", *flags], tmp_path)
    assert len(lines) == 1
    assert "give a larger --batch-size or fewer processes" in lines[0]
    assert codes == [2, 2]
    assert not (tmp_path / "run").exists()


def test_an_error_in_one_process_ends_the_other_without_a_word(pictures: Path, tmp_path: Path) -> None:
    program = [str(HERE / "several_processes.py"), "failing", *train_flags(pictures, tmp_path / "run")]
    lines, codes = errors_of_two(program, tmp_path)
    assert lines == ["thumbnet: error: data: 003.png: it is gone; put it back"]
    assert codes == [2, 2]
    assert not (tmp_path / "run").exists()
