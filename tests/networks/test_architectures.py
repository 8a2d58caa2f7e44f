"""A name becomes a classifier. Nothing here downloads anything."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from thumbnet.data import samples
from thumbnet.errors import CheckpointError, NetworkError
from thumbnet.networks.architectures import TRUSTED_FACTORIES, build_classifier, replace_head, require_trust

FactoryModule = Callable[[str], str]
FACTORIES = """
given = []

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(3, classes)
    def forward(self, image):
        return self.head(image.mean(dim=(2, 3)))

def plain():
    given.append({})
    return Net(7)

def takes_both(pretrained=True, num_classes=7):
    given.append({"pretrained": pretrained, "num_classes": num_classes})
    return Net(num_classes)

def takes_classes(num_classes):
    given.append({"num_classes": num_classes})
    return Net(num_classes)

def described():
    net = Net(7)
    net.pretrained_cfg = {"input_size": (3, 96, 96), "crop_pct": 0.9, "interpolation": "bilinear",
                          "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    return net

def no_network():
    return "resnet50"
"""


def one_line(error: pytest.ExceptionInfo[Any]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def small_network(classes: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )


def refuse(*arguments: object, **settings: object) -> nn.Module:
    raise OSError("no route to huggingface.co\nand a second line")


def test_timm_name_gives_timms_network_and_preprocessing() -> None:
    classifier = build_classifier("timm/test_resnet.r160_in1k", "random", classes=5)
    assert classifier.network(torch.rand(2, 3, 64, 64)).shape == (2, 5)
    config = timm.get_pretrained_cfg("test_resnet.r160_in1k")
    assert classifier.preprocessing is not None
    assert classifier.preprocessing.image_side == config.input_size[-1] == 160
    assert classifier.preprocessing.crop_share == config.crop_pct
    assert classifier.preprocessing.mean == config.mean


def test_torchvision_name_gives_torchvisions_network_and_preprocessing() -> None:
    classifier = build_classifier("torchvision/squeezenet1_1", "random", classes=5)
    assert classifier.network(torch.rand(2, 3, 64, 64)).shape == (2, 5)
    assert classifier.preprocessing is not None
    assert classifier.preprocessing.image_side == 224
    assert classifier.preprocessing.crop_share == 224 / 256
    assert classifier.preprocessing.interpolation == "bilinear"
    assert classifier.preprocessing.std == (0.229, 0.224, 0.225)


def test_without_classes_the_makers_number_stays() -> None:
    classifier = build_classifier("timm/test_resnet", "random")
    assert classifier.network(torch.rand(1, 3, 64, 64)).shape == (1, 1000)


def test_a_factory_is_given_pretrained_and_num_classes_where_it_takes_them(factory_module: FactoryModule) -> None:
    name = factory_module(FACTORIES)
    for factory in ("plain", "takes_both", "takes_classes"):
        network = build_classifier(f"{name}:{factory}", "random", classes=5).network
        assert network(torch.rand(2, 3, 8, 8)).shape == (2, 5)
    build_classifier(f"{name}:takes_both", "pretrained")
    given = __import__(name).given
    assert given == [
        {},
        {"pretrained": False, "num_classes": 5},
        {"num_classes": 5},
        {"pretrained": True, "num_classes": 7},
    ]


def test_a_factory_may_describe_its_preprocessing_as_timm_does(factory_module: FactoryModule) -> None:
    name = factory_module(FACTORIES)
    described = build_classifier(f"{name}:described", "random")
    assert described.preprocessing is not None
    assert described.preprocessing.image_side == 96
    assert described.preprocessing.crop_share == 0.9
    assert described.preprocessing.interpolation == "bilinear"
    assert described.preprocessing.mean == (0.1, 0.2, 0.3)
    assert described.preprocessing.std == (0.4, 0.5, 0.6)
    assert build_classifier(f"{name}:plain", "random").preprocessing is None


@pytest.mark.parametrize("name", ["resnet50", "timm", "timm/", "huggingface/resnet50", ""])
def test_a_name_of_no_known_source_is_told_what_there_is(name: str) -> None:
    with pytest.raises(NetworkError, match=r"give timm/NAME, .*hf/NAME, a folder with .* or package") as caught:
        build_classifier(name, "random")
    assert f"'{name}'" in one_line(caught)


def test_an_unknown_timm_name_is_told_its_neighbours() -> None:
    with pytest.raises(NetworkError, match=r"timm has no network 'mobilenetv9'; did you mean timm/mobilenet"):
        build_classifier("timm/mobilenetv9", "random")
    with pytest.raises(NetworkError, match=r"timm has no network 'qqqq'; see timm\.list_models\(\)"):
        build_classifier("timm/qqqq", "random")


@pytest.mark.parametrize("name", ["resnet5000", "fasterrcnn_resnet50_fpn"])
def test_a_torchvision_name_that_is_no_classifier_is_told_where_to_look(name: str) -> None:
    with pytest.raises(NetworkError, match=rf"no classifier '{name}'; see torchvision\.models\.list_models"):
        build_classifier(f"torchvision/{name}", "random")


@pytest.mark.parametrize(
    ("factory", "problem", "advice"),
    [
        ("nowhere.at_all:build", "no module 'nowhere'", "install it or add it to PYTHONPATH"),
        ("torch.nn:resnet50", "module 'torch.nn' has no 'resnet50'", "give package.module:factory"),
    ],
)
def test_a_factory_that_cannot_be_found_is_named(factory: str, problem: str, advice: str) -> None:
    with pytest.raises(NetworkError) as caught:
        build_classifier(factory, "random")
    message = one_line(caught)
    assert problem in message
    assert advice in message


def test_a_factory_that_returns_no_network_is_told_so(factory_module: FactoryModule) -> None:
    name = factory_module(FACTORIES)
    with pytest.raises(NetworkError, match=r"returned str, not a torch\.nn\.Module; fix the factory"):
        build_classifier(f"{name}:no_network", "random")


def test_pretrained_weights_that_cannot_be_had_end_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "create_model", refuse)
    monkeypatch.setattr(models, "get_model", refuse)
    for name in ("timm/resnet18", "torchvision/resnet18"):
        with pytest.raises(NetworkError, match=f"no pretrained weights for {name}") as caught:
            build_classifier(name, "pretrained")
        message = one_line(caught)
        assert "no route to huggingface.co" in message
        assert "--teacher-weights FILE" in message


def test_a_new_linear_head_starts_nearly_silent() -> None:
    torch.manual_seed(0)
    network = small_network(classes=1000)
    replace_head(network, 5)
    assert network(torch.rand(4, 3, 8, 8)).shape == (4, 5)
    weight = network.get_parameter("4.weight")
    assert 0 < weight.std() < 0.03  # PyTorch's own start would give 0.29
    assert not network.get_parameter("4.bias").any()


def test_squeezenets_convolutional_head_is_replaced_too() -> None:
    network = models.squeezenet1_1(weights=None)
    replace_head(network, 5)
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 5)
    assert isinstance(network.classifier[1], nn.Conv2d)


def test_a_head_with_the_right_number_of_classes_keeps_its_weights() -> None:
    network = small_network(classes=5)
    before = network.get_parameter("4.weight").clone()
    replace_head(network, 5)
    assert torch.equal(network.get_parameter("4.weight"), before)


@pytest.mark.parametrize("network", [nn.Sequential(nn.Flatten()), nn.Sequential(nn.Conv2d(3, 9, 3), nn.Flatten())])
def test_a_network_without_a_head_is_told_to_take_num_classes(network: nn.Module) -> None:
    with pytest.raises(NetworkError, match="give a factory that takes num_classes"):
        replace_head(network, 5)


def test_every_network_among_the_packages_samples_is_trusted_and_nothing_else_is() -> None:
    own = {
        f"{samples.__name__}:{name}"
        for name, function in inspect.getmembers(samples, inspect.isfunction)
        if not name.startswith("_") and get_type_hints(function).get("return") is nn.Module
    }
    assert f"{samples.__name__}:efficientnet_lite1" in own
    assert set(TRUSTED_FACTORIES) == own
    for name in own:
        require_trust(name, allow_code=False, where="bundle")
    for name in ("thumbnet.data.samples:open_elpv", "somewhere.else:efficientnet_lite0"):
        with pytest.raises(
            CheckpointError, match=r"bundle names the factory .*; if you trust it, give allow_code=True"
        ):
            require_trust(name, allow_code=False, where="bundle")
