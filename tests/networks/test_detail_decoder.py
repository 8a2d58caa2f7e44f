"""The detail decoder: it comes before the own layers of a student, starts as an enlargement, and ships with it."""

import copy

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from thumbnet.config import LossSettings, StudentSettings, TrainSettings
from thumbnet.errors import ConfigError
from thumbnet.networks.adapters import fit_to_side, head_names
from thumbnet.networks.assembly import assemble
from thumbnet.networks.detail_decoder import DetailDecoder, add_detail_decoder, decoder_of
from thumbnet.networks.student import StudentFit, fit_student, in_words, make_student, padding_warning
from thumbnet.networks.taps import trace_layers
from thumbnet.objective import paper_terms
from thumbnet.profiling import count_macs
from tiny_networks import two_stages

READING = StudentSettings(detail_decoder=True)


def test_it_starts_as_the_bilinear_enlargement() -> None:
    torch.manual_seed(0)
    thumbnail = torch.randn(2, 3, 6, 9)
    enlarged = functional.interpolate(thumbnail, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(DetailDecoder()(thumbnail), enlarged, atol=1e-6)


def test_every_weight_can_learn() -> None:
    decoder = DetailDecoder()
    nn.init.normal_(decoder.write.weight)
    decoder(torch.randn(1, 3, 4, 4)).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in decoder.parameters())


def test_a_student_that_begins_with_one_is_the_teacher_on_the_enlarged_thumbnail(tiny_classifier: nn.Module) -> None:
    teacher = tiny_classifier.eval()
    student = make_student(teacher, READING, 32, 8).eval()
    thumbnail = torch.randn(2, 3, 8, 8)
    enlarged = functional.interpolate(thumbnail, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(student(thumbnail), teacher(enlarged), atol=1e-5)
    assert torch.equal(copy.deepcopy(student)(thumbnail), student(thumbnail))
    own = [name for name in student.state_dict() if not name.startswith("detail_decoder.")]
    assert own == list(teacher.state_dict())
    decoding = (5 * 5 * 3 * 16 + 3 * 3 * 19 * 12) * 8 * 8
    assert count_macs(student, 8) == count_macs(teacher, 16) + decoding
    assert {trace.name: trace.shape for trace in trace_layers(student, 8)}["stage"] == (16, 4, 4)
    assert decoder_of(student) is not None and decoder_of(teacher) is None
    assert in_words(READING) == "detail_decoder"


def test_layers_in_a_row_call_it_once_and_first() -> None:
    network = two_stages().eval()
    wanted = network(functional.interpolate(image := torch.randn(1, 3, 8, 8), scale_factor=2, mode="bilinear"))
    add_detail_decoder(network)
    assert torch.allclose(network(image), wanted, atol=1e-5)
    assert head_names(network) == ["5"]


def enlarged_twice(thumbnail: torch.Tensor, side: int) -> torch.Tensor:
    """What a new decoder makes of a thumbnail, enlarged to the image side."""
    decoded = functional.interpolate(thumbnail, scale_factor=2, mode="bilinear", align_corners=False)
    return functional.interpolate(decoded, size=(side, side), mode="bicubic", align_corners=False)


def test_with_upsample_the_teachers_whole_compute_sees_what_it_read(tiny_classifier: nn.Module) -> None:
    teacher = tiny_classifier.eval()
    settings = StudentSettings(detail_decoder=True, upsample=True)
    student = make_student(teacher, settings, 32, 8).eval()
    thumbnail = torch.randn(2, 3, 8, 8)
    assert torch.allclose(student(thumbnail), teacher(enlarged_twice(thumbnail, 32)), atol=1e-5)
    assert torch.equal(copy.deepcopy(student)(thumbnail), student(thumbnail))
    assert count_macs(student, 8) == count_macs(teacher, 32) + count_macs(DetailDecoder(), 8)
    assert in_words(settings) == "upsample, detail_decoder"


def test_layers_in_a_row_enlarge_what_their_decoder_read() -> None:
    teacher = nn.Sequential(nn.BatchNorm2d(3), *two_stages()).eval()
    student = make_student(teacher, StudentSettings(detail_decoder=True, upsample=True), 32, 8).eval()
    student[2] = copy.deepcopy(teacher[0])  # as training by several processes replaces norms
    thumbnail = torch.randn(2, 3, 8, 8)
    assert torch.allclose(student(thumbnail), teacher(enlarged_twice(thumbnail, 32)), atol=1e-5)
    own = [name for name in student.state_dict() if not name.startswith("detail_decoder.")]
    assert own == list(teacher.state_dict())


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]
)
def test_families_of_networks_take_it(name: str) -> None:
    sided = {"img_size": 224} if name.startswith(("vit", "swin")) else {}
    network = timm.create_model(name, num_classes=4, **sided)
    heads = head_names(network)
    fit = fit_student(network, READING, 224, 56)
    assert head_names(network) == heads
    assert network.eval()(torch.randn(1, 3, 56, 56)).shape == (1, 4)
    assert padding_warning(fit, ratio=4) is None
    assert isinstance(fit, StudentFit)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_families_of_networks_see_what_it_reads_enlarged(name: str) -> None:
    teacher = timm.create_model(name, num_classes=4).eval()
    thumbnail = torch.randn(1, 3, 56, 56)
    student = make_student(teacher, StudentSettings(detail_decoder=True, upsample=True), 224, 56).eval()
    assert torch.allclose(student(thumbnail), teacher(enlarged_twice(thumbnail, 224)), atol=1e-4)


def test_at_any_ratio_what_it_reads_is_enlarged_to_the_image_side(tiny_classifier: nn.Module) -> None:
    teacher, thumbnail = tiny_classifier.eval(), torch.randn(2, 3, 10, 10)
    student = make_student(teacher, StudentSettings(detail_decoder=True, upsample=True), 30, 10).eval()
    assert torch.allclose(student(thumbnail), teacher(enlarged_twice(thumbnail, 30)), atol=1e-5)


def test_a_pair_gives_what_it_reads_as_image_values(tiny_settings_of: TrainSettings) -> None:
    assembly = assemble(tiny_settings_of, ("flat", "round"), tap_features=True, tap_embedding=True)
    fit_to_side(assembly.teacher.tapped.network, 32)
    image = torch.rand(2, 3, 32, 32)
    output = assembly.pair.eval()(image)
    enlarged = functional.interpolate(output.thumbnail, scale_factor=2, mode="bilinear", align_corners=False)
    assert output.detail is not None and torch.allclose(output.detail, enlarged, atol=1e-5)
    assert "detail" not in output.features and set(output.features) == {"1", "embedding"}


@pytest.fixture
def tiny_settings_of() -> TrainSettings:
    teacher = {"teacher": "tiny_networks:two_stages", "teacher_weights": "random"}
    return TrainSettings(**teacher, data="", output="", image_side=32, student=READING)


def test_its_losses_are_there_with_it_alone() -> None:
    assert not {"dm", "pm"} & set(paper_terms(LossSettings(em=2.0)))
    assert {"dm", "pm"} < set(paper_terms(LossSettings(em=2.0), detail_decoder=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"student": StudentSettings(detail_decoder=True), "ratio": 2}, "given with ratio 3 or more"),
    ],
)
def test_where_it_has_nothing_to_read_it_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainSettings(teacher="", data="", output="", **changes)  # type: ignore[arg-type]


def test_other_ways_to_finer_features_are_refused_beside_it() -> None:
    for other in ({"keep_stem_resolution": True}, {"extra_ratios": (2,)}, {"keep_stride": 2}):
        with pytest.raises(ConfigError, match=r"student\.detail_decoder is True, but must be given without"):
            StudentSettings(detail_decoder=True, **other)  # type: ignore[arg-type]
