"""E's time for one picture beside the floor that this machine's arithmetic and memory set.

    python benchmarks/downscaler_floor.py --bundle runs/photos [--device cuda]

One core, or one GPU. Writes benchmarks/results/downscaler_floor.json (downscaler_floor_gpu.json).
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from archive_pictures import RESULTS, head
from thumbnet import ThumbNet
from thumbnet.storage import write_json
from thumbnet.thumbnail_codec import ThumbnailFormat
from thumbnet.thumbnails.stages import work_of

BATCHES = (1, 4, 16, 32)
MATRIX = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    bundle = ThumbNet.load(given.bundle)
    side = bundle.image_side
    maker = work_of(bundle, "crop", ThumbnailFormat(name="png")).maker(given.device)
    views = np.random.default_rng(0).integers(0, 256, (max(BATCHES), side, side, 3), dtype=np.uint8)
    repeats = given.repeats
    measured = {f"torch, batch {n}": median_ms(lambda n=n: maker.thumbnails(views[:n]), repeats) / n for n in BATCHES}
    if given.device == "cpu":
        measured |= by_onnxruntime(maker.downscaler, views, repeats)
    flops = peak_flops(given.device, repeats)
    moved = peak_bytes(given.device, repeats)
    bytes_moved = views[0].nbytes + (bundle.thumbnail_side**2) * 3
    floor = {
        "arithmetic_ms": 1e3 * 2 * bundle.downscaler_macs / flops,
        "memory_ms": 1e3 * bytes_moved / moved,
    }
    best = min(measured.values())
    place = "" if given.device == "cpu" else " --device " + given.device
    result = {
        **head(f"downscaler_floor.py --bundle RUN{place} --repeats {repeats}"),
        "accelerator": torch.cuda.get_device_name() if given.device.startswith("cuda") else None,
        "downscaler": bundle.description.downscaler.kind,
        "macs": bundle.downscaler_macs,
        "image_side": side,
        "peak_gflops": flops / 1e9,
        "peak_gigabytes_a_second": moved / 1e9,
        "milliseconds_a_picture": measured,
        "floor": floor,
        "best_over_floor": best / max(floor.values()),
    }
    name = "downscaler_floor" if given.device == "cpu" else "downscaler_floor_gpu"
    write_json(given.results / f"{name}.json", result)


def median_ms(act: Callable[[], Any], repeats: int) -> float:
    act()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        act()
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def by_onnxruntime(downscaler: torch.nn.Module, views: np.ndarray, repeats: int) -> dict[str, float]:
    """The same on a graph that takes and gives uint8; empty where onnxruntime or the exporter is missing."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError:
        return {}

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.downscaler = downscaler

        def forward(self, views: torch.Tensor) -> torch.Tensor:
            thumbnail = self.downscaler(views.permute(0, 3, 1, 2).float() / 255)
            return (thumbnail.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)

    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.onnx.export(
        Graph().eval(), (torch.from_numpy(views[:2]),), dynamo=True, dynamic_shapes=shapes, verbose=False
    )
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return {
        f"onnxruntime, batch {n}": median_ms(lambda n=n: session.run(None, {name: views[:n]}), repeats) / n
        for n in BATCHES
    }


def peak_flops(device: str, repeats: int) -> float:
    """Operations a second of a large matrix product in single precision."""
    left, right = (torch.rand(MATRIX, MATRIX, device=device) for _ in range(2))
    return 2 * MATRIX**3 / (median_ms(lambda: settled(left @ right), repeats) / 1e3)


def peak_bytes(device: str, repeats: int) -> float:
    """Bytes a second of a copy, read and written."""
    source = torch.rand(32_000_000, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / (median_ms(lambda: settled(target.copy_(source)), repeats) / 1e3)


def settled(answer: torch.Tensor) -> torch.Tensor:
    if answer.is_cuda:
        torch.cuda.synchronize()
    return answer


if __name__ == "__main__":
    main()
