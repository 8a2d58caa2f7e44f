"""Networks with several heads, or with none yet: all of them are found, replaced and cut together."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from timm.models.volo import VOLO
from torch import Tensor, nn

from thumbnet.errors import NetworkError
from thumbnet.networks.adapters import head_names
from thumbnet.networks.architectures import build_classifier, keep_outputs, replace_head
from thumbnet.networks.hugging_face import HuggingFaceClassifier
from thumbnet.networks.taps import last_layer
from thumbnet.networks.teacher import count_classes

# Narrow members of families, each with the side that it takes and its heads, the main one first.
SEVERAL: dict[str, tuple[Callable[..., nn.Module], int, list[str]]] = {
    "repvit": (
        partial(timm.create_model, "repvit_m0_9", embed_dim=(8, 16, 24, 32), depth=(1, 1, 1, 1)),
        64,
        ["head.head.l", "head.head_dist.l"],
    ),
    "iformer": (
        partial(timm.create_model, "iformer_m_distilled", depths=(1, 1, 3, 3), attn_groups=(0, 0, 1, 1)),
        64,
        ["head.head.l", "head.head_dist.l"],
    ),
    "crossvit": (
        partial(timm.create_model, "crossvit_9_240", embed_dim=(16, 32), depth=((1, 1, 0),)),
        240,
        ["head.1", "head.0"],
    ),
    "efficientvim": (
        partial(timm.create_model, "efficientvim_m1", embed_dim=(16, 24, 32), depths=(1, 1, 1)),
        64,
        ["heads.3", "heads.2", "heads.1", "heads.0"],
    ),
    "efficientvim, distilled": (
        partial(timm.create_model, "efficientvim_m1_dist", embed_dim=(16, 24, 32), depths=(1, 1, 1)),
        64,
        [f"heads{kind}.{stage}" for kind in ("", "_dist") for stage in (3, 2, 1, 0)],
    ),
    "deit": (
        partial(timm.create_model, "deit_tiny_distilled_patch16_224", embed_dim=24, num_heads=2, depth=1),
        224,
        ["head", "head_dist"],
    ),
    "volo": (
        partial(VOLO, layers=(1, 1), embed_dims=(16, 32), num_heads=(2, 2), stem_hidden_dim=8, img_size=64),
        64,
        ["head", "aux_head"],
    ),
}
# Of the second the classifier is a part, pooling and all, with nothing linear in it.
WITHOUT: dict[str, dict[str, Any]] = {
    "test_vit": {},
    "samvit_base_patch16": {"img_size": 160, "embed_dim": 24, "depth": 1, "num_heads": 2, "neck_chans": 16},
}


def build(name: str, classes: int) -> nn.Module:
    torch.manual_seed(0)
    return SEVERAL[name][0](num_classes=classes).eval()


class Distilled(nn.Module):
    """What is seen of a distilled network of `transformers`: DeiT's and LeViT's heads have other names."""

    def __init__(self, heads: tuple[str, str]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.heads = heads
        for name in heads:
            self.add_module(name, nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 6)))

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        pooled = pixel_values.mean(dim=(2, 3))
        first, second = (self.get_submodule(name)(pooled) for name in self.heads)
        return SimpleNamespace(logits=(first + second) / 2)


@pytest.mark.parametrize("name", SEVERAL)
def test_every_head_is_found_and_the_main_one_comes_first(name: str) -> None:
    network = build(name, 6)
    assert head_names(network) == SEVERAL[name][2]
    assert last_layer(network) == SEVERAL[name][2][0]


@pytest.mark.parametrize("name", SEVERAL)
def test_every_head_gets_the_datas_classes_and_starts_nearly_silent(name: str) -> None:
    network = build(name, 1000)
    assert replace_head(network, 7)
    for head in SEVERAL[name][2]:
        assert network.get_parameter(f"{head}.weight").std() < 0.015  # timm's own start gives 0.02 or more
        assert not network.get_parameter(f"{head}.bias").any()
    side = SEVERAL[name][1]
    assert network.train()(torch.rand(2, 3, side, side)).shape == (2, 7)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    assert shapes == {key: value.shape for key, value in build(name, 7).state_dict().items()}


@pytest.mark.parametrize("name", SEVERAL)
def test_a_network_cut_to_some_classes_answers_as_the_whole_did(name: str) -> None:
    network, side = build(name, 6), SEVERAL[name][1]
    image = torch.rand(2, 3, side, side)
    whole = network(image)
    keep_outputs(network, [3, 0])
    torch.testing.assert_close(network(image), whole[:, [3, 0]])


@pytest.mark.parametrize("heads", [("cls_classifier", "distillation_classifier"), ("classifier", "classifier_distill")])
def test_both_heads_of_hugging_faces_distilled_networks_are_cut(heads: tuple[str, str]) -> None:
    network = HuggingFaceClassifier(Distilled(heads)).eval()
    assert head_names(network) == [f"model.{name}.1" for name in heads]
    image = torch.rand(2, 3, 8, 8)
    whole = network(image)
    keep_outputs(network, [3, 0])
    torch.testing.assert_close(network(image), whole[:, [3, 0]])


@pytest.mark.parametrize(("name", "side"), [("repvit_m0_9", 224), ("crossvit_9_240", 240), ("efficientvim_m1", 224)])
def test_a_teacher_by_name_counts_the_datas_classes(name: str, side: int) -> None:
    assert count_classes(build_classifier(f"timm/{name}", "random", 7).network, side) == 7


@pytest.mark.parametrize("name", WITHOUT)
def test_a_network_that_was_trained_without_classes_gets_its_first_head(name: str) -> None:
    network = timm.create_model(name, num_classes=0, **WITHOUT[name])
    assert head_names(network) == []
    with pytest.raises(NetworkError, match="the network has no last linear or convolution layer"):
        last_layer(network)
    body = {key: value.clone() for key, value in network.state_dict().items()}
    assert replace_head(network, 5)
    assert network(torch.rand(2, 3, 160, 160)).shape == (2, 5)
    (head,) = head_names(network)
    assert network.get_parameter(f"{head}.weight").std() < 0.015
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in body.items())


def test_a_teacher_by_name_whose_makers_trained_it_without_classes_has_the_datas() -> None:
    assert timm.get_pretrained_cfg("eva02_tiny_patch14_224").num_classes == 0
    assert count_classes(build_classifier("timm/eva02_tiny_patch14_224", "random", 5).network, 224) == 5


def test_outputs_of_a_network_without_a_head_cannot_be_chosen() -> None:
    with pytest.raises(NetworkError, match="no linear layer to replace"):
        keep_outputs(timm.create_model("test_vit", num_classes=0), [0])
