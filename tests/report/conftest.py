"""A finished run to report on."""

from pathlib import Path

import pytest
from PIL import Image

from report_run import EPOCHS, EVALUATION, make_run
from thumbnet.run_folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished run with two epochs, two samples and no unreadable picture."""
    run = make_run(tmp_path, EVALUATION)
    for record in EPOCHS:
        run.append_metrics(record)
    run.write_unreadable([])
    run.samples.mkdir()
    for number in range(2):
        for kind, side in (("image", 16), ("bicubic", 4), ("thumbnail", 4)):
            Image.new("RGB", (side, side), (number, 40, side)).save(run.samples / f"{number:02d}-{kind}.png")
    return run
