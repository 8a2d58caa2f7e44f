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
