"""The benchmark of training speed measures the step that training takes."""

from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_the_bare_epoch_ends_at_the_weights_of_the_loops_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import training_speed

    teacher = "thumbnet.data.samples:efficientnet_lite0"
    weights = []
    for name, run in (("loop", training_speed.time_epoch), ("bare", training_speed.time_bare_epoch)):
        torch.manual_seed(0)
        loop = training_speed.make_loop(tmp_path / name, teacher, 128, 2, 4, "cpu")
        run(loop)
        weights.append(loop.state.pair.student.state_dict())
    ours, bare = weights
    assert all(torch.allclose(ours[name], bare[name], atol=1e-6) for name in bare)
