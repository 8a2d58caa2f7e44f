"""AdamW, its schedule and the moving average of the weights."""

import math

from timm.optim import param_groups_weight_decay
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from thumbnet.config import OptimizerSettings
from thumbnet.networks.pair import Pair


def build_optimizer(pair: Pair, settings: OptimizerSettings, lr: float) -> AdamW:
    """AdamW over everything trainable: no decay of biases and norms, the downscaler at its own learning rate."""
    groups = []
    for module, factor in (
        (pair.downscaler, settings.downscaler_lr_factor),
        (pair.student, 1.0),
        (pair.feature_mapping, 1.0),
        *(((pair.other_sides, 1.0),) if pair.other_sides is not None else ()),
    ):
        for group in param_groups_weight_decay(module, settings.weight_decay):
            if group["params"]:
                groups.append({**group, "lr": lr * factor})
    return AdamW(groups, lr=lr, fused=True)


def build_schedule(optimizer: AdamW, steps: int, warmup_share: float) -> LambdaLR:
    """Linear warm-up, then a cosine to zero at the last step."""
    warmup = round(steps * warmup_share)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return LambdaLR(optimizer, factor)


def build_average(pair: Pair, decay: float) -> ModelEmaV3:
    """The exponential moving average of all weights and buffers; it follows quickly at first."""
    return ModelEmaV3(pair, decay=decay, use_warmup=True, warmup_power=0.75)


def averaged(average: ModelEmaV3 | None, pair: Pair) -> Pair:
    """The weights to evaluate and ship."""
    if average is None:
        return pair
    module: nn.Module = average.module
    assert isinstance(module, Pair)
    return module
