"""Members of large families, made narrow, as a user's own `package.module:factory`."""

import timm
import torchvision
from torch import nn


def vgg11_bn(num_classes: int = 4, pretrained: bool = False) -> nn.Module:
    """With the fully connected head for 7×7 features, but narrow: as it is, it has 130 million weights."""
    features = torchvision.models.vgg.make_layers([8, "M", 8, "M", 16, "M", 16, "M", 16, "M"], batch_norm=True)
    network = torchvision.models.VGG(features, num_classes=num_classes, init_weights=False)
    network.classifier = nn.Sequential(nn.Linear(16 * 7 * 7, 32), nn.ReLU(), nn.Linear(32, num_classes))
    return network


def timm_vgg11_bn(num_classes: int = 4, pretrained: bool = False) -> nn.Module:
    """timm's, whose head is a 7×7 convolution on features that are made larger where they are smaller."""
    network: nn.Module = timm.create_model("vgg11_bn", num_classes=num_classes, mlp_ratio=0.01)
    return network


def resnet50(num_classes: int = 4, pretrained: bool = False) -> nn.Module:
    return _bottlenecks("resnet50", num_classes)


def resnext50(num_classes: int = 4, pretrained: bool = False) -> nn.Module:
    return _bottlenecks("resnext50_32x4d", num_classes)


def wide_resnet50(num_classes: int = 4, pretrained: bool = False) -> nn.Module:
    return _bottlenecks("wide_resnet50_2", num_classes)


def densenet(num_classes: int = 4, pretrained: bool = False) -> nn.Module:
    return torchvision.models.DenseNet(
        growth_rate=8, block_config=(2, 2, 2), num_init_features=16, num_classes=num_classes
    )


def torchvision_convnext(num_classes: int = 4, pretrained: bool = False) -> nn.Module:
    stages = [torchvision.models.convnext.CNBlockConfig(*widths, 1) for widths in ((8, 16), (16, 32), (32, None))]
    return torchvision.models.ConvNeXt(stages, num_classes=num_classes)


def deit3(num_classes: int = 4, pretrained: bool = False) -> nn.Module:
    """Its class token has no position."""
    network: nn.Module = timm.create_model(
        "deit3_small_patch16_224", num_classes=num_classes, embed_dim=48, depth=2, num_heads=2
    )
    return network


def swin(num_classes: int = 4, pretrained: bool = False) -> nn.Module:
    network: nn.Module = timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=num_classes, embed_dim=24, depths=(2, 2), num_heads=(2, 4)
    )
    return network


def torchvision_swin(num_classes: int = 4, pretrained: bool = False) -> nn.Module:
    return torchvision.models.SwinTransformer(
        patch_size=[4, 4],
        embed_dim=24,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=[7, 7],
        num_classes=num_classes,
    )


def torchvision_vit(num_classes: int = 4, pretrained: bool = False) -> nn.Module:
    return torchvision.models.VisionTransformer(
        image_size=64,
        patch_size=16,
        num_layers=2,
        num_heads=2,
        hidden_dim=32,
        mlp_dim=64,
        num_classes=num_classes,
    )


def _bottlenecks(name: str, num_classes: int) -> nn.Module:
    network: nn.Module = timm.create_model(
        name, num_classes=num_classes, layers=(1, 1, 1, 1), channels=(32, 64, 64, 64), stem_width=16
    )
    return network
