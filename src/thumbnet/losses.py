"""The paper's four losses and their variants: pure functions of tensors, each a mean over the batch.

Knows nothing of networks, weights or which losses are in use; `objective` chooses. Equation numbers refer to Zhao &
Ghanem, "ThumbNet: One Thumbnail Image Contains All You Need for Recognition", arXiv 1904.05034.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

VARIANCE_FLOOR = 1e-6
STILL_CHANNEL = 0.01


def moment_matching(
    thumbnail: Float[Tensor, "batch channels small_height small_width"],
    image: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, ""]:
    """L_MM: first and second moments of each channel of the thumbnail equal the image's.

    Mean over batch and channels of (mean(thumbnail) - mean(image))² + (var(thumbnail) - var(image))², with the biased
    variance over pixels. Gradients flow into both arguments.

    Args:
        thumbnail: Values in [0, 1].
        image: Values in [0, 1].

    Returns:
        Scalar, 0 when the moments agree.
    """
    small_variance, small_mean = _moments(thumbnail)
    variance, mean = _moments(image)
    return ((small_mean - mean).square() + (small_variance - variance).square()).mean()


def moment_matching_std(
    thumbnail: Float[Tensor, "batch channels small_height small_width"],
    image: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, ""]:
    """Variant of L_MM with the standard deviation in place of the variance, so both terms have the unit of a pixel.

    Args:
        thumbnail: Values in [0, 1].
        image: Values in [0, 1].

    Returns:
        Scalar, 0 when the moments agree.
    """
    small_variance, small_mean = _moments(thumbnail)
    variance, mean = _moments(image)
    small_std, std = ((value + VARIANCE_FLOOR).sqrt() for value in (small_variance, variance))
    return ((small_mean - mean).square() + (small_std - std).square()).mean()


def local_moment_matching(
    thumbnail: Float[Tensor, "batch channels small_height small_width"],
    image: Float[Tensor, "batch channels height width"],
    window: int = 8,
) -> Float[Tensor, ""]:
    """Variant of L_MM over the cells of a grid, so that moments agree in every place and not on the whole only.

    Args:
        thumbnail: Values in [0, 1].
        image: Values in [0, 1], its sides whole multiples of the thumbnail's.
        window: Side of a cell in thumbnail pixels; a last partial cell is left out.

    Returns:
        Scalar, 0 when the moments agree in every cell.

    Raises:
        ValueError: If the window is larger than the thumbnail.
    """
    if window > min(thumbnail.shape[-2:]):
        raise ValueError(f"window is {window} px, larger than the thumbnail's {min(thumbnail.shape[-2:])} px")
    ratio = image.shape[-1] // thumbnail.shape[-1]
    moments = []
    for pixels, side in ((_at_least_float32(thumbnail), window), (_at_least_float32(image), window * ratio)):
        mean = functional.avg_pool2d(pixels, side)
        moments.append((mean, functional.avg_pool2d(pixels.square(), side) - mean.square()))
    (small_mean, small_variance), (mean, variance) = moments
    return ((small_mean - mean).square() + (small_variance - variance).square()).mean()


def pixel_matching(
    picture: Float[Tensor, "batch channels small_height small_width"],
    image: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, ""]:
    """Not in the paper: a picture of any size is the image at that size, pixel by pixel.

    Of a thumbnail it says how far it is from the plain one; of what a detail decoder makes of a thumbnail, how much of
    the image can be read from it.

    Args:
        picture: Values mostly in [0, 1].
        image: Values in [0, 1]; resized to the picture's size by an antialiased bicubic filter, without gradients.

    Returns:
        Mean squared difference, 0 where both agree.
    """
    with torch.no_grad():
        size = (picture.shape[-2], picture.shape[-1])
        wanted = functional.interpolate(_at_least_float32(image), size, mode="bicubic", antialias=True).clamp(0, 1)
    return (_at_least_float32(picture) - wanted).square().mean()


def layer_matching(
    own: Float[Tensor, "batch channels height width"], wanted: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, ""]:
    """Not in the paper: what a layer gives is what it should give, each channel in its own measure.

    Args:
        own: Of any scale.
        wanted: The same size; its variances are the measure. A channel that hardly varies beside the others counts
            less, so that one that is always the same counts nothing.

    Returns:
        Mean over the channels of the share of their variance that is missed; 0 where both agree.
    """
    missed = (_at_least_float32(own) - _at_least_float32(wanted)).square().mean((0, 2, 3))
    variance = _at_least_float32(wanted).detach().var((0, 2, 3), correction=0)
    return (missed / (variance + STILL_CHANNEL * variance.mean() + VARIANCE_FLOOR)).mean()


def classification(
    student_logits: Float[Tensor, "batch classes"],
    label: Int[Tensor, "batch"] | Float[Tensor, "batch classes"],
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """L_CL: cross-entropy with the label.

    Args:
        student_logits: Not normalised.
        label: Class indices, or shares of the classes with sum 1 (soft labels, mixed pictures).
        label_smoothing: Share of the label spread over all classes; not in the paper.

    Returns:
        Scalar, in nats.
    """
    return functional.cross_entropy(_at_least_float32(student_logits), label, label_smoothing=label_smoothing)


def multilabel_classification(
    student_logits: Float[Tensor, "batch classes"],
    label: Float[Tensor, "batch classes"],
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """L_CL where a picture may have any number of labels: mean binary cross-entropy over batch and classes.

    Not in the paper.

    Args:
        student_logits: Of each class against its absence.
        label: 1 where the picture has the class, 0 where it has not; shares between, for mixed pictures.
        label_smoothing: Share of each label moved to one half.

    Returns:
        Scalar, in nats.
    """
    wanted = _at_least_float32(label) * (1 - label_smoothing) + label_smoothing / 2
    return functional.binary_cross_entropy_with_logits(_at_least_float32(student_logits), wanted)


def knowledge_distillation(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    temperature: float,
) -> Float[Tensor, ""]:
    """L_KD: temperature² · cross-entropy(softmax(teacher / temperature), softmax(student / temperature)).

    At student = teacher this is temperature² times the teacher's entropy, not 0. The square keeps the gradient's size
    the same at every temperature (Hinton et al. 2015). Gradients flow into both arguments.

    Args:
        student_logits: Not normalised.
        teacher_logits: Not normalised.
        temperature: More than 0; larger is softer.

    Returns:
        Scalar, in nats times temperature².
    """
    wanted = functional.softmax(_at_least_float32(teacher_logits) / temperature, dim=1)
    given = functional.log_softmax(_at_least_float32(student_logits) / temperature, dim=1)
    return -(wanted * given).sum(dim=1).mean() * temperature**2


def multilabel_distillation(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    temperature: float,
) -> Float[Tensor, ""]:
    """L_KD label by label: temperature² · mean binary cross-entropy of the two softened yes-or-no answers.

    Not in the paper. At student = teacher this is temperature² times the teacher's mean entropy of a label, not 0.

    Args:
        student_logits: Of each class against its absence.
        teacher_logits: The same.
        temperature: More than 0; larger is softer.

    Returns:
        Scalar, in nats times temperature².
    """
    wanted = torch.sigmoid(_at_least_float32(teacher_logits) / temperature)
    given = _at_least_float32(student_logits) / temperature
    return functional.binary_cross_entropy_with_logits(given, wanted) * temperature**2


def feature_mapping(
    decoded: Mapping[str, Float[Tensor, "_ _ _ _"]],
    teacher_features: Mapping[str, Float[Tensor, "_ _ _ _"]],
    variances: Mapping[str, Float[Tensor, ""]] | None = None,
) -> Float[Tensor, ""]:
    """L_FM: mean squared error of the decoded student features, in units of the teacher features' variance.

    The division is ours: with it one weight suits every layer, and predicting the batch's mean feature costs 1.
    Averaged over layers. Gradients flow into `decoded` and, through the error only, into `teacher_features`.

    Args:
        decoded: Student features at the teacher's size, by layer; layers differ in channels and size.
        teacher_features: The teacher's, by layer; may hold more layers.
        variances: Of the teacher's features by layer, where these are a part of the batch only; by default their own.

    Returns:
        Scalar, 0 when all agree.

    Raises:
        ValueError: If there is no layer to compare.
    """
    if not decoded:
        raise ValueError("feature mapping has no layer to compare; name one in feature_mapping.layers")
    errors = []
    for layer, features in decoded.items():
        wanted = _at_least_float32(teacher_features[layer])
        variance = variances[layer] if variances else wanted.detach().var(correction=0)
        variance = variance.clamp(min=VARIANCE_FLOOR)
        errors.append(functional.mse_loss(_at_least_float32(features), wanted) / variance)
    return torch.stack(errors).mean()


def _moments(
    pixels: Float[Tensor, "batch channels height width"],
) -> tuple[Float[Tensor, "batch channels"], Float[Tensor, "batch channels"]]:
    """Biased variance and mean of each channel of each picture."""
    values = _at_least_float32(pixels)
    mean = values.mean(dim=(2, 3), keepdim=True)
    # `torch.var_mean` says the same; on a processor it takes several times as long over two dimensions.
    return (values - mean).square().mean(dim=(2, 3)), mean.flatten(1)


def embedding_matching(
    student: Float[Tensor, "batch channels 1 1"],
    teacher: Float[Tensor, "batch channels 1 1"],
    variance: Float[Tensor, ""] | None = None,
) -> Float[Tensor, ""]:
    """L_EM: mean squared error of what the student's last layer sees, in units of the teacher's variance.

    Not in the paper. Student and teacher share their last layer's weights at the start, so a student that sees what the
    teacher sees there answers as the teacher does; every channel teaches, not the classes alone. Gradients
    flow into `student` and, through the error only, into `teacher`.

    Args:
        student: Embedding, at the teacher's width.
        teacher: Embedding.
        variance: Of the teacher's embeddings, where these are a part of the batch only; by default their own.

    Returns:
        Scalar, 0 when both agree; predicting the batch's mean embedding costs about 1.
    """
    variances = None if variance is None else {"embedding": variance}
    return feature_mapping({"embedding": student}, {"embedding": teacher}, variances)


def _at_least_float32(values: Tensor) -> Tensor:
    # Sums over pixels and exponentials need more than half precision; double precision stays as it is.
    return values if values.dtype == torch.float64 else values.float()
