"""`thumbnet benchmark`: how fast a run's networks are beside its teacher."""

import dataclasses
from pathlib import Path

from jsonargparse import Namespace
from rich.console import Console

from thumbnet.bundle import ThumbNet
from thumbnet.config import BenchmarkSettings, ExportSettings
from thumbnet.deployment.benchmark.benchmark import benchmark as measure
from thumbnet.deployment.benchmark.benchmark import require_engines
from thumbnet.deployment.benchmark.results import as_markdown
from thumbnet.deployment.run_teacher import teacher_of
from thumbnet.deployment.verification_data import open_verification_data
from thumbnet.progress import Announcer


def benchmark(flags: Namespace) -> int:
    """`thumbnet benchmark`."""
    require_engines()  # before a teacher is fetched for nothing
    names = [field.name for field in dataclasses.fields(BenchmarkSettings)]
    settings = BenchmarkSettings(**{name: getattr(flags, name) for name in names})
    announcer, run = Announcer(), Path(flags.run)
    bundle = ThumbNet.load(run, allow_code=flags.allow_code)
    teacher = teacher_of(run, bundle, flags.allow_code)
    folder = Path(settings.output or run / "benchmark")
    chosen = ExportSettings(output=str(folder), verify_data=settings.data, verify_limit=settings.pictures)
    pictures = open_verification_data(run, bundle, chosen, announcer).verified
    result = measure(bundle, teacher, list(pictures.files), settings, announcer)
    written = result.save(folder)
    Console().print(as_markdown(list(result.rows), result.facts), markup=False, soft_wrap=True)
    print(f"written: {', '.join(str(file) for file in written)}")
    return 0
