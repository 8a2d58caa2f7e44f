"""T: nothing may change it."""

import pytest
import torch
from torch import Tensor, nn

from thumbnet.errors import NetworkError
from thumbnet.losses import knowledge_distillation
from thumbnet.networks.taps import TappedNetwork
from thumbnet.networks.teacher import Teacher, check_classes, count_classes


def snapshot(module: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in module.state_dict().items()}


def test_teacher_gives_what_the_network_gives_in_eval_mode(tiny_classifier: nn.Module) -> None:
    image = torch.rand(2, 3, 16, 16)
    wanted = tiny_classifier.eval()(image)
    logits, features = Teacher(TappedNetwork(tiny_classifier.train(), ("stage",)))(image)
    assert torch.equal(logits, wanted)
    assert features["stage"].shape == (2, 16, 4, 4)


def test_no_gradient_flows_out_of_the_teacher(tiny_classifier: nn.Module) -> None:
    teacher = Teacher(TappedNetwork(tiny_classifier, ("stage",)))
    image = torch.rand(2, 3, 16, 16, requires_grad=True)
    logits, features = teacher(image)
    assert not logits.requires_grad
    assert not features["stage"].requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


@pytest.mark.parametrize("call", ["teacher", "parent", "inner", "none"])
def test_teacher_is_byte_identical_after_ten_steps_whatever_train_call_arrives(
    tiny_classifier: nn.Module, call: str
) -> None:
    teacher = Teacher(TappedNetwork(tiny_classifier, ("stage",)))
    student = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(4))
    student(torch.rand(2, 3, 16, 16))
    parent = nn.ModuleDict({"teacher": teacher, "student": student})
    receivers: dict[str, tuple[nn.Module, ...]] = {
        "teacher": (teacher,),
        "parent": (parent,),
        "inner": (teacher.tapped, tiny_classifier, tiny_classifier.get_submodule("norm")),
        "none": (),
    }
    before = snapshot(teacher)
    student_before = snapshot(student)
    # Everything is handed to the optimiser, as a careless loop would.
    optimizer = torch.optim.AdamW(parent.parameters(), lr=0.1, weight_decay=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        for receiver in receivers[call]:
            assert receiver.train(True) is receiver
        image = torch.rand(4, 3, 16, 16, generator=generator)
        logits, _ = teacher(image)
        loss = knowledge_distillation(student(image), logits, temperature=2.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert snapshot(teacher) == before
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert snapshot(student) != student_before


def test_train_and_eval_keep_their_signatures(tiny_classifier: nn.Module) -> None:
    teacher = Teacher(TappedNetwork(tiny_classifier))
    for answer in (
        teacher.train(),
        teacher.train(True),
        teacher.train(mode=True),
        teacher.train(False),
        teacher.eval(),
    ):
        assert answer is teacher
        assert not any(module.training for module in teacher.modules())


def test_count_classes_asks_the_network_and_leaves_it_as_it_was(tiny_classifier: nn.Module) -> None:
    tiny_classifier.train().get_submodule("norm").eval()
    modes = [module.training for module in tiny_classifier.modules()]
    before = snapshot(tiny_classifier)
    assert count_classes(tiny_classifier, 16) == 4
    assert [module.training for module in tiny_classifier.modules()] == modes
    assert snapshot(tiny_classifier) == before


def test_a_side_that_the_teacher_cannot_take_is_named() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 7), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()
    with pytest.raises(NetworkError, match=r"teacher cannot run at 4×4 px .*; give --image-side") as caught:
        count_classes(network, 4)
    assert "\n" not in str(caught.value)
    assert network.training


def test_heads_that_disagree_about_the_number_of_classes_are_the_factorys_to_mend() -> None:
    class TwoHeads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 1000), nn.Linear(3, 7)

        def forward(self, image: Tensor) -> Tensor:
            logits: Tensor = self.first(image.mean(dim=(2, 3))) + self.second(image.mean(dim=(2, 3)))
            return logits

    advice = "give --image-side, or, if it has several heads, a factory that takes num_classes"
    with pytest.raises(NetworkError, match=rf"teacher cannot run at 8×8 px \(.*\(1000\).*\(7\).*\); {advice}"):
        count_classes(TwoHeads(), 8)


def test_a_network_whose_output_is_no_row_of_logits_is_refused() -> None:
    class Named(nn.Module):
        def forward(self, image: Tensor) -> dict[str, Tensor]:
            return {"logits": image.mean(dim=(2, 3))}

    for network in (nn.Conv2d(3, 4, 3), Named()):
        with pytest.raises(NetworkError, match="not one row of logits a picture"):
            count_classes(network, 8)


def test_classes_that_agree_pass(tiny_classifier: nn.Module) -> None:
    check_classes(tiny_classifier, 16, ("ant", "bee", "cat", "dog"))


def test_classes_that_differ_are_counted_and_the_way_out_is_named(tiny_classifier: nn.Module) -> None:
    with pytest.raises(NetworkError, match=r"gives 4 classes, the data has 2 \(ant, bee, …\)") as caught:
        check_classes(tiny_classifier, 16, ("ant", "bee"))
    assert "thumbnet train-teacher" in str(caught.value)
    assert "--teacher-weights" in str(caught.value)
