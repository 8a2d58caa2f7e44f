"""What one answer costs from stored bytes on: reading the picture or the thumbnail, and the network behind it.

    python benchmarks/reading_and_answering.py recipes/study/bicubic_all_fine.yaml recipes/study/pruned_fine.yaml \
        --base recipes/imagenette/base.yaml --data imagenette224

A smaller or pruned network at full size reads whole pictures, a student of ThumbNet thumbnails; this puts the reading
beside the networks. Pictures come as they are stored and are decoded, resized and cropped as at evaluation; thumbnails
(bicubic ones: learned ones have as many pixels) are decoded. Networks have random weights, which changes no time.
Every round asks all in turn; medians over rounds, in milliseconds a picture, networks in batches of 8. Writes
benchmarks/results/reading_and_answering.json.
"""

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from thumbnet.comparison.recipes import read_recipe
from thumbnet.data.labelled import Pictures
from thumbnet.data.preprocessing import image_to_picture, normalise, picture_to_image
from thumbnet.data.sources import open_data
from thumbnet.data.working_view import Preprocessing, open_picture, working_view
from thumbnet.networks.assembly import Assembly, assemble
from thumbnet.networks.downscaler import FixedDownscaler
from thumbnet.progress import Announcer
from thumbnet.storage import write_json
from thumbnet.thumbnail_codec import decode, encode, parse_format

ROOT = Path(__file__).parent.parent
FORMATS = ("png", "webp", "webp:80", "jpeg:90")
WARM_UP = 1
BATCH_SIZE = 8
Work = Callable[[], object]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", type=Path, nargs="+", help="whose students answer; one at least makes thumbnails")
    parser.add_argument("--base", type=Path, help="settings that the recipes share")
    parser.add_argument("--data", required=True, help="as `thumbnet train` takes it")
    parser.add_argument("--pictures", type=int, default=64, help="read in every round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "reading_and_answering.json")
    given = parser.parse_args(arguments)
    held_out = open_data(given.data).evaluation
    positions = np.linspace(0, len(held_out) - 1, min(given.pictures, len(held_out))).round().astype(int)
    pictures = held_out.select(positions.tolist())
    changes = {"data": given.data, "teacher_weights": "random"}
    recipes = {file.stem: read_recipe(file, changes, given.base) for file in given.recipes}
    networks = {name: assemble(one, pictures.classes, tap_features=False) for name, one in recipes.items()}
    ratio = max(one.ratio for one in recipes.values())
    if {one.ratio for one in recipes.values()} - {1, ratio}:
        parser.error("recipes make thumbnails of several ratios; time those of one ratio, beside any at ratio 1")
    works, sizes = to_time(pictures, networks, {name: one.ratio for name, one in recipes.items()}, ratio)
    words = ["python", "benchmarks/reading_and_answering.py", *(arguments or sys.argv[1:])]
    write_json(
        given.output,
        {
            "command": shlex.join(Path(word).name if Path(word).is_absolute() else word for word in words),
            "date": datetime.now(UTC).date().isoformat(),
            "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}",
            "threads": torch.get_num_threads(),
            "pictures": len(pictures),
            "rounds": given.rounds,
            "batch_size": BATCH_SIZE,
            "ratio": ratio,
            "bytes": sizes,
            "milliseconds": medians(works, given.rounds, len(pictures)),
        },
    )
    print(given.output)


def to_time(
    pictures: Pictures, networks: Mapping[str, Assembly], ratios: Mapping[str, int], ratio: int
) -> tuple[dict[str, Work], dict[str, float]]:
    """What is done to all pictures by name, and mean bytes of what is read."""
    first = next(iter(networks.values()))
    preprocessing = first.preprocessing
    contents = [file.read_bytes() if isinstance(file, Path) else file for file in pictures.files]

    def read_pictures() -> list[Tensor]:
        opened = (open_picture(content, preprocessing)[0] for content in contents)
        return [picture_to_image(working_view(picture, preprocessing)) for picture in opened]

    image = torch.stack(read_pictures())
    thumbnail = FixedDownscaler(ratio, "bicubic")(image)
    works: dict[str, Work] = {"read pictures": read_pictures}
    sizes = {"pictures": float(np.mean([len(content) for content in contents]))}
    for text in FORMATS:
        stored = [encode(image_to_picture(one), parse_format(text)) for one in thumbnail]
        works[f"read {text}"] = partial(read_thumbnails, stored)
        sizes[text] = float(np.mean([len(content) for content in stored]))
    works["teacher"] = answering(first.teacher, image, preprocessing)
    for name, one in networks.items():
        works[name] = answering(one.pair.student, image if ratios[name] == 1 else thumbnail, preprocessing)
    return works, sizes


def read_thumbnails(stored: Sequence[bytes]) -> list[Tensor]:
    """Each as the student's loader would hand it on."""
    return [picture_to_image(decode(content)) for content in stored]


def answering(network: nn.Module, image: Tensor, preprocessing: Preprocessing) -> Work:
    """Asks a network about all images, a few at a time: a large batch at full size would not fit the caches."""
    network = network.eval().to(memory_format=torch.channels_last)
    batch = normalise(image, preprocessing.mean, preprocessing.std).contiguous(memory_format=torch.channels_last)
    parts = batch.split(BATCH_SIZE)

    @torch.inference_mode()
    def ask() -> object:
        return [network(part) for part in parts]

    return ask


def medians(works: Mapping[str, Work], rounds: int, pictures: int) -> dict[str, float]:
    """Milliseconds a picture, the median over rounds that do everything in turn."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in Announcer().track(range(rounds + WARM_UP), rounds + WARM_UP, "timing"):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if number >= WARM_UP:
                taken[name].append(1000 * (time.perf_counter() - started) / pictures)
    return {name: float(np.median(values)) for name, values in taken.items()}


if __name__ == "__main__":
    main()
