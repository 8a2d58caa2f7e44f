"""Before training, a downscaler learns to write detail and the student to read it; a resumed run does not again."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bundle_weights import same, weights
from command_line import Run
from stopping_term import stopping_at
from thumbnet import fit
from thumbnet.config import DownscalerSettings, LossSettings, StudentSettings, ThumbnailSettings, TrainSettings
from thumbnet.config.networks import DownscalerKind
from thumbnet.data.preprocessing import normalise
from thumbnet.detail_start import start_detail
from thumbnet.errors import ConfigError, NetworkError
from thumbnet.losses import layer_matching, pixel_matching
from thumbnet.networks.assembly import assemble
from thumbnet.networks.codec_noise import CodecNoise
from thumbnet.networks.detail_decoder import DetailDecoder, decoder_of
from thumbnet.networks.downscaler import to_8bit
from thumbnet.networks.pair import Pair
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder

Settings = Callable[..., TrainSettings]
NO_NOISE = CodecNoise(ThumbnailSettings(), seed=0)


@pytest.fixture
def stripes() -> Tensor:
    """Stripes and checks of 4 px and finer, which a thumbnail of ratio 4 averages away."""
    torch.manual_seed(0)
    coarse = torch.rand(8, 3, 16, 16).repeat_interleave(2, 2).repeat_interleave(2, 3)
    return (0.25 + 0.5 * coarse).clamp(0, 1)


def pair_of(settings: TrainSettings) -> Pair:
    return assemble(settings, ("flat", "round"), tap_features=False).pair


def unread(pair: Pair, image: Tensor) -> float:
    with torch.no_grad():
        detail = pair.eval()(image).detail
    assert detail is not None
    return float(pixel_matching(detail, image))


def test_what_the_thumbnail_alone_cannot_say_is_written_and_read(tiny_settings: Settings, stripes: Tensor) -> None:
    left = {}
    for kind in ("bicubic", "residual"):
        torch.manual_seed(0)
        settings = tiny_settings(student=StudentSettings(detail_decoder=True), downscaler=DownscalerSettings(kind=kind))
        pair = pair_of(settings)
        before = unread(pair, stripes)
        start_detail(pair, {}, repeat(stripes), 200, 4, LossSettings(), NO_NOISE, Announcer(quiet=True))
        left[kind] = unread(pair, stripes) / before
    assert left["residual"] < 0.9 * left["bicubic"] <= 0.9


def test_with_codec_noise_what_is_read_survives_the_codec(tiny_settings: Settings, stripes: Tensor) -> None:
    settings = tiny_settings(student=StudentSettings(detail_decoder=True))
    always = CodecNoise(ThumbnailSettings(codec_noise=1.0, codec="webp", quality=(60, 60)), seed=0)
    left = {}
    for name, noise in (("without", NO_NOISE), ("with", always)):
        torch.manual_seed(0)
        pair = pair_of(settings)
        start_detail(pair, {}, repeat(stripes), 200, 4, LossSettings(), noise, Announcer(quiet=True))
        with torch.no_grad():
            stored = pair.eval()(stripes, lambda thumbnail: always(thumbnail, 0, 0, len(thumbnail)))
        left[name] = float(pixel_matching(stored.detail, stripes))
    assert left["with"] < 0.9 * left["without"]


def test_the_student_itself_stays_as_it_was(tiny_settings: Settings, stripes: Tensor) -> None:
    pair = pair_of(tiny_settings(student=StudentSettings(detail_decoder=True)))
    before = {name: value.clone() for name, value in pair.student.network.state_dict().items()}
    start_detail(pair, {}, repeat(stripes), 3, 4, LossSettings(), NO_NOISE, Announcer(quiet=True))
    changed = {
        name for name, value in pair.student.network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed and all(name.startswith("detail_decoder.") for name in changed)
    assert all(weight.grad is None for weight in pair.parameters())


def test_it_takes_as_many_batches_as_its_steps_need(tiny_settings: Settings, stripes: Tensor) -> None:
    taken = []

    def images() -> Iterator[Tensor]:
        while True:
            taken.append(1)
            yield stripes

    pair = pair_of(tiny_settings(student=StudentSettings(detail_decoder=True)))
    start_detail(pair, {}, images(), 6, 4, LossSettings(), NO_NOISE, Announcer(quiet=True))
    assert len(taken) == 2


def test_a_run_with_one_ships_it_and_resumes_without_starting_again(
    tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny_settings(student=StudentSettings(detail_decoder=True, detail_steps=6))
    whole = fit(settings, output=tmp_path / "whole", terms=stopping_at(), quiet=True)
    assert whole.description.student.detail_decoder
    with pytest.raises(KeyboardInterrupt):
        fit(settings, terms=stopping_at(5), quiet=True)
    monkeypatch.delattr("thumbnet.preparation.start_detail")
    fit(settings, terms=stopping_at(), resume=True, quiet=True)
    assert same(weights(tmp_path / "whole"), weights(settings.output))
    assert {"dm", "pm"} < RunFolder(settings.output).read_metrics()[0].keys()


def test_compressing_what_is_read_is_warned_about(
    tiny_settings: Settings, photos: Path, tmp_path: Path, thumbnet: Run
) -> None:
    settings = tiny_settings(student=StudentSettings(detail_decoder=True, detail_steps=4), epochs=1)
    fit(settings, quiet=True)
    said = {}
    for form in ("png", "jpeg"):
        archive = ("thumbnail", settings.output, photos / "val", tmp_path / form, "--format", form, "--workers", 1)
        code, _, said[form] = thumbnet(*archive, "--allow-code")
        assert code == 0, said[form]
    assert "takes away detail" in " ".join(said["jpeg"].split())
    assert "takes away detail" not in " ".join(said["png"].split())


def test_a_fixed_filter_is_read_too(tiny_settings: Settings) -> None:
    student = StudentSettings(detail_decoder=True, detail_steps=4)
    bundle = fit(tiny_settings(student=student, downscaler=DownscalerSettings(kind="bicubic"), epochs=1), quiet=True)
    start = DetailDecoder().state_dict()
    found = decoder_of(bundle.student)
    assert found is not None
    assert not torch.equal(found.write.weight, start["write.weight"])


FINER = StudentSettings(keep_stem_resolution=True, detail_steps=6)
DETAIL = DownscalerSettings(start="detail")


@pytest.mark.parametrize(("kind", "ratio", "left"), [("residual", 4, 0.7), ("residual", 2, 0.7), ("bicubic", 4, 0.98)])
def test_without_a_decoder_the_first_layer_reads_what_it_saw_at_twice_the_side(
    tiny_settings: Settings, stripes: Tensor, kind: DownscalerKind, ratio: int, left: float
) -> None:
    torch.manual_seed(0)
    settings = tiny_settings(student=FINER, downscaler=replace(DETAIL, kind=kind), ratio=ratio)
    assembly = assemble(settings, ("flat", "round"), tap_features=False)
    pair, (name, layer) = assembly.pair.eval(), next(iter(assembly.first_layers.items()))
    # Twice the thumbnail's side; at ratio 2 that is the image itself.
    small = interpolate(stripes, scale_factor=2 / ratio, mode="bicubic", antialias=True).clamp(0, 1)
    wanted = layer(normalise(small, pair.mean, pair.std)).detach()

    def missed() -> float:
        with torch.no_grad():
            thumbnail = to_8bit(pair.downscaler(stripes))
            own = pair.student.network.get_submodule(name)(normalise(thumbnail, pair.mean, pair.std))
        return float(layer_matching(own, wanted))

    before = missed()
    rest = {key: value.clone() for key, value in pair.student.network.state_dict().items() if not key.startswith(name)}
    start_detail(
        pair, assembly.first_layers, repeat(stripes), 200, ratio, LossSettings(), NO_NOISE, Announcer(quiet=True)
    )
    assert missed() < left * before
    after = pair.student.network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in rest.items())


def test_a_run_with_that_start_says_so_in_its_bundle_and_resumes_without_starting_again(
    tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny_settings(student=FINER, downscaler=DETAIL)
    whole = fit(settings, output=tmp_path / "whole", terms=stopping_at(), quiet=True)
    assert whole.description.hides_detail
    with pytest.raises(KeyboardInterrupt):
        fit(settings, terms=stopping_at(5), quiet=True)
    monkeypatch.delattr("thumbnet.preparation.start_detail")
    fit(settings, terms=stopping_at(), resume=True, quiet=True)
    assert same(weights(tmp_path / "whole"), weights(settings.output))
    losses = RunFolder(settings.output).read_metrics()[0].keys()
    assert "pm" in losses and "dm" not in losses


def test_behind_a_fixed_filter_the_first_layer_starts_alone_and_nothing_is_hidden(
    tiny_settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = DownscalerSettings(kind="bicubic")
    layers = {}
    for name, chosen in (("started", replace(plain, start="detail")), ("plain", plain)):
        bundle = fit(tiny_settings(student=FINER, downscaler=chosen, output=str(tmp_path / name), lr=1e-9, epochs=1))
        assert not bundle.description.hides_detail
        assert "pm" not in RunFolder(tmp_path / name).read_metrics()[0]
        layers[name] = bundle.student[0][0].weight  # type: ignore[index]
    assert not torch.allclose(layers["started"], layers["plain"], atol=1e-4)
    assert "hid" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("student", "ratio"),
    [(StudentSettings(), 4), (StudentSettings(), 2), (StudentSettings(keep_stem_resolution=True, prune=0.3), 4)],
)
def test_that_start_needs_a_first_layer_that_reads_finer(
    tiny_settings: Settings, student: StudentSettings, ratio: int
) -> None:
    with pytest.raises(ConfigError, match=r"downscaler.start is detail.*student.keep_stem_resolution"):
        tiny_settings(student=student, downscaler=DETAIL, ratio=ratio)


def test_a_first_layer_that_keeps_its_stride_is_named(tiny_settings: Settings) -> None:
    settings = tiny_settings(
        teacher="timm/vgg11", teacher_weights="random", student=FINER, downscaler=DETAIL, image_side=128
    )
    with pytest.raises(NetworkError, match=r"layer features\.0, which reads the picture, has stride 1 and keeps it"):
        assemble(settings, ("flat", "round"), tap_features=False)


@pytest.mark.parametrize(
    "teacher", ["timm/convnext_atto", "timm/vit_tiny_patch16_224", "timm/resnet18", "timm/legacy_xception"]
)
def test_first_layers_of_every_making_can_start_so(tiny_settings: Settings, teacher: str) -> None:
    settings = tiny_settings(
        teacher=teacher, teacher_weights="random", student=FINER, downscaler=DETAIL, image_side=256
    )
    assembly = assemble(settings, ("flat", "round"), tap_features=False)
    weights = {name: assembly.pair.student.network.get_submodule(name).weight for name in assembly.first_layers}
    before = {name: weight.clone() for name, weight in weights.items()}
    images = repeat(torch.rand(2, 3, 256, 256))
    start_detail(assembly.pair, assembly.first_layers, images, 2, 4, LossSettings(), NO_NOISE, Announcer(quiet=True))
    assert weights and not any(torch.equal(weight, before[name]) for name, weight in weights.items())
