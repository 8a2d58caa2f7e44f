"""From a new process to the first answer of the runtime without torch.

    python benchmarks/cold_start.py --export exports/photos --picture photos/val/a/1.jpg

Python's own start is not in it. Writes benchmarks/results/cold_start.json.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from archive_pictures import RESULTS, head
from thumbnet.storage import write_json

PROGRAM = """
import sys, time
started = time.perf_counter()
from thumbnet.deployment.runtime import ThumbNetRuntime
imported = time.perf_counter()
runtime = ThumbNetRuntime.load(sys.argv[1])
loaded = time.perf_counter()
runtime.classify(sys.argv[2])
print(imported - started, loaded - imported, time.perf_counter() - loaded)
"""
STEPS = ("import", "load", "first answer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", type=Path, required=True, help="what `thumbnet export` wrote")
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    command = [sys.executable, "-c", PROGRAM, str(given.export), str(given.picture)]
    measured = [
        [float(part) for part in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]
        for _ in range(given.repeats)
    ]
    seconds = {step: statistics.median(row[place] for row in measured) for place, step in enumerate(STEPS)}
    result = {
        **head(f"cold_start.py --export EXPORT --picture PICTURE --repeats {given.repeats}"),
        "graphs_mb": sum(file.stat().st_size for file in given.export.glob("[ds]*.onnx")) / 1e6,
        "repeats": given.repeats,
        "median_seconds": seconds,
        "median_total_seconds": statistics.median(sum(row) for row in measured),
        "largest_total_seconds": max(sum(row) for row in measured),
    }
    write_json(given.results / "cold_start.json", result)


if __name__ == "__main__":
    main()
