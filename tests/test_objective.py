"""Which losses are in use, and their weighted sum."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from thumbnet import losses
from thumbnet.config import LossSettings
from thumbnet.errors import ConfigError, TrainingError
from thumbnet.objective import Objective, StepTensors, Term, check_finite, paper_terms


@pytest.fixture
def step() -> StepTensors:
    torch.manual_seed(0)
    return step_with()


def step_with(**changes: Any) -> StepTensors:
    tensors: dict[str, Any] = {
        "image": torch.rand(2, 3, 16, 16),
        "thumbnail": torch.rand(2, 3, 4, 4, requires_grad=True),
        "label": torch.tensor([0, 2]),
        "student_logits": torch.randn(2, 3, requires_grad=True),
        "teacher_logits": torch.randn(2, 3),
        "student_features": {
            "stage": torch.randn(2, 5, 1, 1),
            "embedding": torch.randn(2, 7, 1, 1, requires_grad=True),
        },
        "decoded_features": {"stage": torch.randn(2, 5, 4, 4, requires_grad=True)},
        "teacher_features": {"stage": torch.randn(2, 5, 4, 4), "embedding": torch.randn(2, 7, 1, 1)},
    }
    return StepTensors(**{**tensors, **changes})


def constant(weight: float, value: float, needs_teacher: bool = True) -> Term:
    return Term(weight, lambda step: torch.tensor(value), needs_teacher)


def never(step: StepTensors) -> Tensor:
    raise AssertionError("a term of weight 0 was called")


def test_the_sum_is_weighted_and_the_terms_are_reported_before_their_weights(step: StepTensors) -> None:
    total, values = Objective({"a": constant(2.0, 3.0), "b": constant(0.5, 8.0)})(step)
    assert total.item() == 2 * 3 + 0.5 * 8
    assert {name: value.item() for name, value in values.items()} == {"a": 3.0, "b": 8.0}


def test_the_terms_are_the_papers_four_losses_and_embedding_matching_with_the_settings(step: StepTensors) -> None:
    chosen = LossSettings(mm=0.1, cl=0.2, kd=0.3, fm=0.4, em=0.5, temperature=3.0, label_smoothing=0.1)
    total, values = Objective(paper_terms(chosen))(step)
    assert step.teacher_logits is not None
    expected = {
        "mm": losses.moment_matching(step.thumbnail, step.image),
        "cl": losses.classification(step.student_logits, step.label, 0.1),
        "kd": losses.knowledge_distillation(step.student_logits, step.teacher_logits, 3.0),
        "fm": losses.feature_mapping(step.decoded_features, {"stage": step.teacher_features["stage"]}),
        "em": losses.embedding_matching(step.student_features["embedding"], step.teacher_features["embedding"]),
    }
    assert values == expected
    weights = {"mm": 0.1, "cl": 0.2, "kd": 0.3, "fm": 0.4, "em": 0.5}
    assert total.item() == pytest.approx(sum(weights[name] * value.item() for name, value in expected.items()))


def test_labels_and_teacher_are_learned_at_every_side_alike(step: StepTensors) -> None:
    terms = paper_terms(LossSettings(em=2.0))
    others = (torch.randn_like(step.student_logits), torch.randn_like(step.student_logits))
    several = replace(step, other_logits=others)
    for name in ("cl", "kd"):
        alone = [terms[name].function(replace(step, student_logits=one)) for one in (step.student_logits, *others)]
        assert torch.isclose(terms[name].function(several), torch.stack(alone).mean())
    for name in ("mm", "fm", "em"):
        assert torch.equal(terms[name].function(several), terms[name].function(step))


def test_by_default_a_tint_that_a_person_sees_is_not_cheap() -> None:
    image = torch.full((2, 3, 8, 8), 0.5)
    tint = torch.tensor([8 / 255, 0.0, -8 / 255]).reshape(1, 3, 1, 1)
    step = replace(step_with(), image=image, thumbnail=image[..., :2, :2] + tint)
    term = paper_terms(LossSettings(em=2.0))["mm"]
    assert 0.05 < term.weight * term.function(step).item() < 0.1


def test_the_sum_teaches_and_the_reported_values_do_not(step: StepTensors) -> None:
    total, values = Objective(paper_terms(LossSettings(em=2.0)))(step)
    total.backward()
    features = (step.decoded_features["stage"], step.student_features["embedding"])
    for tensor in (step.thumbnail, step.student_logits, *features):
        assert tensor.grad is not None
    assert not any(value.requires_grad for value in values.values())


def test_a_term_of_weight_0_is_never_called(step: StepTensors) -> None:
    objective = Objective({"cl": constant(1.0, 2.0), "off": Term(0.0, never)})
    total, values = objective(step)
    assert total.item() == 2
    assert list(values) == ["cl"]
    assert objective.names == ("cl",)


def test_a_users_own_term_enters_by_the_door_of_the_papers_four(step: StepTensors) -> None:
    def edges(step: StepTensors) -> Tensor:
        return (step.thumbnail[..., 1:] - step.thumbnail[..., :-1]).abs().mean()

    own = paper_terms(LossSettings(mm=0.0, kd=0.0, fm=0.0, em=0.0)) | {"edges": Term(0.1, edges, needs_teacher=False)}
    objective = Objective(own)
    total, values = objective(step)
    assert objective.names == ("cl", "edges")
    assert total.item() == pytest.approx(values["cl"].item() + 0.1 * edges(step).item())
    total.backward()
    assert step.thumbnail.grad is not None


@pytest.mark.parametrize(
    ("weights", "needed"),
    [
        ({"cl": 1.0}, False),
        ({"cl": 1.0, "mm": 1.0}, False),
        ({"cl": 1.0, "kd": 0.1}, True),
        ({"fm": 0.1}, True),
        ({"em": 0.1}, True),
    ],
)
def test_the_teacher_is_needed_only_by_terms_in_use_that_look_at_it(weights: dict[str, float], needed: bool) -> None:
    settings = LossSettings(**{"mm": 0.0, "cl": 0.0, "kd": 0.0, "fm": 0.0, "em": 0.0, **weights})
    assert Objective(paper_terms(settings)).needs_teacher is needed


def test_an_embedding_without_a_weight_is_no_term() -> None:
    with pytest.raises(ValueError, match=r"take TrainSettings\.loss_weights"):
        paper_terms(LossSettings())


def test_a_users_term_needs_the_teacher_unless_it_says_otherwise() -> None:
    assert Objective({"own": Term(1.0, never)}).needs_teacher
    assert not Objective({"own": Term(1.0, never, needs_teacher=False)}).needs_teacher
    assert not Objective({"cl": constant(1.0, 1.0, needs_teacher=False), "off": Term(0.0, never)}).needs_teacher


@pytest.mark.parametrize(("weights", "needed"), [({"mm": 1.0, "cl": 1.0, "kd": 1.0}, False), ({"fm": 0.1}, True)])
def test_features_are_needed_only_by_terms_in_use_that_look_at_them(weights: dict[str, float], needed: bool) -> None:
    settings = LossSettings(**{"mm": 0.0, "cl": 0.0, "kd": 0.0, "fm": 0.0, "em": 0.0, **weights})
    assert Objective(paper_terms(settings)).needs_features is needed


def test_an_embedding_of_another_width_is_compared_as_it_was_decoded_and_is_no_layer_of_feature_mapping(
    step: StepTensors,
) -> None:
    decoded = {**step.decoded_features, "embedding": torch.randn(2, 7, 1, 1)}
    brought = replace(step, decoded_features=decoded, student_features={"embedding": torch.randn(2, 3, 1, 1)})
    terms = paper_terms(LossSettings(em=2.0))
    wanted = losses.embedding_matching(decoded["embedding"], step.teacher_features["embedding"])
    assert torch.equal(terms["em"].function(brought), wanted)
    assert torch.equal(terms["fm"].function(brought), terms["fm"].function(step))


def test_the_embedding_is_needed_by_embedding_matching_alone() -> None:
    assert Objective(paper_terms(LossSettings(em=2.0))).needs_embedding
    without = Objective(paper_terms(LossSettings(em=0.0)))
    assert not without.needs_embedding
    alone = Objective(paper_terms(LossSettings(mm=0.0, cl=0.0, kd=0.0, fm=0.0, em=2.0)))
    assert alone.needs_embedding
    assert not alone.needs_features


def test_a_users_term_needs_features_unless_it_says_otherwise() -> None:
    assert Objective({"own": Term(1.0, never)}).needs_features
    assert not Objective({"own": Term(1.0, never, needs_features=False)}).needs_features


def test_distillation_without_a_teacher_is_a_fault_and_not_a_silent_0() -> None:
    with pytest.raises(AssertionError, match="says needs_teacher=False"):
        Objective(paper_terms(LossSettings(em=2.0)))(step_with(teacher_logits=None))


@pytest.mark.parametrize("terms", [{}, {"cl": Term(0.0, never), "kd": Term(0.0, never)}])
def test_an_objective_without_a_term_is_refused(terms: dict[str, Term]) -> None:
    with pytest.raises(ConfigError, match=r"every loss has weight 0; give at least one of --loss\.cl"):
        Objective(terms)


@pytest.mark.parametrize("weight", [-1.0, -1e-9, math.nan])
def test_a_weight_that_is_not_0_or_more_is_refused_by_name(weight: float) -> None:
    with pytest.raises(ConfigError, match=f"loss 'edges' has weight {weight}, but must have 0 or more"):
        Objective({"cl": constant(1.0, 1.0), "edges": Term(weight, never)})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_training_with_its_name_and_step(value: float) -> None:
    values = {"cl": 1.0, "kd": value, "fm": math.nan}
    with pytest.raises(TrainingError, match=rf"loss 'kd' became {value} at step 1234; start again with") as caught:
        check_finite(values, step=1234)
    assert "\n" not in str(caught.value)


def test_finite_losses_pass() -> None:
    check_finite({"cl": 1e30, "kd": 0.0}, step=1)
