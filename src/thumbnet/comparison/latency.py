"""How long one picture takes with each recipe, measured side by side in one process."""

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from PIL import Image
from torch import nn

from thumbnet.bundle import ThumbNet
from thumbnet.comparison.recipes import TEACHER
from thumbnet.comparison.runs import RecipeRun
from thumbnet.data.preprocessing import Preprocessing, normalise, picture_to_image
from thumbnet.devices import choose_device
from thumbnet.errors import ThumbNetError
from thumbnet.networks.assembly import build_teacher
from thumbnet.progress import Announcer

WARM_UP = 3


def measure_latency(runs: Mapping[str, RecipeRun], rounds: int, announcer: Announcer) -> tuple[dict[str, float], str]:
    """Median milliseconds for one picture, by recipe, and for the teacher.

    A picture is decoded and at the image side when the clock starts: what comes before is the same for all. The clock
    holds its way into a tensor, the downscaler, rounding, normalisation and the student; for the teacher, the network
    on the picture.     Each round asks every network once, so that what else the machine does meets all alike.

    Args:
        runs: A finished run of each recipe.
        rounds: How many; 0 measures nothing.
        announcer: Shows progress.

    Returns:
        Milliseconds by name, and the device they were measured on.
    """
    first = next(iter(runs.values()), None)
    if first is None or rounds == 0:
        return {}, "none"
    assert first.recipe.settings is not None
    device = choose_device(first.recipe.settings.device)
    networks: dict[str, Callable[[], object]] = {}
    for name, one in runs.items():
        bundle = ThumbNet.load(one.run.path, allow_code=True, device=device)
        networks[name] = _student_question(bundle, _picture(bundle.image_side), device)
        if TEACHER not in networks:
            _add_teacher(networks, one, bundle, device, announcer)
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for number in announcer.track(range(rounds + WARM_UP), rounds + WARM_UP, "timing"):
        for name, question in networks.items():
            taken = _timed(question)
            if number >= WARM_UP:
                seconds[name].append(taken)
    return {name: 1000 * float(np.median(values)) for name, values in seconds.items()}, str(device)


def _student_question(bundle: ThumbNet, picture: Image.Image, device: torch.device) -> Callable[[], object]:
    return lambda: bundle.logits(bundle.thumbnails(picture_to_image(picture).unsqueeze(0).to(device))).cpu()


def _add_teacher(
    networks: dict[str, Callable[[], object]],
    one: RecipeRun,
    bundle: ThumbNet,
    device: torch.device,
    announcer: Announcer,
) -> None:
    assert one.recipe.settings is not None
    try:
        network = build_teacher(one.recipe.settings, bundle.labels).classifier.network.eval().to(device)
    except ThumbNetError as error:
        announcer.warn(f"the teacher is not timed ({error})")
        return
    picture = _picture(bundle.image_side)
    networks[TEACHER] = lambda: _ask_teacher(network, picture, bundle.description.preprocessing, device)


@torch.no_grad()
def _ask_teacher(
    network: nn.Module, picture: Image.Image, preprocessing: Preprocessing, device: torch.device
) -> torch.Tensor:
    image = picture_to_image(picture).unsqueeze(0).to(device)
    logits: torch.Tensor = network(normalise(image, preprocessing.mean, preprocessing.std))
    return logits.cpu()


def _timed(question: Callable[[], object]) -> float:
    """Seconds; the answer's way back to the processor waits for the device."""
    started = time.perf_counter()
    question()
    return time.perf_counter() - started


def _picture(side: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)
