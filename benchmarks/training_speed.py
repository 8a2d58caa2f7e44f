"""Speed of training on this machine, as ratios within one run.

    python benchmarks/training_speed.py cache      # a cached epoch against an uncached one
    python benchmarks/training_speed.py loop       # the loop against the same step as a bare torch loop
    python benchmarks/training_speed.py allocator  # training with and without devices.keep_freed_memory
    python benchmarks/training_speed.py padding    # training with and without networks.processor_layers
    python benchmarks/training_speed.py precision  # bfloat16 against full precision
    python benchmarks/training_speed.py compile    # compiled networks against plain ones

Each writes benchmarks/results/NAME.json. Needs thumbnet[samples]; weights are random, which costs the same time.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from thumbnet import losses
from thumbnet.config import CacheSettings, OptimizerSettings, StudentSettings, TrainSettings, ViewSettings
from thumbnet.data.batches import to_image
from thumbnet.data.mixing import BatchChange
from thumbnet.data.samples import efficientnet_lite0, open_elpv
from thumbnet.devices import keep_freed_memory
from thumbnet.loop import train_epoch
from thumbnet.networks.assembly import assemble
from thumbnet.networks.taps import EMBEDDING
from thumbnet.objective import Objective, paper_terms
from thumbnet.preparation import Loop, Plan, prepare_loop
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder
from thumbnet.storage import write_json

RESULTS = Path(__file__).parent / "results"
NAMES = {
    "cache": "cached_epoch",
    "loop": "loop_overhead",
    "allocator": "allocator",
    "padding": "padded_first",
    "precision": "precision",
    "compile": "compiled",
}
TEACHERS = {"thumbnet.data.samples:efficientnet_lite0": 192, "timm/resnet50": 224}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=(*NAMES, "steps"))
    parser.add_argument("--pictures", type=int, default=256, help="pictures an epoch")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--missing-only", action="store_true", help="do nothing if the JSON is there")
    parser.add_argument("--keep", action="store_true", help="for `steps`: call keep_freed_memory")
    arguments = parser.parse_args()
    if arguments.what == "steps":
        print(json.dumps(measure_steps(arguments.keep)))
        return
    output = arguments.results / f"{NAMES[arguments.what]}.json"
    if arguments.missing_only and output.exists():
        return
    with tempfile.TemporaryDirectory() as place:
        measures = {
            "cache": measure_cache,
            "loop": measure_loop,
            "allocator": measure_allocator,
            "padding": measure_padding,
            "precision": measure_precision,
            "compile": measure_compile,
        }
        result = measures[arguments.what](Path(place), arguments.pictures, arguments.repeats, arguments.device)
    counts = f"--pictures {arguments.pictures} --repeats {arguments.repeats}"
    head = {
        "command": f"python benchmarks/training_speed.py {arguments.what} {counts}",
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": describe_hardware(arguments.device),
    }
    write_json(output, {**head, **result})
    print(json.dumps(result, indent=2))


def describe_hardware(device: str) -> str:
    accelerator = f"{torch.cuda.get_device_name(device)}, " if device.startswith("cuda") else ""
    return f"{accelerator}{os.cpu_count()} CPU cores, {platform.machine()}, torch {torch.__version__}"


def measure_cache(place: Path, pictures: int, repeats: int, device: str) -> dict[str, Any]:
    """Median seconds of an epoch's training, fresh views with the teacher against cached ones, taking turns."""
    results = {}
    for teacher, side in TEACHERS.items():
        name = teacher.rpartition("/")[2].rpartition(":")[2]
        uncached = make_loop(place / f"{name}-uncached", teacher, side, 0, pictures, device)
        started = time.perf_counter()
        cached = make_loop(place / f"{name}-cached", teacher, side, 2, pictures, device)
        filling = time.perf_counter() - started
        seconds: dict[str, list[float]] = {"uncached": [], "cached": []}
        for repeat in range(repeats + 1):
            for kind, loop in (("uncached", uncached), ("cached", cached)):
                taken = time_epoch(loop)
                if repeat:  # the first warms up
                    seconds[kind].append(taken)
        medians = {kind: statistics.median(values) for kind, values in seconds.items()}
        results[name] = {
            "image_side": side,
            "ratio": 4,
            "epoch_s": medians,
            "all_epoch_s": seconds,
            "filling_two_views_s": filling,
            "cached_share_of_uncached": medians["cached"] / medians["uncached"],
        }
    return {"pictures": pictures, "teachers": results}


def measure_loop(place: Path, pictures: int, repeats: int, device: str) -> dict[str, Any]:
    """Median seconds of a cached epoch by the loop and by a bare torch loop over the same loader, taking turns."""
    loop = make_loop(place / "run", "thumbnet.data.samples:efficientnet_lite0", 192, 2, pictures, device)
    seconds: dict[str, list[float]] = {"loop": [], "bare": []}
    for repeat in range(repeats + 1):
        order = [("loop", time_epoch), ("bare", time_bare_epoch)]
        for kind, run in order if repeat % 2 else reversed(order):
            taken = run(loop)
            if repeat:
                seconds[kind].append(taken)
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    overhead = medians["loop"] / medians["bare"] - 1
    return {"pictures": pictures, "epoch_s": medians, "all_epoch_s": seconds, "overhead": overhead}


def measure_padding(place: Path, pictures: int, repeats: int, device: str) -> dict[str, Any]:
    """Median seconds of a cached epoch with depthwise convolutions that pad first and with PyTorch's, taking turns."""
    teacher = "thumbnet.data.samples:efficientnet_lite0"
    finer = StudentSettings(keep_stem_resolution=True, detail_steps=0)
    results = {}
    for name, student in {"plain": StudentSettings(), "keep_stem_resolution": finer}.items():
        padded = make_loop(place / name, teacher, 224, 2, pictures, device, student=student)
        loops = {"plain": replace(padded, model=padded.state.pair), "padded": padded}
        seconds: dict[str, list[float]] = {kind: [] for kind in loops}
        for _ in range(repeats + 1):
            for kind, loop in loops.items():
                seconds[kind].append(time_epoch(loop))
        medians = {kind: statistics.median(values[1:]) for kind, values in seconds.items()}
        results[name] = {"epoch_s": medians, "all_epoch_s": seconds, "speedup": medians["plain"] / medians["padded"]}
    capability = torch.backends.cpu.get_cpu_capability()
    return {"pictures": pictures, "image_side": 224, "ratio": 4, "capability": capability, "students": results}


def measure_precision(place: Path, pictures: int, repeats: int, device: str) -> dict[str, Any]:
    """Median seconds of a cached epoch in full precision and in bfloat16, taking turns."""
    kinds = {kind: {"optimizer": OptimizerSettings(mixed_precision=kind)} for kind in ("no", "bf16")}
    return measure_kinds(place, kinds, pictures, repeats, device)


def measure_compile(place: Path, pictures: int, repeats: int, device: str) -> dict[str, Any]:
    """Median seconds of a cached epoch with plain and with compiled networks, taking turns."""
    return measure_kinds(place, {"plain": {}, "compiled": {"compile": True}}, pictures, repeats, device)


def measure_kinds(
    place: Path, kinds: dict[str, dict[str, Any]], pictures: int, repeats: int, device: str
) -> dict[str, Any]:
    first, second = kinds
    results = {}
    for teacher, side in TEACHERS.items():
        name = teacher.rpartition("/")[2].rpartition(":")[2]
        loops = {
            kind: make_loop(place / f"{name}-{kind}", teacher, side, 2, pictures, device, **changes)
            for kind, changes in kinds.items()
        }
        seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(repeats + 1):
            for kind, loop in loops.items():
                seconds[kind].append(time_epoch(loop))
        medians = {kind: statistics.median(values[1:]) for kind, values in seconds.items()}
        results[name] = {
            "image_side": side,
            "ratio": 4,
            "epoch_s": medians,
            "all_epoch_s": seconds,  # the first warms up, and compiles
            "speedup": medians[first] / medians[second],
        }
    return {"pictures": pictures, "kinds": f"{second} against {first}", "teachers": results}


def make_loop(place: Path, teacher: str, side: int, views: int, pictures: int, device: str, **changes: Any) -> Loop:
    splits = open_elpv()
    assert splits.train is not None
    settings = TrainSettings(
        teacher=teacher,
        teacher_weights="random",
        data="elpv",
        output=str(place),
        image_side=side,
        device=device,
        views=ViewSettings(per_image=views),
        cache=CacheSettings(folder=str(place / "cache")),
        epochs=100,
        **changes,
    )
    objective = Objective(paper_terms(settings.loss_weights))
    plan = Plan(
        settings=settings,
        run=RunFolder(place),
        train=splits.train.select(list(range(pictures))),
        evaluation=splits.evaluation,
        fingerprint="benchmark",
        assembly=assemble(settings, splits.train.classes, objective.needs_features, objective.needs_embedding),
        objective=objective,
        announcer=Announcer(quiet=True),
    )
    return prepare_loop(plan)


def time_epoch(loop: Loop) -> float:
    position = loop.state.position
    started = time.perf_counter()
    with loop.plan.announcer.steps(1, "training") as bar:
        train_epoch(loop, bar)
    taken = time.perf_counter() - started
    position.start_next_epoch()
    return taken


def time_bare_epoch(loop: Loop) -> float:
    """The same step with nothing of ours around it: no Accelerate, objective, guard, progress or sums."""
    pair, optimizer, schedule, average = loop.state.pair, loop.state.optimizer, loop.state.schedule, loop.state.average
    settings, weights = loop.plan.settings, loop.plan.settings.loss_weights
    loop.order.epoch, loop.order.start = loop.state.position.epoch, 0
    started = time.perf_counter()
    pair.train()
    for batch in loop.loader:
        image = to_image(batch, loop.device)
        with loop.accelerator.autocast():  # both in the same precision
            teacher_logits, teacher_features = loop.teacher_outputs(batch, image, BatchChange())
            output = loop.model(image)
        assert teacher_logits is not None
        decoded = {layer: features for layer, features in output.decoded.items() if layer != EMBEDDING}
        loss = (
            weights.mm * losses.moment_matching(output.thumbnail, image)
            + weights.cl * functional.cross_entropy(output.logits, batch.label.to(loop.device))
            + weights.kd * losses.knowledge_distillation(output.logits, teacher_logits, weights.temperature)
            + weights.fm * losses.feature_mapping(decoded, teacher_features)
            + weights.em * losses.embedding_matching(output.features[EMBEDDING], teacher_features[EMBEDDING])
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(pair.parameters(), settings.optimizer.clip_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if average is not None:
            average.update(pair, step=1)
    taken = time.perf_counter() - started
    loop.state.position.start_next_epoch()
    return taken


def measure_allocator(place: Path, pictures: int, repeats: int, device: str) -> dict[str, Any]:
    """Full-size training steps in fresh processes, with and without, taking turns."""
    runs: dict[str, list[dict[str, float]]] = {"kept": [], "given_back": []}
    for _ in range(max(3, repeats // 2)):
        for kind, flags in (("kept", ["--keep"]), ("given_back", [])):
            done = subprocess.run(
                [sys.executable, __file__, "steps", *flags], capture_output=True, text=True, check=True
            )
            runs[kind].append(json.loads(done.stdout))
    summary: dict[str, Any] = {
        kind: {key: statistics.median(run[key] for run in measured) for key in measured[0]}
        for kind, measured in runs.items()
    }
    speedup = summary["kept"]["pictures_per_s"] / summary["given_back"]["pictures_per_s"]
    return {**summary, "speedup": speedup, "network": "efficientnet_lite0 at 192 px, batch 32, float32"}


def measure_steps(keep: bool) -> dict[str, float]:
    if keep:
        keep_freed_memory()
    network = efficientnet_lite0(2, pretrained=False).train().to(memory_format=torch.channels_last)
    image = torch.rand(32, 3, 192, 192).contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        network(image).square().mean().backward()
        seconds.append(time.perf_counter() - started)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"pictures_per_s": 32 / statistics.median(seconds[2:]), "peak_memory_mb": peak_bytes / 1e6}


if __name__ == "__main__":
    main()
