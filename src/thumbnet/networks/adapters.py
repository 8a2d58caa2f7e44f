"""What single families of networks need: heads to leave out, sizes built into the weights, features that are no maps.

Knows families of networks by type; knows nothing of students, losses or training. A network that needs nothing gets
`PLAIN`.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models import GoogLeNet, Inception3, SwinTransformer, VisionTransformer
from torchvision.models.vision_transformer import interpolate_embeddings

from thumbnet.networks.hugging_face import HuggingFaceClassifier

# What timm's networks say of features whose channels come last.
CHANNELS_LAST_FORMAT = "NHWC"


def _nothing(network: nn.Module) -> None:
    """For a network that is ready as it was built."""


def any_side(network: nn.Module, side: int) -> None:
    """For a network that takes any side as it is."""


def channels_first(network: nn.Module, output: object, batch: int) -> Tensor | None:
    """A layer's output `[batch, channels, height, width]` as it is."""
    return output if isinstance(output, Tensor) and output.dim() == 4 and output.shape[0] == batch else None


def channels_last(network: nn.Module, output: object, batch: int) -> Tensor | None:
    """A layer's output `[batch, height, width, channels]` as a map; inputs are square, so the equal sides tell."""
    if not isinstance(output, Tensor) or output.dim() != 4 or output.shape[0] != batch:
        return None
    if output.shape[1] == output.shape[2]:
        return output.permute(0, 3, 1, 2)
    return output if output.shape[2] == output.shape[3] else None


def tokens(network: nn.Module, output: object, batch: int, prefix: int | None = None) -> Tensor | None:
    """A layer's output `[batch, prefix + height · width, channels]` as a map; class tokens come first and are cut off.

    A layer that gives a map already, such as the patch embedding's convolution, is left as it is. Without `prefix` it
    is what the network says, or what is left of the largest square.
    """
    if not isinstance(output, Tensor) or output.shape[0] != batch:
        return None
    if output.dim() == 4:
        return output if output.shape[2] == output.shape[3] else None
    if output.dim() != 3:
        return None
    if prefix is None:
        prefix = getattr(network, "num_prefix_tokens", output.shape[1] - math.isqrt(output.shape[1]) ** 2)
    side = math.isqrt(output.shape[1] - prefix) if output.shape[1] > prefix else 0
    if side * side != output.shape[1] - prefix or not side:
        return None
    return output[:, prefix:].transpose(1, 2).reshape(batch, output.shape[2], side, side)


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What one family of networks needs.

    Attributes:
        name: In words, for the table of architectures: the change that makes the family work.
        prepare: Done once to a network as built, before weights are loaded from a file.
        resize: Fits a network in place to square inputs of another side, px; learned positions are interpolated.
        as_map: A layer's output, given the network and the batch's size, as `[batch, channels, height, width]`; None
            where it is no map.
        left_out: Parts that `prepare` leaves out, which a file of the makers' weights may still hold.
    """

    name: str
    prepare: Callable[[nn.Module], None] = _nothing
    resize: Callable[[nn.Module, int], None] = any_side
    as_map: Callable[[nn.Module, object, int], Tensor | None] = channels_first
    left_out: tuple[str, ...] = ()


def adapter_for(network: nn.Module) -> Adapter:
    """The adapter of a network's family, by its type; `PLAIN` for every other network."""
    by_type: dict[type[nn.Module], Adapter] = {
        HuggingFaceClassifier: HUGGING_FACE,
        GoogLeNet: AUXILIARY_HEADS,
        Inception3: AUXILIARY_HEADS,
        VisionTransformer: TORCHVISION_VIT,
        SwinTransformer: CHANNELS_LAST,
    }
    for kind, adapter in by_type.items():
        if isinstance(network, kind):
            return adapter
    # A user's own class made from one of timm's needs what that one needs.
    makers = {kind.__module__.partition(".")[0] for kind in type(network).__mro__}
    return _timm_adapter_for(network) if "timm" in makers else PLAIN


def _timm_adapter_for(network: nn.Module) -> Adapter:
    """Timm's networks say themselves what they are: by methods and attributes that many families share."""
    last = str(getattr(network, "output_fmt", "")).endswith(CHANNELS_LAST_FORMAT)
    if hasattr(network, "set_input_size") and last:
        return TIMM_WINDOWS
    if hasattr(network, "set_input_size") and hasattr(network, "num_prefix_tokens"):
        return TIMM_POSITIONS
    if hasattr(network, "set_input_size"):
        return TIMM_SIZED
    if hasattr(network, "num_prefix_tokens"):
        return TIMM_TOKENS
    if last:
        return CHANNELS_LAST
    return TIMM_TWO_HEADS if hasattr(network, "set_distilled_training") else PLAIN


def _without_auxiliary_heads(network: nn.Module) -> None:
    """Logits alone in train mode, too: the extra heads are for training from scratch."""
    for name in AUXILIARY_HEADS.left_out:
        if hasattr(network, name):
            setattr(network, name, None)
    cast(Any, network).aux_logits = False


def _one_answer(network: nn.Module) -> None:
    """Two distilled heads answer with their mean in train mode, as they do in eval mode."""
    if hasattr(network, "set_distilled_training"):
        cast(Any, network).set_distilled_training(False)


def _resize_timm(network: nn.Module, side: int) -> None:
    """Timm's own resize, told the side at which as many patches result as the first layer's stride gives."""
    sized = cast(Any, network)
    embed = getattr(sized, "patch_embed", None)
    convolution = getattr(embed, "proj", None)
    finer = 1
    if embed is not None and isinstance(convolution, nn.Conv2d):
        finer = embed.patch_size[0] // convolution.stride[0]
    options = {}
    if "window_size" in inspect.signature(sized.set_input_size).parameters and hasattr(sized, "layers"):
        # The windows keep their size, so their tables of positions keep theirs wherever a stage is large enough.
        options["window_size"] = tuple(sized.layers[0].blocks[0].window_size)
    sized.set_input_size(img_size=(side * finer, side * finer), **options)
    if embed is not None and finer > 1:
        embed.img_size = (side, side)


def _resize_torchvision_vit(network: nn.Module, side: int) -> None:
    vit = cast(VisionTransformer, network)
    stride = vit.conv_proj.stride[0]
    trainable = vit.encoder.pos_embedding.requires_grad
    state = interpolate_embeddings(
        image_size=side // stride * stride,
        patch_size=stride,
        model_state={"encoder.pos_embedding": vit.encoder.pos_embedding.detach()},
    )
    vit.encoder.pos_embedding = nn.Parameter(state["encoder.pos_embedding"].clone(), requires_grad=trainable)
    vit.image_size, vit.patch_size = side, stride
    vit.seq_length = state["encoder.pos_embedding"].shape[1]


def _resize_hugging_face(network: nn.Module, side: int) -> None:
    """Its positions are interpolated at every call, by the stride of its patches: said anew where that was halved."""
    for module in network.modules():
        convolution = getattr(getattr(module, "patch_embeddings", None), "projection", None)
        if isinstance(convolution, nn.Conv2d) and isinstance(getattr(module, "patch_size", None), int):
            cast(Any, module).patch_size = convolution.stride[0]


def _hugging_face_map(network: nn.Module, output: object, batch: int) -> Tensor | None:
    """Maps, tokens, or the first of several outputs."""
    if isinstance(output, tuple) and output:
        output = output[0]
    # Four registers and a class token beside 2 × 2 patches would fill a square of 3 × 3.
    registers = getattr(cast(HuggingFaceClassifier, network).model.config, "num_register_tokens", 0)
    return tokens(network, getattr(output, "last_hidden_state", output), batch, 1 + registers if registers else None)


def _patch_tokens(network: nn.Module, output: object, batch: int) -> Tensor | None:
    """Tokens of patches alone, by themselves or before their sides: class tokens join behind the blocks of patches."""
    return tokens(network, output[0] if isinstance(output, tuple) and output else output, batch, prefix=0)


PLAIN = Adapter(name="as it is")
CHANNELS_LAST = Adapter(name="features read channels last", as_map=channels_last)
AUXILIARY_HEADS = Adapter(
    name="auxiliary heads left out", prepare=_without_auxiliary_heads, left_out=("aux1", "aux2", "AuxLogits")
)
TORCHVISION_VIT = Adapter(
    name="position embeddings resized, tokens read as maps", resize=_resize_torchvision_vit, as_map=tokens
)
TIMM_POSITIONS = Adapter(
    name="position embeddings resized, tokens read as maps", prepare=_one_answer, resize=_resize_timm, as_map=tokens
)
TIMM_WINDOWS = Adapter(
    name="windows and their tables resized, features read channels last", resize=_resize_timm, as_map=channels_last
)
TIMM_SIZED = Adapter(name="sizes built in are set anew", prepare=_one_answer, resize=_resize_timm)
TIMM_TOKENS = Adapter(name="tokens read as maps", as_map=_patch_tokens)
TIMM_TWO_HEADS = Adapter(name="both heads' mean", prepare=_one_answer)
HUGGING_FACE = Adapter(
    name="tokens read as maps, positions interpolated, where it has any",
    resize=_resize_hugging_face,
    as_map=_hugging_face_map,
)


def head_names(network: nn.Module) -> list[str]:
    """Names of the last linear or convolution layer of each head, the main one first; empty if there is none."""
    named = {id(module): name for name, module in network.named_modules()}
    found = []
    for part in _heads(network):
        layers = _layers(part)
        found += [named[id(layers[-1])]] if layers else []
    return found


def _layers(part: nn.Module) -> list[nn.Module]:
    return [module for module in part.modules() if isinstance(module, nn.Linear | nn.Conv2d)]


def _heads(network: nn.Module) -> list[nn.Module]:
    """The parts whose answers become one; of a network with one head all of it, in which the last layer is the head.

    Empty if the network itself says that it has none, as timm's that were trained without classes do.
    """
    if isinstance(network, HuggingFaceClassifier):
        distilled = (("cls_classifier", "distillation_classifier"), ("classifier", "classifier_distill"))
        pairs = [names for names in distilled if all(hasattr(network.model, name) for name in names)]
        return [getattr(network.model, name) for name in pairs[0]] if pairs else [network]
    if not hasattr(network, "get_classifier"):
        return [network]
    given = cast(Any, network).get_classifier()
    heads: list[nn.Module] = []
    for part in given if isinstance(given, tuple) else (given,):
        if isinstance(part, nn.ModuleList):
            heads += reversed(part)  # one a stage or branch: the last has seen the most
        else:
            heads += [part.head, part.head_dist] if hasattr(part, "head_dist") else [part]
    # What VOLO's answers for single patches add to its answer for the whole.
    extra = getattr(network, "aux_head", None)
    heads += [extra] if isinstance(extra, nn.Module) else []
    if not any(_layers(head) for head in heads):
        return []
    return heads if len(heads) > 1 else [network]


def fit_to_side(network: nn.Module, side: int) -> None:
    """Fits a network in place to square inputs of `side` px, where its family has sizes built in."""
    with torch.no_grad():
        adapter_for(network).resize(network, side)
