"""When to use ThumbNet, at which ratio, and when something else is better: the short text that opens docs/results.md."""

import json
from pathlib import Path

from study_results import Rows, points, seeds_of, share_kept, top

ROUNDS = ("elpv_folds", "elpv_folds_again", "elpv_folds_two_seeds")  # studies of the finer student on quarters of elpv
TEACHERS_CROP_SHARE = 0.875  # of the study's teacher, EfficientNet-Lite0


def in_short(studies: dict[str, Rows], results: Path) -> list[str]:
    """Advice, with the numbers that it rests on."""
    return [
        "## In short\n",
        "The share of the teacher's accuracy that students keep, with 95% intervals, on solar cells (elpv, eight epochs: the plain student on four splits, the other on",
        "three with two seeds) and on Imagenette, ten classes of ImageNet (9,469 pictures and 3,925 held out, resized to 224 px, `imagenette224` in the commands; one",
        "training each). What the numbers rest on, and what they do not show, is said below and in the tables.\n",
        *_what_to_choose(studies, results),
        *_what_else(studies, results),
        "",
    ]


def _what_to_choose(studies: dict[str, Rows], results: Path) -> list[str]:
    mixed, pair = studies["imagenette_mixed_views"]["thumbnet"], studies["imagenette_whole_compute"]
    whole, filtered = pair["thumbnet_upsampled"], pair["upsampled"]
    ratio2 = studies["imagenette_ratio2"]["thumbnet_ratio2_fine_detail"]
    equal = studies["imagenette_equal_compute"]["thumbnet_fine_detail"]
    stored = json.loads((results / "stored_thumbnails_whole_compute.json").read_text())["formats"]["webp:80"]
    return [
        *_table(studies, results),
        "- **At a quarter of the teacher's compute there are two ways.** Where pixels count (to send as they are, to decode, to keep in memory), ratio 4 and",
        "  `--student.keep_stem_resolution`, its thumbnails kept without loss (PNG, lossless WebP), for its downscaler hides detail in them. Where bytes count,",
        f"  `--ratio 2 --downscaler.kind bicubic` and lossy WebP: {_where_bytes_count(results)} (six epochs,",
        f"  one training each, not compared in pairs). Without loss on either side ratio 4 was at {points(equal['difference'])} points beside it in another training, with a quarter of the pixels.",
        "- **Where compute is scarcest, the plain student on bicubic thumbnails** (`--downscaler.kind bicubic`): the learned downscaler showed no gain there, and costs two thirds",
        "  of that student's MACs again. On Imagenette it is just below what it aims at, 93%, by the defaults alone, and so is the best of the other trainings",
        f"  ({share_kept(mixed)}, on mixed views with `loss.em 10`, both with the learned downscaler).",
        "- **Where pixels are scarce and compute is not, `--student.upsample --student.detail_decoder`**: the teacher's whole compute on thumbnails of ratio 4, kept without loss.",
        f"  A top-1 of {top(whole)} where enlarged bicubic thumbnails have {top(filtered)} (three epochs, one training each); stored as WebP 80 it falls behind them,",
        f"  at {points(stored['paired_differences']['upsampled-seed0'])} points.",
        f"- **Where accuracy comes first, ratio 2 with `keep_stem_resolution`**: a drop of {points(ratio2['drop'])} points (one training); it saves pixels alone: no compute, and no bytes beside",
        "  JPEGs. Bicubic thumbnails of ratio 2 were not trained at this compute and may do as well.",
        f"  On solar cells plain students keep {share_kept(studies['elpv_ratio2']['thumbnet'])} at ratio 2 (one quarter of them).",
    ]


def _table(studies: dict[str, Rows], results: Path) -> list[str]:
    """One line for each thing that may be scarce."""
    seeds, plain = studies["elpv_folds_two_seeds"]["thumbnet_fine_detail"], studies["elpv_folds"]["thumbnet"]
    defaults, larger = studies["imagenette_defaults"]["thumbnet"], studies["imagenette_ratio2_bicubic"]
    fine = studies["imagenette_defaults_fine"]["thumbnet_fine_detail"]
    whole = studies["imagenette_whole_compute"]["thumbnet_upsampled"]
    ratio2 = studies["imagenette_ratio2"]["thumbnet_ratio2_fine_detail"]
    webp = json.loads((results / "stored_thumbnails_ratio2.json").read_text())["formats"]["webp:80"]["runs"]
    lossy = webp["bicubic_all_ratio2-seed0"]["top1"] / larger["teacher"]["metric"]["mean"]
    bicubic = f"{share_kept(larger['bicubic_all_ratio2'])}; {100 * lossy:.1f}% as WebP 80"
    table = (
        (
            "compute most of all",
            4,
            "plain",
            defaults,
            share_kept(plain),
            f"{share_kept(defaults)} ¹",
            "30, the defaults",
        ),
        (
            "**compute and pixels**",
            4,
            "`keep_stem_resolution`",
            fine,
            share_kept(seeds),
            f"{share_kept(fine)} ¹",
            "30, the defaults",
        ),
        ("compute and bytes", 2, "plain, `bicubic` thumbnails", larger["bicubic_all_ratio2"], "", bicubic, "6"),
        ("pixels", 4, "`upsample`, `detail_decoder`", whole, "", share_kept(whole), "3"),
        ("accuracy", 2, "`keep_stem_resolution`", ratio2, "", share_kept(ratio2), "3"),
    )
    lines = [
        "| what is scarce | pixels | ratio, student | its MACs, of the teacher's | solar cells | Imagenette | epochs on Imagenette |",
        "| --- | ---: | --- | ---: | ---: | ---: | --- |",
    ]
    for scarce, ratio, student, row, cells, classes, epochs in table:
        part = row["student_macs"] / larger["teacher"]["student_macs"]
        cell = (scarce, f"1/{ratio**2}", f"{ratio}, {student}", f"{100 * part:.0f}%", cells, classes, epochs)
        lines.append(f"| {' | '.join(cell)} |")
    return [
        *lines,
        "",
        f"Rows differ in epochs and in how much of a picture they show: what is compared is said below. ¹ At the default crop share, {TEACHERS_CROP_SHARE}; the others see the whole picture. Making a thumbnail with a learned downscaler costs another 5% of the teacher's",
        "MACs, 8% at ratio 2, once.\n",
    ]


def _where_bytes_count(results: Path) -> str:
    """The two ways to spend the finer student's compute, by what they store."""
    larger, fine = (
        json.loads((results / f"stored_thumbnails_{name}.json").read_text())["formats"] for name in ("ratio2", "fine")
    )
    bicubic, hidden = (
        larger["webp:80"]["runs"]["bicubic_all_ratio2-seed0"],
        fine["webp"]["runs"]["thumbnet_fine_detail-seed0"],
    )
    return (
        f"a top-1 of {100 * bicubic['top1']:.1f}% for {bicubic['bytes']:,} bytes as WebP 80 on Imagenette, where hidden detail at"
        f" ratio 4, for the same compute, has {100 * hidden['top1']:.1f}%\n  for {hidden['bytes']:,} as lossless WebP"
    )


def _what_else(studies: dict[str, Rows], results: Path) -> list[str]:
    times = json.loads((results / "reading_and_answering.json").read_text())["milliseconds"]
    picture, thumbnail = times["read pictures"], times["read png"]
    photographs, anew, once_more = (
        studies[f"imagenette_{name}"]["thumbnet_fine_detail"]["difference"]
        for name in ("first_layer", "bounds", "fine_again")
    )
    first, again, seeds = (studies[name]["thumbnet_fine_detail"]["difference"] for name in ROUNDS)
    return [
        "- **Bicubic or learned thumbnails?** Bicubic ones (`--downscaler.kind bicubic`) for the plain student, for files stored with loss, for pictures like the solar cells, and",
        "  where the smallest files or no tint at all count for more than the last point. Learned ones where the student has finer features and thumbnails stay lossless:",
        f"  {points(photographs)} points on Imagenette after six epochs (two seeds), {points(anew)} and {points(once_more)} trained anew; whether that lasts through the 30 epochs of the defaults is not known, for bicubic",
        f"  thumbnails did not run there. On solar cells no gain is shown: one round of four trainings said {points(first)} (over pictures alone), a second {points(again)}",
        f"  (over splits too) and three quarters with two seeds {points(seeds)}.",
        "- **A smaller network at full size may be the better choice** where pictures are read once, from small files, and one with pretrained weights",
        "  knows your classes: not measured, those of the study start at random and lose on solar cells. To read and answer a picture of 224 px took",
        f"  {picture + times['smaller_network_fine']:.1f} ms with a network of the finer student's MACs and {picture + times['smaller_network']:.1f} ms with one of"
        f" the plain one's; from ready thumbnails {thumbnail + times['bicubic_all_fine']:.1f} and {thumbnail + times['bicubic_all']:.1f} ms;",
        "  making them was not timed.",
    ]


def equal_bytes(results: Path) -> list[str]:
    """A learned thumbnail without loss beside larger and smaller bicubic ones with loss, the student's compute equal."""
    fine, larger = (
        json.loads((results / f"stored_thumbnails_{name}.json").read_text())["formats"] for name in ("fine", "ratio2")
    )
    table = (
        ("hidden detail, ratio 4", fine, "thumbnet_fine_detail-seed0"),
        ("bicubic, ratio 4", fine, "bicubic_all_fine-seed0"),
        ("bicubic, ratio 2", larger, "bicubic_all_ratio2-seed0"),
    )
    lines = [
        "",
        "| thumbnails on Imagenette, student of 106 M MACs | stored as | bytes | top-1 |",
        "| --- | --- | ---: | ---: |",
    ]
    for thumbnails, formats, run in table:
        found = ((kind, content["runs"][run]) for kind, content in formats.items() if kind != "png")
        lines += [f"| {thumbnails} | {kind} | {one['bytes']:,} | {100 * one['top1']:.1f}% |" for kind, one in found]
    return [*lines, ""]


def published_losses(studies: dict[str, Rows]) -> list[str]:
    """All that ThumbNet is beside what others did before it, and what of that its losses are worth on a fixed filter."""
    rows = studies["imagenette_fine_losses"]
    ours, every = rows["thumbnet_fine_detail"], rows["bicubic_all_fine"]
    labels, mapped = rows["bicubic_cl_kd_fine"], rows["bicubic_cl_kd_fm_fine"]
    again = studies["imagenette_fine_again"]["thumbnet_fine_detail"]
    folds, alone = (studies["elpv_folds"][name] for name in ("thumbnet_fine_detail", "bicubic_cl_kd_fine"))
    return [
        f"- **Ahead of bicubic thumbnails with the losses of others** at the finer student's compute, on Imagenette (six epochs, one training each): labels and distillation have {top(labels)}, with"
        f" feature mapping {top(mapped)},",
        f"  ThumbNet {top(ours)}: {points(ours['difference'])} points beside the better of them. {points(every['difference'])} of it are embedding matching, which works on bicubic"
        f" thumbnails as well ({top(every)}); the downscaler is the rest,",
        f"  {points(again['difference'])} there. Which rows to compare with was chosen once the first of them was known, and their weights were not tuned",
        f"  for them; learned resizers, norms and head alone and several sides were not run there. On all four quarters of elpv, in the first round, ThumbNet has {top(folds)}, labels and distillation {top(alone)} (one training each).",
    ]


def quarters(studies: dict[str, Rows]) -> list[str]:
    """What is ahead of what on solar cells at the finer student's compute, and how much of it chance may be."""
    first, again, seeds = (studies[name]["thumbnet_fine_detail"] for name in ROUNDS)
    before, teacher = (studies[name]["teacher"] for name in ("elpv_folds", "elpv_folds_again"))
    others = studies["elpv_fine_alternatives"]
    resizer, muller = others["learned_resizer_all_fine"], others["muller_all_fine"]
    tops = {name: top(row) for name, row in others.items()}
    return [
        "- **Chance in training is as large as what is looked for, on solar cells.** Each quarter held out in turn, behind a teacher of its own, the finer"
        " student with hidden detail",
        f"  was at {points(first['difference'])} points beside bicubic thumbnails (four trainings, an interval over pictures alone); with the same settings and teachers"
        " trained anew",
        f"  ({top(teacher)} where they had {top(before)}) at {points(again['difference'])} ({seeds_of(again)}; over splits as well), and with two seeds on three of them",
        f"  at {points(seeds['difference'])}. With Lite1 for Lite0, on the first quarter, {points(studies['elpv_lite1']['thumbnet_fine_detail']['difference'])}.",
        f"- **Learned resizers at that compute**, `loss.mm` 100, one training each on the first quarter of the second round: bicubic {tops['bicubic_all_fine']}, MULLER"
        f" {tops['muller_all_fine']}, ThumbNet {tops['thumbnet_fine_detail']}, the learned resizer {tops['learned_resizer_all_fine']}",
        f"  (its thumbnails at a ΔE of {resizer['delta_e']:.0f}, for {resizer['downscaler_macs'] / 1e6:.0f} M MACs; MULLER's hardly differ from"
        f" bicubic ones, ΔE {muller['delta_e']:.1f}): no order among the four shows.",
    ]
