"""How near the exported graphs' resize and crop are to Pillow's, by crop mode, filter and shape of the picture.

    python benchmarks/view_agreement.py

Needs `thumbnet[onnx]` only, and seconds. Writes benchmarks/results/view_agreement.json. The pictures are drawn: waves
with sensor noise, and pure noise as the worst there can be.
"""

import itertools
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thumbnet.data.working_view import Preprocessing, working_view
from thumbnet.deployment.gate import LevelDifferences
from thumbnet.deployment.runtime import open_graph
from thumbnet.deployment.view_graph import working_view_graph
from thumbnet.storage import write_json

RESULT = Path(__file__).parent / "results" / "view_agreement.json"
SHAPES = {
    "wide": [(640, 480), (500, 333), (1024, 768), (400, 300)],
    "square": [(256, 256), (300, 300), (512, 512)],
    "high": [(480, 640), (333, 500), (300, 400)],
    "more than twice as high": [(200, 500), (300, 640)],
}


def waves(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    levels = np.stack([128 + 90 * np.sin(x / 7 + phase) + 40 * np.cos(y / 5 - phase) for phase in range(3)], axis=-1)
    noisy = levels + np.random.default_rng(width).normal(0, 15, levels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8))


def measured(preprocessing: Preprocessing, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    graph = open_graph(working_view_graph(preprocessing).SerializeToString())
    found = {}
    for kind in (waves, noise):
        seen = LevelDifferences()
        for size in sizes:
            picture = kind(*size)
            seen.add(graph(np.asarray(picture)[None])[0], np.asarray(working_view(picture, preprocessing)))
        found[kind.__name__] = seen.as_dict()
    return found


def main() -> None:
    rows = []
    for mode, interpolation in itertools.product(("center", "squash", "border"), ("bicubic", "bilinear", "nearest")):
        preprocessing = Preprocessing(image_side=224, crop_mode=mode, interpolation=interpolation)
        for shape, sizes in SHAPES.items():
            row = {"crop_mode": mode, "interpolation": interpolation, "shape": shape, "sizes": sizes}
            rows.append(row | measured(preprocessing, sizes))
            print(mode, interpolation, shape, {kind: rows[-1][kind] for kind in ("waves", "noise")})
    versions = {name: version(name) for name in ("thumbnet", "pillow", "onnx", "onnxruntime", "numpy")}
    write_json(RESULT, {"image_side": 224, "processor": platform.machine(), "versions": versions, "rows": rows})


if __name__ == "__main__":
    main()
