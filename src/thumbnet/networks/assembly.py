"""From settings to the networks of a run: T frozen, E and S ready to train, the feature mapping between them."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from thumbnet.config import DownscalerSettings, TrainSettings, student_channels
from thumbnet.data.preprocessing import Preprocessing
from thumbnet.errors import ConfigError, NetworkError
from thumbnet.networks.adapters import fit_to_side
from thumbnet.networks.architectures import Classifier, Start, build_classifier, keep_outputs
from thumbnet.networks.class_names import agreed_classes
from thumbnet.networks.data_config import at_side
from thumbnet.networks.detail_decoder import tapped_student
from thumbnet.networks.downscaler import build_downscaler
from thumbnet.networks.feature_mapping import Decoder, FeatureMapping, build_decoders
from thumbnet.networks.first_layers import first_layers, reads_detail
from thumbnet.networks.multi_resolution import other_sides
from thumbnet.networks.pair import Pair
from thumbnet.networks.space_to_depth import start_at_finer_pixels, statistics_of, widen_first_layer
from thumbnet.networks.stored_classifier import Sides, load_classifier, load_classifier_of
from thumbnet.networks.student import StudentFit, build_student, padding_warning
from thumbnet.networks.student_start import start_student
from thumbnet.networks.taps import (
    EMBEDDING,
    TappedNetwork,
    default_layers,
    early_layer_warning,
    embedding_width,
    trace_layers,
)
from thumbnet.networks.teacher import Teacher, check_classes, count_classes
from thumbnet.networks.weights import stored_labels


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """The networks of one run.

    Attributes:
        teacher: T, frozen.
        pair: E, S and the feature mapping.
        preprocessing: How T, and so E, wants its pictures.
        classes: Names of the outputs, in their order.
        feature_shapes: Channels, height and width of T's tapped features, by layer.
        downscaler: Settings of E, with the start that it has with this network.
        first_layers: What read the picture in S before S was fitted to the thumbnail, where its start asks for that.
        warnings: What the user should know before training.
    """

    teacher: Teacher
    pair: Pair
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    feature_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    downscaler: DownscalerSettings = field(default_factory=DownscalerSettings)
    first_layers: dict[str, nn.Conv2d] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BuiltTeacher:
    """T with its weights.

    Attributes:
        classifier: The network, fitted to the image side, and how it wants its pictures.
        classes: Names of its outputs, in their order; all of the data's are among them.
        warnings: What the user should know before training.
    """

    classifier: Classifier
    classes: tuple[str, ...]
    warnings: tuple[str, ...]


def assemble(
    settings: TrainSettings, classes: tuple[str, ...], tap_features: bool, tap_embedding: bool = False
) -> Assembly:
    """Builds T, E, S and the feature mapping.

    Args:
        settings: The run's.
        classes: The data's.
        tap_features: Whether any loss looks at features.
        tap_embedding: Whether any loss looks at embeddings.

    Raises:
        ConfigError: If the ratio does not divide the image side.
        NetworkError: If the teacher does not fit the data, or the student does not run at the thumbnail side.
        CheckpointError: If the weights do not fit the teacher.
    """
    built = build_teacher(settings, classes)
    classifier, warnings = built.classifier, built.warnings
    preprocessing = fit_preprocessing(classifier, settings)
    side = preprocessing.image_side
    thumbnail_side = divided_side(side, settings.ratio)
    start = start_student(classifier.network, settings.teacher, settings.student, preprocessing, built.classes)
    bound, downscaler_start = settings.downscaler.kind == "all_information", settings.downscaler_start
    before = first_layers(start.network, side) if bound or downscaler_start == "detail" else {}
    student, fit = build_student(start.network, settings.student, side, thumbnail_side)
    asked = settings.downscaler.start is not None
    if downscaler_start == "detail" and not reads_detail(student, before, asked):
        before, downscaler_start = {}, "natural"
    padding = padding_warning(fit, settings.ratio)
    warnings += (padding,) if padding else ()

    layers: tuple[str, ...] = ()
    student_layers: tuple[str, ...] = ()
    decoders: dict[str, nn.Module] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    teacher_traces = trace_layers(classifier.network, side) if tap_features else []
    if tap_features:
        layers = settings.feature_mapping.layers or ()
    if tap_features and not layers:
        layers = default_layers(teacher_traces)
        early = early_layer_warning(classifier.network, teacher_traces, layers[-1])
        warnings += (early,) if early else ()
    teacher = Teacher(TappedNetwork(classifier.network, layers, embedding=tap_embedding))
    if tap_features:
        student_layers = _student_layers(settings, layers, fit)
        other = student_layers if student_layers != layers else None
        decoders = build_decoders(
            teacher_traces, fit.at_thumbnail_side, layers, settings.feature_mapping.channels, other
        )
        shapes = {trace.name: trace.shape for trace in teacher_traces if trace.name in layers}
    if tap_embedding:
        shapes[EMBEDDING] = (embedding_width(classifier.network), 1, 1)
        own = (embedding_width(student), 1, 1)
        # T's copy has its embedding as it is; another network's is brought to T's width.
        decoders |= {} if own == shapes[EMBEDDING] else {EMBEDDING: Decoder(own, shapes[EMBEDDING], own[0])}
    channels = student_channels(settings.downscaler, settings.ratio)
    widen_first_layer(student, channels, thumbnail_side)
    if bound:
        start_at_finer_pixels(student, before, settings.ratio)
    pair = Pair(
        build_downscaler(settings.downscaler, settings.ratio),
        tapped_student(student, student_layers, layers, tap_embedding),
        FeatureMapping(decoders),
        statistics_of(start.mean, channels),
        statistics_of(start.std, channels),
        other_sides(student, settings.student.extra_ratios, side, start.mean, start.std),
        frozen_downscaler=settings.downscaler.frozen,
        eight_bit=settings.thumbnail.eight_bit,
    )
    return Assembly(
        teacher=teacher,
        pair=pair,
        preprocessing=preprocessing,
        classes=built.classes,
        feature_shapes=shapes,
        downscaler=replace(settings.downscaler, start=downscaler_start),
        first_layers=before,
        warnings=warnings,
    )


def _student_layers(settings: TrainSettings, layers: tuple[str, ...], fit: StudentFit) -> tuple[str, ...]:
    """The student's layers to map from: those the user names, else T's names; of another network its last stage.

    Raises:
        NetworkError: If the student is another network, and T's layers are named and its own are not.
    """
    chosen = settings.feature_mapping
    if chosen.student_layers is not None:
        return chosen.student_layers
    if settings.student.network is None or set(layers) <= {trace.name for trace in fit.at_image_side}:
        named_alike = settings.student.network is None or chosen.layers is not None
        return layers if named_alike else default_layers(fit.at_image_side)
    if chosen.layers is not None:
        names = ", ".join(chosen.layers)
        raise NetworkError(
            f"feature_mapping.layers: the student has no {names}; give --feature_mapping.student_layers as well"
        )
    return default_layers(fit.at_image_side)


def assemble_teacher_training(settings: TrainSettings, classes: tuple[str, ...]) -> Assembly:
    """The same for fine-tuning a teacher: the student is the classifier itself, the thumbnail is the image."""
    weights = settings.teacher_weights
    if _is_file(weights):
        classifier = load_classifier_of(settings.teacher, Path(weights), classes, _trained_sides(settings))
    else:
        classifier = build_classifier(settings.teacher, _start(weights), len(classes))
    preprocessing = fit_preprocessing(classifier, settings)
    fit_to_side(classifier.network, preprocessing.image_side)
    check_classes(classifier.network, preprocessing.image_side, classes)
    pair = Pair(
        nn.Identity(), TappedNetwork(classifier.network), FeatureMapping({}), preprocessing.mean, preprocessing.std
    )
    nobody = Teacher(TappedNetwork(nn.Identity()))
    return Assembly(teacher=nobody, pair=pair, preprocessing=preprocessing, classes=classes)


def build_teacher(settings: TrainSettings, classes: tuple[str, ...]) -> BuiltTeacher:
    """The teacher with its weights, fitted to the image side.

    Args:
        settings: The run's.
        classes: The data's; empty where it has no labels.

    Raises:
        NetworkError: If it cannot be built, or its classes are not the data's.
        CheckpointError: If its weights do not fit.
    """
    weights = settings.teacher_weights
    stored = stored_labels(Path(weights)) if _is_file(weights) else None
    if _is_file(weights):
        classifier = load_classifier(settings.teacher, Path(weights), classes, _trained_sides(settings))
    else:
        # A makers' pretrained teacher keeps its own classes, so that a wrong number is found and not papered over.
        outputs = None if weights == "pretrained" else len(classes) or None
        classifier = build_classifier(settings.teacher, _start(weights), outputs)
    side = fit_preprocessing(classifier, settings).image_side
    fit_to_side(classifier.network, side)
    agreed, warning = agreed_classes(
        classes,
        count_classes(classifier.network, side),
        classifier.label_sets if stored is None else (stored,),
        trained=stored is not None,
        mapped=settings.class_map is not None,
    )
    warnings: tuple[str, ...] = (warning,) if warning else ()
    if settings.teacher_classes == "data" and agreed != classes:
        keep_outputs(classifier.network, [agreed.index(name) for name in classes])
        count_classes(classifier.network, side)  # a factory's network may have heads that were not found
        agreed = classes
    if weights == "random":
        warnings += ("the teacher's weights are random: it teaches nothing; use it for tests only",)
    return BuiltTeacher(classifier=classifier, classes=agreed, warnings=warnings)


def divided_side(image_side: int, ratio: int) -> int:
    """Side of the thumbnail, px.

    Raises:
        ConfigError: If the ratio does not divide the image side.
    """
    if image_side % ratio or image_side < ratio:
        nearest = max(1, round(image_side / ratio)) * ratio
        raise ConfigError(f"ratio {ratio} does not divide the image side {image_side} px; give --image-side {nearest}")
    return image_side // ratio


def fit_preprocessing(classifier: Classifier, settings: TrainSettings) -> Preprocessing:
    """The teacher's own preprocessing with the user's changes.

    Raises:
        NetworkError: If the teacher does not say the side of its square input and the user does not either.
    """
    if settings.image_side is None and classifier.preprocessing is None:
        raise NetworkError(
            f"teacher {settings.teacher} does not say the side of its input; give --image-side, e.g. 224"
        )
    preprocessing = classifier.preprocessing or Preprocessing(image_side=settings.image_side or 224)
    preprocessing = at_side(classifier.network, preprocessing, settings.image_side)
    if settings.views.crop_share is not None:
        preprocessing = replace(preprocessing, crop_share=settings.views.crop_share)
    return preprocessing


def _trained_sides(settings: TrainSettings) -> Sides:
    """Where a run of ours trained a teacher, its learned positions are those of the image side, not of its makers'."""
    return lambda classifier: (fit_preprocessing(classifier, settings).image_side,)


def _start(weights: str) -> Start:
    return "pretrained" if weights == "pretrained" else "random"


def _is_file(weights: str) -> bool:
    return weights not in ("pretrained", "random")
