"""The image processors of `transformers`, taken over to the last pixel, or refused in one line."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from thumbnet.data.preprocessing import Preprocessing, normalise, picture_to_image, working_view
from thumbnet.errors import NetworkError
from thumbnet.networks.image_processors import processor_preprocessing, swaps_colours

transformers = pytest.importorskip("transformers")
# Wide, high, and smaller than most sides; what is left of them beside the cut is even, or one pixel.
SIZES = ((640, 384), (384, 640), (500, 375), (48, 36))
# Those of which all families are made; a row is a family as its makers publish it, or the processor's own defaults.
SERVED: dict[str, tuple[str, dict[str, Any]]] = {
    "vit, swin, swiftformer": ("ViT", {}),
    "deit": ("DeiT", {}),
    "deit 384": ("DeiT", {"size": {"height": 438, "width": 438}, "crop_size": {"height": 384, "width": 384}}),
    "siglip": ("Siglip", {}),
    "convnext, resnet, regnet, cvt": ("ConvNext", {"size": {"shortest_edge": 224}}),
    "convnext 256": ("ConvNext", {"size": {"shortest_edge": 256}, "crop_pct": 0.95}),
    "convnext 384": ("ConvNext", {}),
    "clip": ("CLIP", {}),
    "bit": ("Bit", {}),
    "dinov2": ("Bit", {"size": {"shortest_edge": 256}}),
    "efficientnet": ("EfficientNet", {}),
    "efficientnet b0": ("EfficientNet", {"size": {"height": 224, "width": 224}, "resample": 0}),
    "mobilevit": ("MobileViT", {}),
    "mobilevit small": ("MobileViT", {"size": {"shortest_edge": 288}}),
    "mobilenet v1": ("MobileNetV1", {}),
    "mobilenet v2": ("MobileNetV2", {}),
    "pvt": ("Pvt", {}),
    "levit": ("Levit", {}),
    "poolformer": ("PoolFormer", {}),
    "beit": ("Beit", {}),
    "beit large": ("Beit", {"size": {"height": 256, "width": 256}, "do_center_crop": True}),
    "segformer": ("Segformer", {}),
}
OFF: dict[str, tuple[str, dict[str, Any]]] = {
    "levels of 255": ("ViT", {"do_rescale": False, "do_normalize": False}),
    "levels of 255, normalised": ("ViT", {"do_rescale": False, "image_mean": [127.0] * 3, "image_std": [60.0] * 3}),
    "half the scale": ("ViT", {"rescale_factor": 1 / 510}),
    "not normalised": ("ViT", {"do_normalize": False}),
    "squashed and not cut": ("DeiT", {"do_center_crop": False}),
    "from -1 to 1": ("EfficientNet", {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}),
    "from -1 to 1, normalised": ("EfficientNet", {"rescale_factor": 1 / 127.5, "rescale_offset": True}),
    "divided once": ("EfficientNet", {"include_top": False}),
    "divided and not shifted": ("EfficientNet", {"do_normalize": False}),
    "no offset without a scale": ("EfficientNet", {"do_rescale": False, "rescale_offset": True}),
    "colours as they are": ("MobileViT", {"do_flip_channel_order": False}),
    "lanczos": ("ViT", {"resample": 1}),
    "hamming": ("ViT", {"resample": 5}),
}


def processor(kind: str, **options: Any) -> Any:
    """The one that resizes by Pillow; with `transformers` 4 it had the plain name."""
    name = f"{kind}ImageProcessor"
    made: Any = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    return made(**options)


def picture(width: int, height: int) -> Image.Image:
    levels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def shown_by_makers(shown: Image.Image, maker: Any) -> Tensor:
    values = torch.as_tensor(maker(shown, return_tensors="pt")["pixel_values"])[0].float()
    return values.flip(0) if swaps_colours(maker) else values


def shown_by_thumbnet(shown: Image.Image, preprocessing: Preprocessing) -> Tensor:
    image = picture_to_image(working_view(shown, preprocessing)).unsqueeze(0)
    return normalise(image, preprocessing.mean, preprocessing.std)[0]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("kind", "options"), SERVED.values(), ids=SERVED)
def test_a_classifier_sees_what_its_image_processor_shows_it(
    kind: str, options: dict[str, Any], size: tuple[int, int]
) -> None:
    maker, shown = processor(kind, **options), picture(*size)
    preprocessing = processor_preprocessing(maker, "hf/some")
    seen = shown_by_thumbnet(shown, preprocessing)
    torch.testing.assert_close(seen, shown_by_makers(shown, maker), rtol=0, atol=2e-6)


@pytest.mark.parametrize(("kind", "options"), OFF.values(), ids=OFF)
def test_a_step_that_is_turned_off_or_changed_is_so_here(kind: str, options: dict[str, Any]) -> None:
    maker, shown = processor(kind, **options), picture(64, 48)
    preprocessing = processor_preprocessing(maker, "hf/some")
    seen = shown_by_thumbnet(shown, preprocessing)
    torch.testing.assert_close(seen, shown_by_makers(shown, maker), rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("kind", ["ViT", "DeiT", "CLIP", "EfficientNet", "ConvNext"])
def test_an_image_processor_that_resizes_by_torchvision_rounds_a_level_or_two_otherwise(kind: str) -> None:
    maker, shown = getattr(transformers, f"{kind}ImageProcessor")(), picture(640, 384)
    preprocessing = processor_preprocessing(maker, "hf/some")
    beside = (shown_by_thumbnet(shown, preprocessing) - shown_by_makers(shown, maker)).abs()
    assert float(beside.max()) * 255 * max(preprocessing.std) < 2.01


def test_what_is_left_beside_the_cut_of_three_pixels_is_halved_one_pixel_beside() -> None:
    maker, shown = processor("CLIP"), picture(227, 224)
    ours = shown_by_thumbnet(shown, processor_preprocessing(maker, "hf/some"))
    torch.testing.assert_close(ours[:, :, :-1], shown_by_makers(shown, maker)[:, :, 1:], rtol=0, atol=2e-6)


def test_a_share_that_the_makers_say_is_kept_for_another_side() -> None:
    maker = processor("ConvNext", size={"shortest_edge": 224}, crop_pct=0.9)
    assert processor_preprocessing(maker, "hf/some").crop_share == 0.9


def test_a_wrapped_network_of_timm_sees_what_timm_shows_it() -> None:
    config = {"input_size": (3, 96, 96), "crop_pct": 0.9, "crop_mode": "border", "mean": (0.5,) * 3, "std": (0.2,) * 3}
    maker, shown = transformers.TimmWrapperImageProcessor(pretrained_cfg=config), picture(130, 80)
    seen = shown_by_thumbnet(shown, processor_preprocessing(maker, "hf/some"))
    torch.testing.assert_close(seen, shown_by_makers(shown, maker), rtol=0, atol=2e-6)


WIDE = {"height": 224, "width": 112}
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no resize": ("ViT", {"do_resize": False}, "does not resize pictures"),
    "oblong": ("ViT", {"size": WIDE}, "resizes to height 224, width 112, and a working view is square"),
    "cut oblong": ("CLIP", {"crop_size": WIDE}, "cuts to height 224, width 112, and a working view is square"),
    "two edges": ("CLIP", {"size": {"shortest_edge": 8, "longest_edge": 9}}, "longest_edge 9, shortest_edge 8, and"),
    "not cut": ("CLIP", {"do_center_crop": False}, "keeps the shape of pictures and cuts nothing off"),
    "textnet": ("TextNet", {}, "keeps the shape of pictures and cuts nothing off"),
    "patches": ("Siglip2", {}, "resizes to no side that it says"),
    "perceiver": ("Perceiver", {}, "cuts pictures before it resizes them"),
    "two channels": ("ViT", {"image_mean": [0.5, 0.5], "image_std": [0.5, 0.5]}, "normalises 2 channels"),
    "a filter of nobody": ("ViT", {"resample": 9}, "resizes by filter 9, which Pillow does not know"),
    "no picture": ("ImageGPT", {}, "shows no picture when it is asked to"),
    "padded": ("ViT", {"do_pad": True, "pad_size": {"height": 300, "width": 300}}, "gives 1 × 3 × 300 × 300 values"),
}


@pytest.mark.parametrize(("kind", "options", "why"), REFUSED.values(), ids=REFUSED)
def test_what_a_working_view_cannot_show_is_refused_in_one_line(kind: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(NetworkError, match=f"teacher: hf/some's {kind}ImageProcessor .*{why}.*; change prepro") as said:
        processor_preprocessing(processor(kind, **options), "hf/some")
    assert "\n" not in str(said.value)


def test_a_step_that_no_configuration_tells_of_is_found() -> None:
    class ViTImageProcessor(type(processor("ViT"))):  # type: ignore[misc]
        def normalize(self, image: Any, mean: Any, std: Any, **options: Any) -> Any:
            return 1 - super().normalize(image, mean, std, **options)

    with pytest.raises(
        NetworkError, match=r"shows pictures that differ by \d+ of 255 levels from what it says; change"
    ):
        processor_preprocessing(ViTImageProcessor(), "hf/some")
