"""What a teacher and its student would be, before any training: sides, costs and features, under every option.

Needs no data, and no weights but random ones.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from thumbnet.config import StudentSettings, TrainSettings, student_channels
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.errors import NetworkError
from thumbnet.networks.adapters import fit_to_side
from thumbnet.networks.architectures import Start, build_classifier
from thumbnet.networks.assembly import Assembly, divided_side, fit_preprocessing
from thumbnet.networks.detail_decoder import NAME as DECODER
from thumbnet.networks.downscaler import build_downscaler
from thumbnet.networks.space_to_depth import widen_first_layer
from thumbnet.networks.strides import strided_steps
from thumbnet.networks.student import build_student, in_words, padding_warning
from thumbnet.networks.student_start import start_student
from thumbnet.networks.taps import LayerTrace, default_layers, trace_layers
from thumbnet.networks.teacher import count_classes
from thumbnet.networks.weights import stored_labels
from thumbnet.profiling import count_macs, count_parameters, format_macs
from thumbnet.progress import Announcer

PLAIN = "plain"


@dataclass(frozen=True, kw_only=True)
class NetworkPreview:
    """One network at its side.

    Attributes:
        side: Of its input, px.
        macs: For one picture.
        parameters: Trainable and fixed.
        features: Channels, height and width of the tapped layers' output, by name.
        warning: What the user should know of it; None where all is well.
    """

    side: int
    macs: int
    parameters: int
    features: dict[str, tuple[int, ...]]
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A teacher and what can be made of it.

    Attributes:
        teacher: T.
        students: S by option, `plain` first; where an option cannot be had, the reason in one line.
        chosen: The option that the settings ask for.
        downscaler_macs: MACs of E for one picture.
        downscaler_parameters: Parameters of E.
    """

    teacher: NetworkPreview
    students: dict[str, NetworkPreview | str]
    chosen: str
    downscaler_macs: int
    downscaler_parameters: int


def preview(settings: TrainSettings, announcer: Announcer | None = None) -> Preview:
    """Builds T, E and S under every option of `student`, and measures them.

    Args:
        settings: `teacher`, `teacher_weights`, `ratio`, `image_side`, `downscaler`, `student` and `feature_mapping`
            are looked at; nothing is read from `data` or written to `output`.
        announcer: Shows the progress; by default nobody.

    Raises:
        ConfigError: If the ratio does not divide the image side.
        NetworkError: If the teacher cannot be built, or does not run at its side.
    """
    announcer = announcer or Announcer(quiet=True)
    teacher, preprocessing = _teacher(settings)
    image_side = preprocessing.image_side
    sides = (image_side, divided_side(image_side, settings.ratio))
    classes = tuple(map(str, range(count_classes(teacher, image_side))))
    traces = trace_layers(teacher, image_side)
    layers = settings.feature_mapping.layers or default_layers(traces)
    chosen = settings.student.shipped()
    chosen = replace(chosen, network=settings.student.network, weights="random" if settings.student.network else None)
    options = _options(chosen, len(strided_steps(teacher, traces)), settings)
    channels = student_channels(settings.downscaler, settings.ratio)
    students: dict[str, NetworkPreview | str] = {}
    for option in announcer.track(options, len(options), "options"):
        name = in_words(option) or PLAIN
        try:
            start = start_student(teacher, settings.teacher, option, preprocessing, classes)
            as_teacher = option.network is None and not option.prune
            student, fit = build_student(start.network, option, *sides, traces if as_teacher else None)
            widen_first_layer(student, channels, sides[1])
        except NetworkError as error:
            students[name] = str(error)
        else:
            warning = padding_warning(fit, settings.ratio)
            tapped = layers if option.network is None else default_layers(fit.at_image_side)
            students[name] = _measure(student, sides[1], tapped, fit.at_thumbnail_side, warning, channels)
    downscaler = build_downscaler(settings.downscaler, settings.ratio)
    return Preview(
        teacher=_measure(teacher, image_side, layers, traces),
        students=students,
        chosen=in_words(settings.student) or PLAIN,
        downscaler_macs=count_macs(downscaler, image_side),
        downscaler_parameters=count_parameters(downscaler),
    )


def preview_lines(assembly: Assembly, settings: TrainSettings) -> tuple[str, ...]:
    """The networks that a run is about to train, one line each: side, MACs, parameters and features."""
    image_side = assembly.preprocessing.image_side
    teacher, pair = assembly.teacher.tapped.network, assembly.pair
    student, thumbnail_side = pair.student.network, image_side // settings.ratio
    teacher_traces = trace_layers(teacher, image_side)
    layers = assembly.teacher.tapped.layers or default_layers(teacher_traces)
    channels = student_channels(settings.downscaler, settings.ratio)
    student_traces = trace_layers(student, thumbnail_side, channels)
    option = in_words(settings.student)
    student_layers = tuple(layer for layer in pair.student.layers if layer != DECODER) or layers
    lines = (
        network_line(_measure(teacher, image_side, layers, teacher_traces)),
        network_line(_measure(student, thumbnail_side, student_layers, student_traces, channels=channels)),
    )
    downscaler = format_macs(count_macs(pair.downscaler, image_side))
    chosen = assembly.downscaler
    begun = ", starts by hiding detail" if chosen.hides else ", frozen" if chosen.frozen else ""
    return (
        f"teacher: {lines[0]}",
        f"student: {lines[1]}{f', {option}' if option else ''}",
        f"downscaler: {chosen.kind}, {downscaler} MACs{begun}",
    )


def default_lines(settings: TrainSettings, own_terms: Collection[str] = ()) -> tuple[str, ...]:
    """What follows from how far the student is from its teacher, unless it is given: one line each.

    Args:
        settings: The run's.
        own_terms: Names of losses of the user's own, whose weights are theirs.
    """
    lines = [f"learning rate: {settings.peak_lr:g} at its peak"]
    if settings.loss.em is None and "em" not in own_terms:
        lines.append(f"embedding matching: weight {settings.loss_weights.em:g}")
    return tuple(lines)


def network_line(network: NetworkPreview) -> str:
    """`56 px, 119.2 M MACs, 11,176,512 parameters, features layer4 512×2×2`."""
    costs = f"{network.side} px, {format_macs(network.macs)} MACs, {network.parameters:,} parameters"
    return f"{costs}, features {feature_sizes(network)}"


def feature_sizes(network: NetworkPreview) -> str:
    """`layer4 512×2×2`; a layer that gives nothing is left out."""
    return ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in network.features.items())


def _teacher(settings: TrainSettings) -> tuple[nn.Module, Preprocessing]:
    """The teacher at its image side; with random weights, and in a file without labels, its makers' own classes."""
    weights = settings.teacher_weights
    labels = stored_labels(Path(weights)) if weights not in ("pretrained", "random") else None
    start: Start = "pretrained" if weights == "pretrained" else "random"
    # Costs and features are the same with any weights: a file is asked for its classes alone.
    classifier = build_classifier(settings.teacher, start, len(labels) if labels else None)
    preprocessing = fit_preprocessing(classifier, settings)
    fit_to_side(classifier.network, preprocessing.image_side)
    return classifier.network, preprocessing


def _options(chosen: StudentSettings, steps: int, settings: TrainSettings) -> list[StudentSettings]:
    """Every option that a network with this many strided steps may have, and the chosen one."""
    numbered = [StudentSettings(keep_stride=number) for number in range(2, steps + 1)]
    kept = StudentSettings(keep_stem_resolution=True)
    options = [StudentSettings(), kept, *numbered, StudentSettings(dilate_last_stage=True)]
    pictures = student_channels(settings.downscaler, settings.ratio) == 3
    options += [StudentSettings(detail_decoder=True)] if settings.ratio > 2 and pictures else []
    return options if chosen in options else [*options, chosen]


def _measure(
    network: nn.Module,
    side: int,
    layers: Sequence[str],
    traces: Sequence[LayerTrace],
    warning: str | None = None,
    channels: int = 3,
) -> NetworkPreview:
    shapes = {trace.name: trace.shape for trace in traces if trace.is_map}
    return NetworkPreview(
        side=side,
        macs=count_macs(network, side, channels),
        parameters=count_parameters(network),
        features={layer: shapes[layer] for layer in layers if layer in shapes},
        warning=warning,
    )
