"""Reading inside a network without changing it."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from thumbnet.errors import NetworkError
from thumbnet.networks.taps import (
    EMBEDDING,
    TappedNetwork,
    default_layers,
    early_layer_warning,
    embedding_width,
    trace_layers,
)


def test_tapped_network_gives_logits_and_the_named_layers(tiny_classifier: nn.Module) -> None:
    tiny_classifier.eval()
    image = torch.rand(2, 3, 16, 16)
    logits, features = TappedNetwork(tiny_classifier, ("stem", "stage"))(image)
    assert torch.equal(logits, tiny_classifier(image))
    assert list(features) == ["stem", "stage"]
    assert torch.equal(features["stem"], tiny_classifier.get_submodule("stem")(image))
    assert features["stage"].shape == (2, 16, 4, 4)


def test_gradients_flow_through_the_features(tiny_classifier: nn.Module) -> None:
    _, features = TappedNetwork(tiny_classifier, ("stage",))(torch.rand(2, 3, 16, 16))
    features["stage"].sum().backward()
    assert tiny_classifier.get_parameter("stem.weight").grad is not None


def test_without_layers_there_are_no_features(tiny_classifier: nn.Module) -> None:
    assert TappedNetwork(tiny_classifier)(torch.rand(2, 3, 16, 16))[1] == {}


def test_unknown_layer_is_named_beside_layers_that_exist(tiny_classifier: nn.Module) -> None:
    with pytest.raises(NetworkError, match=r"no layer 'stages'; there are .*stage.* and others"):
        TappedNetwork(tiny_classifier, ("stages",))


def test_a_copy_reads_its_own_features(tiny_classifier: nn.Module) -> None:
    original = TappedNetwork(tiny_classifier, ("stem",)).eval()
    image = torch.rand(1, 3, 16, 16)
    original(image)
    twin = copy.deepcopy(original)
    with torch.no_grad():
        twin.network.get_parameter("stem.weight").zero_()
    assert not twin(image)[1]["stem"].any()
    assert original(image)[1]["stem"].any()


def test_no_hook_stays_behind_even_when_the_network_fails(tiny_classifier: nn.Module) -> None:
    tapped = TappedNetwork(tiny_classifier, ("stem",))
    tapped(torch.rand(2, 3, 16, 16))
    with pytest.raises(RuntimeError):
        TappedNetwork(nn.Sequential(tiny_classifier, nn.Linear(9, 1)), ("0.stem",))(torch.rand(2, 3, 16, 16))
    assert not tiny_classifier.get_submodule("stem")._forward_hooks


def test_trace_lists_every_layer_with_its_shape(tiny_classifier: nn.Module) -> None:
    shapes = {trace.name: trace.shape for trace in trace_layers(tiny_classifier, 16)}
    assert shapes == {
        "stem": (8, 8, 8),
        "norm": (8, 8, 8),
        "stage.0": (16, 4, 4),
        "stage.1": (16, 4, 4),
        "stage.2": (16, 4, 4),
        "stage": (16, 4, 4),
        "head": (4,),
        "": (4,),
    }


def test_trace_tells_stages_and_strided_layers(tiny_classifier: nn.Module) -> None:
    traces = trace_layers(tiny_classifier, 16)
    assert [trace.name for trace in traces if trace.stage and trace.name] == ["stage"]
    assert [trace.name for trace in traces if trace.strided] == ["stem", "stage.0"]


def test_trace_leaves_modes_buffers_and_hooks_as_they_were(tiny_classifier: nn.Module) -> None:
    tiny_classifier.train().get_submodule("norm").eval()
    modes = {name: module.training for name, module in tiny_classifier.named_modules()}
    before = {name: value.clone() for name, value in tiny_classifier.state_dict().items()}
    trace_layers(tiny_classifier, 16)
    assert modes == {name: module.training for name, module in tiny_classifier.named_modules()}
    assert all(torch.equal(value, before[name]) for name, value in tiny_classifier.state_dict().items())
    for module in tiny_classifier.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_trace_of_a_network_that_breaks_names_the_layer_and_cleans_up() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 7))).train()
    with pytest.raises(NetworkError, match=r"breaks at 8×8 px in layer '1\.1'"):
        trace_layers(network, 8)
    assert all(module.training and not module._forward_hooks for module in network.modules())


def test_a_block_that_breaks_between_its_layers_is_named_itself() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, image: Tensor) -> Tensor:
            return nn.functional.avg_pool2d(self.conv(image), 7)

    with pytest.raises(NetworkError, match=r"breaks at 8×8 px in layer '1' "):
        trace_layers(nn.Sequential(nn.ReLU(), Block()), 8)


def test_trace_follows_a_layer_that_is_used_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, stride=2, padding=1)

        def forward(self, image: Tensor) -> Tensor:
            return self.conv(self.conv(image)).mean(dim=(2, 3))

    assert [trace.shape for trace in trace_layers(Twice(), 8) if trace.name == "conv"] == [(3, 4, 4), (3, 2, 2)]


def test_default_layer_of_efficientnet_lite0_is_the_end_of_its_blocks(efficientnet_lite0: nn.Module) -> None:
    assert default_layers(trace_layers(efficientnet_lite0, 224)) == ("blocks",)


def test_default_layer_of_resnet18_is_its_last_stage() -> None:
    assert default_layers(trace_layers(resnet18(weights=None), 224)) == ("layer4",)


def test_default_layer_without_stages_is_the_last_with_a_height_and_width() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert default_layers(trace_layers(network, 8)) == ("1",)


def test_a_network_without_spatial_features_has_no_default_layer() -> None:
    with pytest.raises(NetworkError, match=r"no spatial features; set --loss\.fm 0"):
        default_layers(trace_layers(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), 4))


@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [
        ("xcit_nano_12_p16_224", "blocks.11", (128, 7, 7)),  # not its positions, which are the same for every picture
        ("mvitv2_tiny", "stages.3", (768, 4, 4)),  # not what its attention computes inside
    ],
)
def test_default_layer_of_transformers_without_sizes_is_their_last_block(
    name: str, layer: str, shape: tuple[int, ...]
) -> None:
    network = timm.create_model(name, num_classes=2)
    traces = trace_layers(network, 112)
    assert default_layers(traces) == (layer,)
    assert next(trace.shape for trace in traces if trace.name == layer) == shape
    assert early_layer_warning(network, traces, layer) is None


def test_a_map_that_is_not_square_is_no_default_layer() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Upsample(size=(2, 8)), nn.Flatten(), nn.Linear(64, 2))
    assert default_layers(trace_layers(layers, 8)) == ("0",)


def test_a_network_that_goes_on_with_tokens_is_warned_of() -> None:
    network = timm.create_model("pit_ti_224", num_classes=2)
    traces = trace_layers(network, 224)
    (layer,) = default_layers(traces)
    warning = early_layer_warning(network, traces, layer)
    assert warning is not None
    assert "set --loss.fm 0, or name another with --feature_mapping.layers" in warning


def test_the_embedding_is_what_the_last_layer_sees() -> None:
    network = resnet18(num_classes=5).eval()
    logits, features = TappedNetwork(network, ("layer4",), embedding=True)(torch.rand(2, 3, 64, 64))
    assert list(features) == ["layer4", EMBEDDING]
    assert features[EMBEDDING].shape == (2, embedding_width(network), 1, 1) == (2, 512, 1, 1)
    torch.testing.assert_close(features[EMBEDDING][:, :, 0, 0], features["layer4"].mean(dim=(2, 3)))
    assert torch.equal(network.fc(features[EMBEDDING].flatten(1)), logits)
    assert not network.fc._forward_pre_hooks


def test_the_embedding_of_a_convolutional_head_is_averaged_over_places() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    image = torch.rand(2, 3, 8, 8)
    _, features = TappedNetwork(network, embedding=True)(image)
    torch.testing.assert_close(features[EMBEDDING], network[0](image).mean(dim=(2, 3), keepdim=True))


def test_a_layer_of_the_embeddings_name_is_refused_beside_it() -> None:
    network = nn.Sequential()
    network.add_module("embedding", nn.Conv2d(3, 4, 3))
    network.add_module("head", nn.Linear(4, 2))
    with pytest.raises(NetworkError, match=r"'embedding' is what loss\.em calls its own; set --loss\.em 0"):
        TappedNetwork(network, ("embedding",), embedding=True)


def test_a_network_without_a_last_layer_has_no_embedding() -> None:
    with pytest.raises(NetworkError, match=r"loss\.em: .* set --loss\.em 0"):
        TappedNetwork(nn.Flatten(), embedding=True)
