"""S: a network fitted to the thumbnail, most often a copy of the teacher with its weights."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from thumbnet.config import StudentSettings
from thumbnet.errors import NetworkError
from thumbnet.networks.adapters import adapter_for, any_side, fit_to_side, head_names
from thumbnet.networks.detail_decoder import ENLARGEMENT, add_detail_decoder
from thumbnet.networks.pruning import prune
from thumbnet.networks.stochastic_depth import set_drop_path
from thumbnet.networks.strides import StridedStep, dilate_after, keep_step, strided_steps
from thumbnet.networks.taps import LayerTrace, trace_layers
from thumbnet.networks.upsampling import upsample_input
from thumbnet.networks.whole_patches import pad_to_patches, patch_side

NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True, kw_only=True)
class StudentFit:
    """What fitting a copy to the thumbnail found.

    Attributes:
        at_image_side: The fitted copy's layers, were it given an image; with plain settings the teacher's own.
        at_thumbnail_side: Its layers at the thumbnail side.
    """

    at_image_side: tuple[LayerTrace, ...]
    at_thumbnail_side: tuple[LayerTrace, ...]


def build_student(
    network: nn.Module,
    settings: StudentSettings,
    image_side: int,
    thumbnail_side: int,
    traces: Sequence[LayerTrace] | None = None,
) -> tuple[nn.Module, StudentFit]:
    """S as it begins training: pruned, fitted to the thumbnail, and frozen where it does not train.

    Args:
        network: What S starts from; pruned as a copy, else fitted in place.
        settings: How.
        image_side: Side of the teacher's input, px.
        thumbnail_side: Side of the student's input, px.
        traces: As for `fit_student`.

    Raises:
        NetworkError: If the network has not what a setting needs, or does not run at the thumbnail side.
    """
    if settings.prune:
        network = prune(network, settings.prune, image_side)
    fit = fit_student(network, settings, image_side, thumbnail_side, traces)
    if settings.drop_path:
        set_drop_path(network, settings.drop_path)
    if settings.trainable == "norms_and_head":
        freeze_all_but_norms_and_head(network)
    return network, fit


def make_student(teacher: nn.Module, settings: StudentSettings, image_side: int, thumbnail_side: int) -> nn.Module:
    """Copies the teacher and fits the copy to the thumbnail.

    Args:
        teacher: The classifier whose architecture and weights the student starts from, fitted to the image side.
        settings: How to fit it.
        image_side: Side of the teacher's input, px.
        thumbnail_side: Side of the student's input, px.

    Returns:
        A trainable network that takes `[batch, 3, thumbnail_side, thumbnail_side]`.

    Raises:
        NetworkError: As `fit_student`.
    """
    student = copy.deepcopy(teacher).requires_grad_(True)
    fit_student(student, settings, image_side, thumbnail_side)
    return student


def fit_student(
    network: nn.Module,
    settings: StudentSettings,
    image_side: int,
    thumbnail_side: int,
    traces: Sequence[LayerTrace] | None = None,
) -> StudentFit:
    """Fits a network to the thumbnail, in place: the one way from a teacher to a student, in training and in bundles.

    Args:
        network: A copy of the teacher, or a network of the same architecture with any weights, fitted to any side.
        settings: How to fit it.
        image_side: Side of the teacher's input, px.
        thumbnail_side: Side of the student's input, px.
        traces: `trace_layers` of the network as it is, at the image side, where they are known: they take a while.

    Raises:
        NetworkError: If the network has no layer for an option, or cannot run with it; or if it cannot run at the
            thumbnail side: then names the layer that broke and the smallest side that works.
    """
    if settings.upsample:
        return _fit_upsampled(network, settings, image_side, thumbnail_side)
    option = option_name(settings)
    if option:
        _refine(network, settings, image_side, traces)
    try:
        at_image_side = traces if traces and not option else _trace_at(network, image_side)
    except NetworkError as error:
        if option is None:
            advice = "it does not run at the teacher's side either"
            raise NetworkError(f"student {error}; {advice}: give a larger --image-side") from error
        other = "" if settings.keep_stem_resolution else "give --student.keep_stem_resolution instead, or "
        advice = f"this network's branches need the stride: {other}leave it out and give a smaller --ratio"
        raise NetworkError(f"student.{option}: {error}; {advice}") from error
    patch = patch_side(network, at_image_side, image_side)
    seen = thumbnail_side * (ENLARGEMENT if settings.detail_decoder else 1)
    try:
        fit_to_side(network, math.ceil(seen / patch) * patch)
        if settings.detail_decoder:
            add_detail_decoder(network)
        if seen % patch:
            pad_to_patches(network, patch)
        at_thumbnail_side = trace_layers(network, thumbnail_side)
    except (NetworkError, ArithmeticError, RuntimeError, ValueError, AssertionError) as error:
        smallest = smallest_side(network, thumbnail_side, image_side)
        advice = (
            f"the smallest side that works is {smallest} px"
            if smallest
            else "it does not run at the teacher's side either"
        )
        found = error if isinstance(error, NetworkError) else f"cannot be fitted to {thumbnail_side} px ({error})"
        raise NetworkError(f"student {found}; {advice}: give a smaller --ratio or a larger --image-side") from error
    return StudentFit(at_image_side=tuple(at_image_side), at_thumbnail_side=tuple(at_thumbnail_side))


def _fit_upsampled(network: nn.Module, settings: StudentSettings, image_side: int, thumbnail_side: int) -> StudentFit:
    """The whole compute of a network at the image side, on what the thumbnail holds."""
    fit_to_side(network, image_side)
    at_image_side = tuple(trace_layers(network, image_side))
    if settings.detail_decoder:
        add_detail_decoder(network)
    upsample_input(network, image_side)
    return StudentFit(at_image_side=at_image_side, at_thumbnail_side=tuple(trace_layers(network, thumbnail_side)))


def freeze_all_but_norms_and_head(network: nn.Module) -> None:
    """Leaves only the norms and the last layer to train, in place; batch-norm statistics go on adapting.

    Source: Touvron et al., "Fixing the train-test resolution discrepancy", NeurIPS 2019: what a change of the side asks
    for at the least.

    Raises:
        NetworkError: If no last layer is found.
    """
    heads = head_names(network)
    if not heads:
        raise NetworkError("student.trainable: the network has no linear last layer to train; leave it at all")
    network.requires_grad_(False)
    for name, module in network.named_modules():
        if name in heads or isinstance(module, NORMS):
            module.requires_grad_(True)


def in_words(settings: StudentSettings) -> str | None:
    """The options that give a student its shape, as they are written after `student.`; None where there are none."""
    parts = [f"network {settings.network}"] if settings.network else []
    parts += [option] if (option := option_name(settings)) else []
    parts += ["upsample"] if settings.upsample else []
    parts += ["detail_decoder"] if settings.detail_decoder else []
    parts += [f"prune {settings.prune:g}"] if settings.prune else []
    return ", ".join(parts) or None


def option_name(settings: StudentSettings) -> str | None:
    """The option that makes the features finer, as it is written after `student.`; None where none does."""
    if settings.keep_stem_resolution:
        return "keep_stem_resolution"
    if settings.keep_stride is not None:
        return f"keep_stride {settings.keep_stride}"
    return "dilate_last_stage" if settings.dilate_last_stage else None


def _refine(
    network: nn.Module, settings: StudentSettings, image_side: int, traces: Sequence[LayerTrace] | None
) -> None:
    """Keeps the resolution where the settings ask for it, in place."""
    fit_to_side(network, image_side)
    traces = traces or trace_layers(network, image_side)
    steps = strided_steps(network, traces)
    option = f"student.{option_name(settings)}"
    if not steps:
        raise NetworkError(f"{option}: the network has no strided first layer; leave it out")
    if settings.dilate_last_stage:
        if len(steps) == 1:
            advice = "with only one strided step it has no last stage; give keep_stem_resolution instead"
            raise NetworkError(f"{option}: the network is made finer at its first layer alone: {advice}")
        keep_step(network, steps[-1])
        dilate_after(network, traces, steps[-1])
        return
    keep_step(network, _numbered(steps, settings.keep_stride or 1, option))


def _numbered(steps: Sequence[StridedStep], number: int, option: str) -> StridedStep:
    if number > len(steps):
        known = "1 alone" if len(steps) == 1 else f"1 to {len(steps)}"
        raise NetworkError(f"{option}: the network has {len(steps)} strided step(s); give {known}")
    return steps[number - 1]


def _trace_at(network: nn.Module, side: int) -> list[LayerTrace]:
    """Traces a network as it would be at a side, and leaves it as it is."""
    if adapter_for(network).resize is any_side:
        return trace_layers(network, side)
    # Learned positions that are interpolated twice are no longer the teacher's.
    fitted = copy.deepcopy(network)
    fit_to_side(fitted, side)
    return trace_layers(fitted, side)


def smallest_side(network: nn.Module, too_small: int, works: int) -> int | None:
    """Smallest side in (too_small, works] at which a network runs, px; None where it does not run at all."""

    def runs(side: int) -> bool:
        try:
            _trace_at(network, side)
        except (NetworkError, ArithmeticError, RuntimeError, ValueError, AssertionError):
            return False
        return True

    if not runs(works):
        return None
    while works - too_small > 1:
        middle = (works + too_small) // 2
        if runs(middle):
            works = middle
        else:
            too_small = middle
    return works


def padding_warning(fit: StudentFit, ratio: int) -> str | None:
    """One line if any of the copy's features come out smaller than those of an image divided by the ratio.

    Some networks bake "same" padding for one input size into their layers; a copy at another size then loses a row
    and a column at every stride without an error. Others drop the last row of an odd side by design.

    Args:
        fit: The student's layers at both sides.
        ratio: Between the two sides.
    """
    sides = {trace.name: trace.shape[-1] for trace in fit.at_image_side if trace.is_map and trace.name}
    blocks = [trace for trace in fit.at_thumbnail_side if trace.is_map and trace.stage]
    # What is inside an attention layer may look like a map without being one; the blocks around it are maps.
    compared = blocks or [trace for trace in fit.at_thumbnail_side if trace.is_map]
    lost = [
        (trace, math.ceil(sides[trace.name] / ratio))
        for trace in compared
        if trace.name in sides and trace.shape[-1] < math.ceil(sides[trace.name] / ratio)
    ]
    if not lost:
        return None
    # The last one is what the head reads; of layers within each other, the outermost comes last.
    trace, expected = lost[-1]
    found = f"the student's features at '{trace.name}' are {trace.shape[-1]} px wide, not {expected}"
    cause = "its padding is made for one input size, or drops the last row of an odd side"
    return f"{found}: {cause}; prefer a network that pads for any size, or another --image-side"
