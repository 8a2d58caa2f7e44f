"""When to use ThumbNet, at which ratio, and when something else is better: the short text that opens docs/results.md."""

import json
from pathlib import Path
from typing import Any

from study_results import Rows, points, share, share_kept

TEACHERS_CROP_SHARE = 0.875  # of the study's teacher, EfficientNet-Lite0


def in_short(studies: dict[str, Rows], results: Path) -> list[str]:
    """Advice, with the numbers that it rests on."""
    return [
        "## In short\n",
        "**Kept** is the share of the teacher's accuracy with its 95% interval, on solar cells (elpv) and then on ten classes of ImageNet;",
        "what the numbers rest on, and what they do not show, is said below and in the tables.\n",
        *_what_to_choose(studies, results),
        *_what_else(studies, results),
        "",
    ]


def _what_to_choose(studies: dict[str, Rows], results: Path) -> list[str]:
    first, again = (studies[name]["thumbnet_fine_detail"] for name in ("elpv_folds", "elpv_folds_again"))
    shown = json.loads((results / "crop_shares.json").read_text())["runs"]["thumbnet_fine_detail-seed0"]["rows"]
    photographs = next(row["retention"] for row in shown if row["crop_share"] == TEACHERS_CROP_SHARE)
    plain, ratio2 = studies["elpv_folds"]["thumbnet"], studies["imagenette_ratio2"]["thumbnet_ratio2_fine_detail"]
    return [
        "- **Begin with ratio 4 and `--student.keep_stem_resolution`**: a sixteenth of the pixels, about a quarter of the teacher's MACs.",
        f"  Kept: {share_kept(first)}, trained again {share_kept(again)}; {share(photographs)}. Keep its thumbnails without loss (PNG, lossless WebP),",
        "  for its downscaler hides detail in them.",
        f"- **Where compute is scarcest, the plain student**: a 13th of the MACs. Kept: {share_kept(plain)};"
        f" {share_kept(studies['imagenette_mixed_views']['thumbnet'])}.",
        "- **Where nothing may be lost, ratio 2**: plain on solar cells, at a quarter of the MACs"
        f" ({share_kept(studies['elpv_ratio2']['thumbnet'])} of one quarter of them);",
        f"  on ImageNet's classes it took `keep_stem_resolution`, the teacher's whole compute ({share_kept(ratio2)}).",
    ]


def _what_else(studies: dict[str, Rows], results: Path) -> list[str]:
    times = json.loads((results / "reading_and_answering.json").read_text())["milliseconds"]
    picture, thumbnail = times["read pictures"], times["read png"]
    photographs = studies["imagenette_first_layer"]["thumbnet_fine_detail"]["difference"]
    first, again = (studies[name]["thumbnet_fine_detail"]["difference"] for name in ("elpv_folds", "elpv_folds_again"))
    return [
        "- **Bicubic thumbnails instead of learned ones** (`--downscaler.kind bicubic`) lost nothing with the plain student. With the finer one the learned",
        f"  ones are ahead by {points(photographs)} points on ImageNet's classes (two seeds). On solar cells one round of four trainings said"
        f" {points(first)}",
        f"  (over pictures alone), a second {points(again)} (over splits too): a gain is not shown there. Bicubic thumbnails make smaller files,",
        "  stand lossy compression and have no tint: choose them where that counts for more.",
        "- **A smaller network at full size is the better choice** where pictures are read once, from small files, and one with pretrained weights",
        "  knows your classes (not measured: those of the study start at random, and lose). To read and answer a picture of 224 px took",
        f"  {picture + times['smaller_network_fine']:.1f} ms with a network of the finer student's MACs and {picture + times['smaller_network']:.1f} ms with one of"
        f" the plain one's; from thumbnails it took {thumbnail + times['bicubic_all_fine']:.1f} and {thumbnail + times['bicubic_all']:.1f} ms.",
    ]


def quarters(studies: dict[str, Rows]) -> list[str]:
    """What is ahead of what on solar cells at the finer student's compute, and how much of it chance may be."""
    first, again = (studies[name]["thumbnet_fine_detail"] for name in ("elpv_folds", "elpv_folds_again"))
    others = studies["elpv_fine_alternatives"]
    tops: dict[str, Any] = {
        name: f"{100 * row['metric']['mean']:.1f}%" for name, row in others.items() if row["metric"]
    }
    return [
        "- **Chance in training is as large as what is looked for, on solar cells.** Each quarter held out in turn, behind a teacher of its own, the finer"
        " student with hidden detail",
        f"  was at {points(first['difference'])} points beside bicubic thumbnails (an interval over pictures alone, four trainings), and with the same seed, teachers",
        f"  trained anew and otherwise the same settings at {points(again['difference'])} (over splits as well). With Lite1 for Lite0, on the first quarter,",
        f"  {points(studies['elpv_lite1']['thumbnet_fine_detail']['difference'])}.",
        f"- **The best fixed and learned resizers at that compute**, one training each on the first quarter: bicubic {tops['bicubic_all_fine']}, MULLER"
        f" {tops['muller_all_fine']}, ThumbNet {tops['thumbnet_fine_detail']}, the learned resizer {tops['learned_resizer_all_fine']}",
        f"  (its thumbnails at a ΔE of {others['learned_resizer_all_fine']['delta_e']:.0f}, for {others['learned_resizer_all_fine']['downscaler_macs'] / 1e6:.0f} M MACs; MULLER's hardly differ from"
        f" bicubic ones, ΔE {others['muller_all_fine']['delta_e']:.1f}): no order among the first three shows.",
    ]
