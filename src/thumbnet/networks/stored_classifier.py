"""A classifier with the weights of a file, whatever number of classes and side they were trained with.

Knows files and names of classes; what becomes T and what S is for `assembly` and `student_start` to say.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from thumbnet.errors import NetworkError
from thumbnet.networks.adapters import adapter_for, any_side, fit_to_side
from thumbnet.networks.architectures import Classifier, build_classifier, keep_outputs, replace_head
from thumbnet.networks.weights import load_weights, stored_labels, stored_shapes

Sides = Callable[[Classifier], Sequence[int]]


def load_classifier(name: str, file: Path, classes: tuple[str, ...], sides: Sides) -> Classifier:
    """A classifier with all of a file's weights, and so with the outputs that the file was trained with.

    Their number is that of the labels in the file, that of the data's classes, or the makers' own.

    Args:
        name: As for `build_classifier`.
        file: Of weights.
        classes: The data's; empty where it has no labels.
        sides: At which learned positions may have been trained if not at the makers' side, px, in the order to try; the
            network is left at the one that fits.

    Raises:
        NetworkError: If the network cannot be built.
        CheckpointError: If the weights are missing, or do not fit.
    """
    numbers = tuple(dict.fromkeys((len(stored_labels(file) or classes) or None, len(classes) or None, None)))
    shapes = stored_shapes(file)
    for classifier in _built(name, numbers):
        if _fit_to_shapes(classifier.network, shapes, sides(classifier)):
            break
    else:  # loading into the likeliest says what is wrong
        classifier = build_classifier(name, "random", numbers[0])
        _fit_to_shapes(classifier.network, shapes, sides(classifier)[:1])
    load_weights(classifier.network, file)
    return classifier


def load_classifier_of(name: str, file: Path, classes: tuple[str, ...], sides: Sides) -> Classifier:
    """The same with these classes as its outputs: cut to them where the file names them, else with a new head.

    Args:
        name: As for `load_classifier`, like the others.
        file: Of weights.
        classes: At least one.
        sides: Of learned positions.

    Raises:
        NetworkError: If the network cannot be built, or its head cannot be replaced.
        CheckpointError: If the weights are missing, or do not fit.
    """
    classifier = load_classifier(name, file, classes, sides)
    stored = stored_labels(file)
    if stored and set(classes) <= set(stored):
        keep_outputs(classifier.network, [stored.index(label) for label in classes])
    elif not replace_head(classifier.network, len(classes)):
        return classifier
    return replace(classifier, label_sets=())


def _built(name: str, numbers: Sequence[int | None]) -> Iterator[Classifier]:
    """The classifier with each of these numbers of outputs; all but the first are tries."""
    for number in numbers:
        try:
            yield build_classifier(name, "random", number)
        except NetworkError:  # a factory need not have a number of its own
            if number == numbers[0]:
                raise


def _fit_to_shapes(network: nn.Module, shapes: Mapping[str, torch.Size], sides: Sequence[int]) -> bool:
    """Fits a network in place to the side at which learned positions were trained; whether there is one."""

    def fits() -> bool:
        return all(shapes.get(key) == value.shape for key, value in network.state_dict().items())

    if fits():
        return True
    if adapter_for(network).resize is any_side:
        return False
    for side in sides:
        try:
            fit_to_side(network, side)
        except (ArithmeticError, RuntimeError, ValueError, AssertionError):
            return False  # smaller ones do not work either
        if fits():
            return True
    return False
