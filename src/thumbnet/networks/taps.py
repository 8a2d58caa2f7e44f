"""Reading the features inside a network, by layer name, without changing the network.

Features are maps `[batch, channels, height, width]`, whatever the network computes with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from thumbnet.errors import NetworkError
from thumbnet.networks.adapters import adapter_for, channels_first, head_names

Features = dict[str, Tensor]
EMBEDDING = "embedding"  # the key of what the last layer sees
DETAIL = "detail"  # the key of what a student's detail decoder gives


class TappedNetwork(nn.Module):
    """A classifier that also gives the features of the layers that were asked for.

    Args:
        network: Maps normalised images to logits. It is not copied.
        layers: Names as in `network.named_modules()`.
        keys: What to call their features; by default the layers' own names.
        embedding: Whether to give what the last layer sees as well, under the key `embedding`, as a map of one pixel.

    Raises:
        NetworkError: If a layer does not exist, or there is no last layer.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str] = (),
        keys: Sequence[str] | None = None,
        *,
        embedding: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.layers = tuple(layers)
        self.keys = tuple(layers if keys is None else keys)
        self.head = last_layer(network) if embedding else None
        if embedding and EMBEDDING in self.keys:
            raise NetworkError(f"feature_mapping.layers: '{EMBEDDING}' is what loss.em calls its own; set --loss.em 0")
        self.as_map = adapter_for(network).as_map
        known = dict(network.named_modules())
        for layer in self.layers:
            if layer not in known:
                near = [name for name in known if name.count(".") == layer.count(".") and name][-4:]
                raise NetworkError(
                    f"feature_mapping.layers: no layer '{layer}'; there are {', '.join(near)} and others"
                )

    def forward(
        self, normalised: Float[Tensor, "batch channels height width"]
    ) -> tuple[Float[Tensor, "batch classes"], Features]:
        """Logits, and the output of each tapped layer by its key, as a map."""
        features: Features = {}

        def keep(key: str, output: object) -> None:
            found = self.as_map(self.network, output, normalised.shape[0])
            if found is not None or isinstance(output, Tensor):
                features[key] = cast(Tensor, output) if found is None else found

        # Hooks live for one call: a copy of this module (such as the moving average) would share permanent ones.
        handles = [
            self.network.get_submodule(layer).register_forward_hook(
                lambda module, inputs, output, key=key: keep(key, output)
            )
            for layer, key in zip(self.layers, self.keys, strict=True)
        ]
        if self.head is not None:
            handles.append(
                self.network.get_submodule(self.head).register_forward_pre_hook(
                    lambda module, inputs: features.update({EMBEDDING: _embedding(module, inputs[0])})
                )
            )
        try:
            logits = self.network(normalised)
        finally:
            for handle in handles:
                handle.remove()
        return logits, features


def last_layer(network: nn.Module) -> str:
    """Name of the layer that turns the embedding into logits; of a network with two such heads the first's.

    Raises:
        NetworkError: If there is none.
    """
    heads = head_names(network)
    if not heads:
        raise NetworkError("loss.em: the network has no last linear or convolution layer; set --loss.em 0")
    return heads[0]


def embedding_width(network: nn.Module) -> int:
    """Channels of the embedding: what the last layer takes."""
    layer = network.get_submodule(last_layer(network))
    return int(layer.in_features if isinstance(layer, nn.Linear) else cast(nn.Conv2d, layer).in_channels)


def _embedding(layer: nn.Module, given: Tensor) -> Float[Tensor, "batch channels 1 1"]:
    """What the last layer was given, averaged over places where it has any."""
    if isinstance(layer, nn.Linear):
        rows = given.reshape(given.shape[0], -1, given.shape[-1]).mean(dim=1)
    else:
        rows = given.flatten(2).mean(dim=2)
    return rows[:, :, None, None]


@dataclass(frozen=True, kw_only=True)
class LayerTrace:
    """One layer's output in a probe.

    Attributes:
        name: The layer's name.
        shape: Its output's shape without the batch; of a map: channels, height, width.
        is_map: Whether its output is a map.
        stage: Whether the layer has layers inside: a block or stage, not a single operation.
        strided: Whether it makes its input spatially smaller, and is a single operation.
        side_before: Width of its input, px; None where that is no map.
    """

    name: str
    shape: tuple[int, ...]
    is_map: bool
    stage: bool
    strided: bool
    side_before: int | None


def trace_layers(network: nn.Module, side: int, channels: int = 3) -> list[LayerTrace]:
    """Runs one grey image through and lists every layer with a tensor output, in order of completion.

    Args:
        network: Any classifier; its mode and its buffers are left as they were.
        side: Side of the image, px.
        channels: Of the image.

    Raises:
        NetworkError: If the network cannot run at this side; the message names the layer that broke.
    """
    traces: list[LayerTrace] = []
    entered: list[str] = []

    as_map = adapter_for(network).as_map

    def leave(name: str, module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        entered.remove(name)
        found = as_map(network, output, 1)
        if found is None and not isinstance(output, Tensor):
            return
        shape = tuple((output if found is None else found).shape[1:])  # type: ignore[attr-defined]
        before = as_map(network, inputs[0], 1) if inputs else None
        side_before = None if before is None else before.shape[-1]
        single = not any(module.children()) or isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm)
        smaller = found is not None and side_before is not None and found.shape[-1] < side_before
        traces.append(
            LayerTrace(
                name=name,
                shape=shape,
                is_map=found is not None,
                stage=not single,
                strided=single and smaller,
                side_before=side_before,
            )
        )

    handles = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(lambda module, inputs, name=name: entered.append(name)))
        handles.append(
            module.register_forward_hook(lambda module, inputs, output, name=name: leave(name, module, inputs, output))
        )
    modes = {module: module.training for module in network.modules()}
    parameter = next(network.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, channels, side, side, device=device))
    except (RuntimeError, ValueError, IndexError, AssertionError, ZeroDivisionError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        layer = next((name for name in reversed(entered) if name), "its first layer")
        raise NetworkError(f"breaks at {side}×{side} px in layer '{layer}' ({reason})") from error
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    return traces


def default_layers(traces: Sequence[LayerTrace]) -> tuple[str, ...]:
    """The end of the last stage: of the last features that still have a height and width, the outermost layer.

    Args:
        traces: From `trace_layers`, of the teacher at its own side.

    Raises:
        NetworkError: If no layer gives spatial features.
    """
    # Inputs are square; what attention computes inside may have four dimensions and is no map.
    spatial = [trace for trace in traces if trace.name and trace.is_map and trace.shape[1] == trace.shape[2] > 1]
    if not spatial:
        raise NetworkError("feature_mapping: the teacher has no spatial features; set --loss.fm 0")
    last = max((index for index, trace in enumerate(spatial) if trace.stage), default=len(spatial) - 1)
    return (spatial[last].name,)


def early_layer_warning(network: nn.Module, traces: Sequence[LayerTrace], layer: str) -> str | None:
    """One line if the network goes on with tokens behind the layer that was chosen, which are no features of a map.

    Args:
        network: The teacher.
        traces: From `trace_layers`, of it.
        layer: That of `default_layers`.
    """
    behind = traces[max(index for index, trace in enumerate(traces) if trace.name == layer) + 1 :]
    of_tokens = [trace.name for trace in behind if trace.stage and trace.name and len(trace.shape) == 2]
    if adapter_for(network).as_map is not channels_first or not of_tokens:
        return None
    advice = "set --loss.fm 0, or name another with --feature_mapping.layers"
    return f"feature mapping reads '{layer}', behind which the network goes on with tokens: {advice}"
