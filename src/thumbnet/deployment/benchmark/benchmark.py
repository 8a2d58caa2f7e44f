"""`thumbnet benchmark`: a bundle's networks beside its teacher, timed in turn in one run."""

import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from thumbnet.bundle import ThumbNet
from thumbnet.config import BenchmarkSettings
from thumbnet.deployment.benchmark.figure import bars
from thumbnet.deployment.benchmark.memory import Memory, memory_of
from thumbnet.deployment.benchmark.networks import inputs_of, write_networks
from thumbnet.deployment.benchmark.results import Row, as_csv, as_markdown, rows_of
from thumbnet.deployment.benchmark.subjects import Inputs, Subject, load
from thumbnet.deployment.benchmark.timing import measure
from thumbnet.deployment.formats import onnx_format
from thumbnet.deployment.formats.made import require_packages
from thumbnet.profiling import count_macs
from thumbnet.progress import Announcer
from thumbnet.storage import write_atomically, write_json

_VERSIONED = ("thumbnet", "torch", "onnxruntime", "pillow", "numpy")


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """What was measured.

    Attributes:
        facts: Of what, on what, and how.
        rows: One a way, engine, precision and batch size.
    """

    facts: dict[str, Any]
    rows: tuple[Row, ...]

    def save(self, folder: Path) -> list[Path]:
        """Writes benchmark.json, .csv, .md and .png."""
        rows = list(self.rows)
        json_file = folder / "benchmark.json"
        write_json(json_file, {**self.facts, "rows": [asdict(row) for row in rows]})
        title = f"{self.facts['architecture']}, {self.facts['image_side']} → {self.facts['thumbnail_side']} px"
        contents = {
            "benchmark.csv": as_csv(rows).encode(),
            "benchmark.md": as_markdown(rows, self.facts).encode(),
            "benchmark.png": bars(rows, f"{title}, {self.facts['hardware']}"),
        }
        for name, content in contents.items():
            write_atomically(folder / name, content)
        return [json_file, *(folder / name for name in contents)]


def require_engines() -> None:
    """Makes sure that the packages which write and run the networks are there.

    Raises:
        ExportError: If one is not.
    """
    require_packages("onnx", onnx_format.NEEDED, extra="onnx", command="benchmark")


def benchmark(
    bundle: ThumbNet,
    teacher: nn.Module,
    files: Sequence[Path | bytes],
    settings: BenchmarkSettings,
    announcer: Announcer | None = None,
) -> BenchmarkResult:
    """Times teacher, student, downscaler and student, and the whole way from JPEG bytes, by every engine.

    Args:
        bundle: On the processor.
        teacher: Its T, in eval mode, on the processor.
        files: Pictures; those that cannot be read are passed over.
        settings: How long, and what with.
        announcer: Progress; by default on standard error.

    Raises:
        DataError: If no picture can be read.
        ExportError: If a package is missing, or a network cannot be exported.
        ConfigError: If the bundle makes no pictures.
    """
    require_engines()
    announcer = announcer or Announcer()
    bundle.require_pictures()
    inputs = inputs_of(bundle, files, settings.pictures)
    macs = {
        "downscaler": bundle.downscaler_macs,
        "student": bundle.student_macs,
        "teacher": count_macs(teacher, bundle.image_side),
    }
    with tempfile.TemporaryDirectory() as folder:
        with announcer.working("exporting"):
            subjects = write_networks(bundle, teacher, inputs, settings, Path(folder))
        timed = measure({subject: load(subject) for subject in subjects}, inputs, settings, announcer)
        memory = _memory(subjects, settings.memory_batches, inputs, announcer) if settings.memory else {}
    facts = _facts(bundle, inputs, settings, subjects[0].threads)
    return BenchmarkResult(facts=facts, rows=tuple(rows_of(timed, memory, settings.memory_batches, macs)))


def _memory(
    subjects: Sequence[Subject], sizes: Sequence[int], inputs: Inputs, announcer: Announcer
) -> dict[tuple[Subject, int], Memory]:
    """Memory by subject and batch size; the same sizes for all, as what is best for speed differs."""
    turns = [(subject, size) for subject in subjects for size in sizes]
    return {
        (subject, size): memory_of(subject, inputs.batch(subject.way, size, 0))
        for subject, size in announcer.track(turns, len(turns), "measuring memory")
    }


def _facts(bundle: ThumbNet, inputs: Inputs, settings: BenchmarkSettings, threads: int) -> dict[str, Any]:
    return {
        "architecture": bundle.description.architecture,
        "downscaler": bundle.description.downscaler.kind,
        "image_side": bundle.image_side,
        "thumbnail_side": bundle.thumbnail_side,
        "pictures": len(inputs.files),
        "jpeg_bytes": sum(len(content) for content in inputs.files) / len(inputs.files),
        "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "rounds": settings.rounds,
        "seconds": settings.seconds,
        "date": datetime.now(UTC).date().isoformat(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in _VERSIONED},
    }
