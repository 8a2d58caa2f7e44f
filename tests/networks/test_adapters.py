"""What single families need: one answer in train mode, both heads replaced, tokens and channels-last read as maps."""

import pytest
import timm
import torch
from torch import nn

from thumbnet.config import StudentSettings
from thumbnet.errors import NetworkError
from thumbnet.networks.adapters import PLAIN, adapter_for, channels_last, tokens
from thumbnet.networks.architectures import build_classifier, reparameterise
from thumbnet.networks.student import fit_student


def test_tokens_become_a_map_without_their_prefix() -> None:
    grid = torch.arange(9.0).reshape(1, 9, 1)
    found = tokens(nn.Identity(), torch.cat([torch.full((1, 1, 1), -1.0), grid], dim=1), batch=1)
    assert found is not None
    assert torch.equal(found, torch.arange(9.0).reshape(1, 1, 3, 3))


def test_channels_last_becomes_channels_first() -> None:
    found = channels_last(nn.Identity(), torch.zeros(2, 5, 5, 7), batch=2)
    assert found is not None
    assert found.shape == (2, 7, 5, 5)
    assert channels_last(nn.Identity(), torch.zeros(8, 5, 5, 7), batch=2) is None


def test_a_distilled_teacher_gets_two_new_heads_and_gives_one_answer_in_train_mode() -> None:
    network = build_classifier("timm/deit_tiny_distilled_patch16_224", "random", classes=3).network.train()
    assert network.get_submodule("head").out_features == network.get_submodule("head_dist").out_features == 3
    assert network(torch.rand(1, 3, 224, 224)).shape == (1, 3)


def test_a_step_that_is_not_there_is_said_with_the_numbers_that_are() -> None:
    network = timm.create_model("resnet18", num_classes=2)
    with pytest.raises(NetworkError, match=r"student\.keep_stride 9: the network has 5 strided step\(s\); give 1 to 5"):
        fit_student(network, StudentSettings(keep_stride=9), 64, 32)


def test_fused_branches_give_the_same_answer() -> None:
    network = timm.create_model("repvgg_a0", num_classes=4).eval()
    image = torch.rand(1, 3, 64, 64)
    before = network(image)
    fused = reparameterise(network)
    assert torch.allclose(fused(image), before, atol=1e-4)
    assert sum(p.numel() for p in fused.parameters()) < 8_000_000


def test_a_class_made_from_one_of_timms_gets_what_that_one_needs() -> None:
    class Own(timm.models.vision_transformer.VisionTransformer):  # type: ignore[misc]
        pass

    network = Own(img_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=2)
    assert adapter_for(network).name == "position embeddings resized, tokens read as maps"
    assert adapter_for(nn.Sequential(network)) is PLAIN
