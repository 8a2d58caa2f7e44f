"""The only place where losses are chosen, weighted and summed.

A loss enters training as a `Term`: a weight and a function from `StepTensors` to a scalar. The paper's four come in by
the same door as a user's own:

    def edges(step: StepTensors) -> Tensor:
        "The thumbnail keeps the image's contrast between neighbours."
        ...

    thumbnet.fit(teacher=..., data=..., output=..., terms={"edges": Term(0.1, edges)})
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from thumbnet import losses
from thumbnet.config import LossSettings
from thumbnet.errors import ConfigError, TrainingError
from thumbnet.networks.taps import EMBEDDING, Features


@dataclass(frozen=True, kw_only=True)
class StepTensors:
    """Everything of one training step that a loss may look at.

    Attributes:
        image: The view that T and E saw, `[batch, 3, H, W]` in [0, 1].
        thumbnail: `[batch, 3, H/ratio, W/ratio]` in [0, 1], on the 8-bit grid.
        label: Class indices `[batch]`, or a row a picture `[batch, classes]`: shares of the classes (soft labels, mixed
            pictures), or 0 and 1 where a picture may have several labels.
        student_logits: `[batch, classes]`.
        teacher_logits: `[batch, classes]`; None when no term asks for the teacher.
        student_features: Features of S by layer, at S's size.
        decoded_features: The same, decoded to T's size.
        teacher_features: Features of T by layer.
        teacher_variances: Variance of each layer of `teacher_features` over the batch of all processes; empty where
            one process has the whole batch. All other tensors are this process's part of the batch.
        other_logits: The student's logits at other sides, where it trains at several.
        detail: What the student's detail decoder makes of the thumbnail, twice its side, about in [0, 1]; None where it
            has none.
    """

    image: Tensor
    thumbnail: Tensor
    label: Tensor
    student_logits: Tensor
    teacher_logits: Tensor | None
    student_features: Features
    decoded_features: Features
    teacher_features: Features
    teacher_variances: Mapping[str, Tensor] = field(default_factory=dict)
    other_logits: tuple[Tensor, ...] = ()
    detail: Tensor | None = None


@dataclass(frozen=True)
class Term:
    """One loss: its weight, its function, and whether the function looks at the teacher.

    Attributes:
        weight: Factor in the sum; 0 leaves the term out and its function is never called.
        function: From `StepTensors` to a scalar.
        needs_teacher: Whether the teacher must have been asked; a term that says False lets training skip it.
        needs_features: Whether features must have been tapped; a term that says False lets training skip them.
        needs_embedding: Whether the features must hold, under the key `embedding`, what the last layer sees.
    """

    weight: float
    function: Callable[[StepTensors], Tensor]
    needs_teacher: bool = True
    needs_features: bool = True
    needs_embedding: bool = False


def paper_terms(
    settings: LossSettings, multilabel: bool = False, detail_decoder: bool = False, hides_detail: bool = False
) -> dict[str, Term]:
    """The paper's four losses and embedding matching, with the given weights; where detail is hidden those as well.

    `cl` and `kd` are taken label by label where a picture may have several, and are means over the sides at which the
    student trains. A detail decoder always reads what is hidden, so it brings both `dm` and `pm`.

    Raises:
        ValueError: If `em` has no weight; `TrainSettings.loss_weights` gives it one.
    """
    classification = losses.multilabel_classification if multilabel else losses.classification
    distillation = losses.multilabel_distillation if multilabel else losses.knowledge_distillation

    def mm(step: StepTensors) -> Tensor:
        return losses.moment_matching(step.thumbnail, step.image)

    def cl(step: StepTensors) -> Tensor:
        return _over_sides(step, lambda logits: classification(logits, step.label, settings.label_smoothing))

    def kd(step: StepTensors) -> Tensor:
        teacher = _asked(step.teacher_logits)
        return _over_sides(step, lambda logits: distillation(logits, teacher, settings.temperature))

    def fm(step: StepTensors) -> Tensor:
        decoded = {layer: features for layer, features in step.decoded_features.items() if layer != EMBEDDING}
        return losses.feature_mapping(decoded, step.teacher_features, step.teacher_variances)

    def em(step: StepTensors) -> Tensor:
        own = step.decoded_features.get(EMBEDDING, step.student_features[EMBEDDING])
        variance = step.teacher_variances.get(EMBEDDING)
        return losses.embedding_matching(own, step.teacher_features[EMBEDDING], variance)

    def dm(step: StepTensors) -> Tensor:
        assert step.detail is not None
        return losses.pixel_matching(step.detail, step.image)

    def pm(step: StepTensors) -> Tensor:
        return losses.pixel_matching(step.thumbnail, step.image)

    terms = {
        "mm": Term(settings.mm, mm, needs_teacher=False, needs_features=False),
        "cl": Term(settings.cl, cl, needs_teacher=False, needs_features=False),
        "kd": Term(settings.kd, kd, needs_features=False),
        "fm": Term(settings.fm, fm),
        "em": Term(_given(settings.em), em, needs_features=False, needs_embedding=True),
    }
    if detail_decoder:
        terms["dm"] = Term(settings.dm, dm, needs_teacher=False, needs_features=False)
    if detail_decoder or hides_detail:
        terms["pm"] = Term(settings.pm, pm, needs_teacher=False, needs_features=False)
    return terms


def _given(em: float | None) -> float:
    if em is None:
        raise ValueError("loss.em has no weight of its own here; take TrainSettings.loss_weights")
    return em


class Objective:
    """The weighted sum of the terms in use.

    Args:
        terms: By name; those of weight 0 are left out.

    Raises:
        ConfigError: If no term is left, or a weight is negative.
    """

    def __init__(self, terms: Mapping[str, Term]) -> None:
        for name, term in terms.items():
            if not term.weight >= 0:  # so that "not a number" is caught as well
                raise ConfigError(f"loss '{name}' has weight {term.weight}, but must have 0 or more")
        self.terms = {name: term for name, term in terms.items() if term.weight > 0}
        if not self.terms:
            raise ConfigError("every loss has weight 0; give at least one of --loss.cl, --loss.kd, --loss.em a weight")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms in use, in order."""
        return tuple(self.terms)

    @property
    def needs_teacher(self) -> bool:
        """Whether any term in use looks at the teacher."""
        return any(term.needs_teacher for term in self.terms.values())

    @property
    def needs_features(self) -> bool:
        """Whether any term in use looks at features inside the networks."""
        return any(term.needs_features for term in self.terms.values())

    @property
    def needs_embedding(self) -> bool:
        """Whether any term in use looks at embeddings."""
        return any(term.needs_embedding for term in self.terms.values())

    def __call__(self, step: StepTensors) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum to minimise, and each term before its weight, by name."""
        values = {name: term.function(step) for name, term in self.terms.items()}
        total = torch.stack([self.terms[name].weight * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}


def check_finite(values: Mapping[str, float], step: int) -> None:
    """Stops training at the first number that is not one.

    Args:
        values: Losses, or the gradient's norm, by name.
        step: Optimiser steps completed.

    Raises:
        TrainingError: Naming the term and the step.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            advice = "start again with --overwrite and a lower --lr or weight of this loss"
            kind = "" if name == "gradient norm" else "loss "
            raise TrainingError(f"{kind}'{name}' became {value} at step {step}; {advice}")


def _over_sides(step: StepTensors, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """A loss of the student's logits, the mean over all sides at which it trains."""
    return torch.stack([loss(logits) for logits in (step.student_logits, *step.other_logits)]).mean()


def _asked(teacher_logits: Tensor | None) -> Tensor:
    if teacher_logits is None:
        raise AssertionError("a term reads the teacher's logits but says needs_teacher=False")
    return teacher_logits
