"""What the studies say together: the first section of docs/results.md, its numbers from their JSON."""

import json
from pathlib import Path
from typing import Any

import study_advice
import study_choices
from study_advice import TEACHERS_CROP_SHARE
from study_results import Rows, kept, points, seeds_of, share, share_kept, top

ROUNDS = ("", "four splits: ", "again: ")  # of studies on elpv, in the order of the table's columns


def known_so_far(results: Path) -> str:
    """In words, with the numbers of the studies: when to use ThumbNet, and what is not known."""
    studies = {file.stem.removeprefix("study_"): _rows(file) for file in results.glob("study_*.json")}
    parts = (
        study_advice.in_short(studies, results),
        _shares(studies, results),
        ["### Ratio, compute and bytes\n"],
        _where_it_is_worth_it(studies, results),
        study_choices.other_networks(studies, results),
        ["\n### What the learned downscaler is worth\n"],
        _what_could_be_won(studies),
        _the_downscaler(studies, results),
        study_advice.quarters(studies),
        ["\n### Pictures, schedules, losses\n"],
        _shown(results),
        study_choices.plain_students(studies),
        study_choices.finer_students(studies),
        study_choices.training(studies),
        study_choices.losses(studies),
        ["\n### What is not known\n"],
        study_choices.unknown(studies),
    )
    return "\n".join(line for part in parts for line in part)


def _rows(study: Path) -> Rows:
    return {row["name"]: row for row in json.loads(study.read_text())["rows"]}


def _shares(studies: dict[str, Rows], results: Path) -> list[str]:
    detail, longer = studies["imagenette_detail"], studies["imagenette_detail_long"]
    pair, elpv, plain = studies["imagenette_first_layer"], studies["elpv_detail"], studies["imagenette"]
    folds, again = studies["elpv_folds"], studies["elpv_folds_again"]
    whole = studies["imagenette_whole_compute"]
    # Student, row for its MACs, aim, its rows on elpv, its rows on Imagenette with their training.
    table = (
        (
            "ratio 2, `keep_stem_resolution`",
            "100%",
            [],
            [("3 epochs", studies["imagenette_ratio2"]["thumbnet_ratio2_fine_detail"])],
        ),
        ("ratio 2", "100%", [studies["elpv_ratio2"]["thumbnet"]], [("", detail["thumbnet_ratio2"])]),
        ("ratio 4, `upsample` on bicubic thumbnails", "", [], [("3 epochs", whole["upsampled"])]),
        ("ratio 4, `upsample`, `detail_decoder`", "", [], [("3 epochs", whole["thumbnet_upsampled"])]),
        ("ratio 2 on bicubic thumbnails", "", [], [("", studies["imagenette_ratio2_bicubic"]["bicubic_all_ratio2"])]),
        (
            "ratio 4, `keep_stem_resolution` on bicubic thumbnails",
            "",
            [elpv["bicubic_all_fine"], folds["bicubic_all_fine"], again["bicubic_all_fine"]],
            [
                ("", detail["bicubic_all_fine"]),
                ("10 epochs", longer["bicubic_all_fine"]),
                ("16", studies["imagenette_fine_long"]["bicubic_all_fine"]),
            ],
        ),
        (
            "ratio 4, `keep_stem_resolution`: detail hidden by default",
            "97%",
            [elpv["thumbnet_fine_detail"], folds["thumbnet_fine_detail"], again["thumbnet_fine_detail"]],
            [
                ("", pair["thumbnet_fine_detail"]),
                ("10 epochs", longer["thumbnet_fine_detail"]),
                ("20, mixup", studies["imagenette_mixup"]["thumbnet_fine_detail"]),
                ("4 at ratio 2, then 10", studies["imagenette_progressive"]["thumbnet_fine_detail"]),
                ("the defaults, 30 epochs of fresh views", studies["imagenette_defaults_fine"]["thumbnet_fine_detail"]),
            ],
        ),
        (
            "ratio 4, `detail_decoder`",
            "",
            [elpv["thumbnet_detail"]],
            [("", detail["thumbnet_detail"]), ("10 epochs", longer["thumbnet_detail"])],
        ),
        (
            "ratio 4, plain",
            "93%",
            [studies["elpv"]["thumbnet"], folds["thumbnet"]],
            [
                ("", plain["thumbnet"]),
                ("24 epochs", studies["imagenette_long"]["thumbnet"]),
                (
                    f"the same with `loss.em 10` and mixed views, at crop share {TEACHERS_CROP_SHARE:g}, the default",
                    studies["imagenette_mixed_views"]["thumbnet"],
                ),
                ("the defaults, 30 epochs of fresh views", studies["imagenette_defaults"]["thumbnet"]),
                ("those with mixup", studies["imagenette_defaults_mixup"]["thumbnet"]),
            ],
        ),
    )
    lines = [
        "## What is known so far\n",
        "The study of all recipes is not complete: the tables below hold the recipes and seeds that ran, after a few epochs on a",
        "processor. Share of the teacher's accuracy that the student keeps, with 95% intervals over pictures and seeds, and what it",
        "aims at. Eight epochs on elpv, six on Imagenette where nothing else is said; the learning rates are the defaults of today",
        "but for elpv's first number (1e-3 throughout). `Four splits`: every quarter held out in turn; `again`: teachers and students of those",
        "trained anew, and intervals over splits as well. On elpv ratio 2 and plain stand beside another teacher (86.9%) than the rest (86.6%):",
        "compare those with their own rows below, not with each other.\n",
        "| student | MMACs on Imagenette: S (with E) of 384 | aim | elpv | Imagenette |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    shown = _at_share(results, "crop_shares", "thumbnet_fine_detail-seed0", TEACHERS_CROP_SHARE)
    plain_shown = _at_share(results, "crop_shares_plain", "thumbnet-seed0", TEACHERS_CROP_SHARE)
    for student, aim, on_elpv, on_imagenette in table:
        row = on_imagenette[0][1]
        macs = f"{row['student_macs'] / 1e6:.0f} ({(row['student_macs'] + row['downscaler_macs']) / 1e6:.0f})"
        cells = "; ".join(
            f"{said}: {share_kept(found)}" if said else share_kept(found) for said, found in on_imagenette
        )
        if aim == "97%":
            cells += f"; 4 at ratio 2, then 10, at crop share {shown['crop_share']:g}: {share(shown['retention'])}"
        if student.endswith("plain"):
            cells += f"; 12, `loss.em 10`, at crop share {TEACHERS_CROP_SHARE:g}: {share(plain_shown['retention'])}"
        cells_elpv = "; ".join(said + share_kept(found) for said, found in zip(ROUNDS, on_elpv, strict=False))
        lines.append(f"| {student} | {macs} | {aim} | {cells_elpv} | {cells} |")
    return [*lines, ""]


def _where_it_is_worth_it(studies: dict[str, Rows], results: Path) -> list[str]:
    stored = json.loads((results / "formats_elpv.json").read_text())["formats"]
    webp, png = stored["webp:80"]["thumbnail"], stored["png"]
    pictures = json.loads((results / "stored_thumbnails.json").read_text())["formats"]
    cells = json.loads((results / "stored_thumbnails_elpv.json").read_text())["formats"]
    ratio2, filtered = (studies["imagenette_detail"][name] for name in ("thumbnet_ratio2", "bicubic_all_fine"))
    larger = studies["imagenette_ratio2_bicubic"]["bicubic_all_ratio2"]
    whole, equal = studies["imagenette_ratio2"], studies["imagenette_equal_compute"]["thumbnet_fine_detail"]
    ours = whole["thumbnet_ratio2_fine_detail"]
    return [
        "- **ThumbNet is worth it** where pictures are kept, sent or classified many times as thumbnails. On solar cells, which are smooth,",
        f"  WebP of quality 80 takes {webp['bytes']} bytes and cost the plain student nothing ({100 * webp['top1']:.1f}%, lossless"
        f" {100 * png['thumbnail']['top1']:.1f}%; one training, one quarter), the finer ones {_lost(cells, 'bicubic')} points (bicubic) and {_lost(cells, 'thumbnet')}"
        f" (hidden detail) on four quarters; at the {png['thumbnail']['bytes']:,} bytes of a PNG the teacher",
        f"  on shrunk JPEGs is ahead ({100 * png['shrunk']['top1']:.1f}%), at 13 times the compute. On Imagenette WebP 80 costs"
        f" {_lost(pictures, 'bicubic_all_detail')} points with bicubic thumbnails",
        f"  and {_lost(pictures, 'thumbnet_detail')} where detail is hidden.",
        "- **Ratio 2 comes nearest to the teacher** where the student keeps its whole compute (`--ratio 2",
        f"  --student.keep_stem_resolution`): a drop of {points(ours['drop'])} points on Imagenette (one seed, three epochs; the untrained copy"
        f" on bicubic",
        f"  thumbnails keeps {kept(whole['untrained_bicubic'])}, a trained one was not run). It has a quarter of the pixels to send as they are and to keep in"
        " memory, but",
        f"  as PNG it takes {ours['picture_bytes']:,.0f} bytes where the pictures are JPEGs of {whole['teacher']['picture_bytes']:,.0f}:"
        " it saves neither compute nor space beside those.",
        f"  Its thumbnails show fine stripes where detail is hidden (ΔE {ours['delta_e']:.1f} from bicubic ones). Lossy formats were not measured.",
        f"- **At a quarter of the teacher's MACs**, ratio 2 came out ahead of bicubic thumbnails at ratio 4, by {points(ratio2['difference'])}"
        " points on Imagenette",
        f"  (one seed; on elpv {top(studies['elpv_ratio2']['thumbnet'])} and {top(studies['elpv']['bicubic_all_fine'])}, not compared in pairs), for thumbnails of four times the pixels"
        f" ({ratio2['picture_bytes']:,.0f} bytes as PNG, {filtered['picture_bytes']:,.0f} at ratio 4).",
        f"  That is the ratio's gain, not the downscaler's: with bicubic thumbnails of ratio 2 it is {top(larger)}, with learned ones {top(ratio2)} (one seed each, not",
        f"  compared in pairs). Hidden detail at ratio 4, for the same compute of the student, has {top(equal)}: {points(equal['difference'])} points beside bicubic thumbnails of ratio 2",
        f"  ({seeds_of(equal)}, the same pictures). How much a downscaler could win back at ratio 4 is said by the bounds below.",
        *study_advice.equal_bytes(results),
    ]


def _what_could_be_won(studies: dict[str, Rows]) -> list[str]:
    bounds, elpv = studies["imagenette_bounds"], studies["elpv"]
    fine, plain = bounds["all_information_fine"], bounds["all_information"]
    bicubic, ours = bounds["bicubic_all_fine"], bounds["thumbnet_fine_detail"]
    pair = studies["imagenette_whole_compute"]
    whole = pair["upsampled"]
    macs = [f"{row['student_macs'] / 1e6:.0f}" for row in (fine, bicubic, whole)]
    return [
        "- **What there is to win at ratio 4**, on Imagenette (six epochs, two views, one training each). A finer student that is handed every pixel"
        f" of the picture has {top(fine)}, for {macs[0]} M MACs,",
        f"  on bicubic thumbnails {top(bicubic)}, for {macs[1]} M. Those {points(fine['difference'])} points are what any downscaler could give it, as far as"
        f" training reached; hidden detail has {top(ours)} there,",
        f"  {points(ours['difference'])} points. **So the aim of one point ahead is nearly all that there is, and ThumbNet has a part of it**, how much the intervals leave open. The plain student has"
        f" {top(plain)} with every pixel;",
        f"  from thumbnails it had {top(studies['imagenette_lr']['thumbnet'])} with those settings (another day), which suggests that its compute bounds it rather than what it is shown. The teacher's whole compute on the bicubic",
        f"  thumbnail, enlarged (`upsampled`, {macs[2]} M), has {top(whole)} (keeps {share_kept(whole)}) after three epochs at 2.5e-4, not compared in pairs: compute may be worth more there than every pixel.",
        f"  On elpv every pixel gives the finer student {top(elpv['all_information_fine'])} and the plain one {top(elpv['all_information'])}, bicubic thumbnails"
        f" {top(elpv['bicubic_all_fine'])} and {top(elpv['bicubic_all'])}: differences too small for 656 pictures.",
        *_whole_compute(pair),
    ]


def _whole_compute(pair: Rows) -> list[str]:
    """What hidden detail is worth where the student has as much compute as the teacher."""
    filtered, decoder, hidden = (
        pair[name] for name in ("upsampled", "bicubic_all_upsampled_detail", "thumbnet_upsampled")
    )
    return [
        f"- **Where the student has the teacher's whole compute**, {points(filtered['drop'])} points separate it, on enlarged bicubic thumbnails, from the teacher (three epochs, one training each,",
        f"  intervals over pictures alone). With a decoder before it (`bicubic_all_upsampled_detail`) it has {top(decoder)} instead of {top(filtered)}; where detail is hidden for that decoder"
        f" (`thumbnet_upsampled`) {top(hidden)}: {points(hidden['difference'])}",
        f"  beside the better of the two, for {hidden['picture_bytes']:,.0f} bytes as PNG instead of {filtered['picture_bytes']:,.0f} and a ΔE of {hidden['delta_e']:.1f} from bicubic thumbnails"
        f" (2.3 is just noticeable; SSIM {hidden['ssim']:.2f}).",
        "  Ratio 2 on bicubic thumbnails was not trained at this compute.",
    ]


def _the_downscaler(studies: dict[str, Rows], results: Path) -> list[str]:
    detail, longer = studies["imagenette_detail"], studies["imagenette_detail_long"]
    anew, once_more = (studies[f"imagenette_{name}"]["thumbnet_fine_detail"] for name in ("bounds", "fine_again"))
    ours, fine = detail["thumbnet_detail"], studies["imagenette_first_layer"]["thumbnet_fine_detail"]
    elpv = [studies["elpv_detail"][name] for name in ("thumbnet_fine_detail", "thumbnet_detail")]
    sharper = json.loads((results / "transfer.json").read_text())
    found = sharper["retrieval"]["paired_differences"]["learned - bicubic"]["average_precision"]
    trained = sharper["students"]["paired_differences"]["learned - bicubic"]
    webp = json.loads((results / "stored_thumbnails_fine.json").read_text())["formats"]["webp"]["runs"].values()
    sizes = [f"{run['bytes']:,}" for run in webp]
    return [
        *study_advice.published_losses(studies),
        "- **The downscaler is worth something where the student can read it.** On Imagenette, ahead of the best student on a fixed filter"
        " (bicubic, all losses)",
        "  that was trained at this compute:"
        f" {points(fine['difference'])} points for the same student behind a downscaler that begins by hiding detail, as it does there by default ({seeds_of(fine)}; the first",
        f"  alone {points(detail['thumbnet_fine_detail']['difference'])}; trained anew {points(anew['difference'])} and {points(once_more['difference'])}, {seeds_of(anew)} each; after ten epochs on four views"
        f" {points(longer['thumbnet_fine_detail']['difference'])}, {seeds_of(longer['thumbnet_fine_detail'])}),"
        f" {points(ours['difference'])} with `--student.detail_decoder` ({seeds_of(ours)}).",
        f"  On elpv the two are at {points(elpv[0]['difference'])} and {points(elpv[1]['difference'])}: no difference that its 656 pictures could show.",
        f"- **What that costs**: as PNG {fine['picture_bytes']:,.0f} and {ours['picture_bytes']:,.0f} bytes, bicubic thumbnails"
        f" {detail['bicubic_all_fine']['picture_bytes']:,.0f}; as lossless WebP {sizes[0]} and {sizes[1]} (first layer,",
        f"  bicubic). ΔE {fine['delta_e']:.1f} and {ours['delta_e']:.1f} from bicubic thumbnails, where 2.3 is just noticeable:"
        " [what they look like](decisions/0016-detail-for-the-first-layer.md).",
        "  At equal bytes a larger bicubic thumbnail stored with loss stands beside them in the table above.",
        f"- **Keep such thumbnails without loss** (PNG, lossless WebP): stored as JPEG of quality 90 the differences are"
        f" {_compressed(results, 'stored_thumbnails_fine')}",
        f"  and {_compressed(results, 'stored_thumbnails')} points, for compression takes the hidden detail away. On solar",
        f"  cells, which are smooth, it is {_compressed(results, 'stored_thumbnails_elpv')} (four quarters, over splits as well). Training on"
        " compressed ones was not tried with it.",
        "- **For a plain student a bicubic thumbnail is as good** (`--downscaler.kind bicubic`): no other comparison below shows a gain of the learned",
        "  downscaler in accuracy, and a filter costs less and makes smaller files. On other data and another network",
        f"  than it was trained with, frozen, it changed the student by {points(trained)} points and retrieval by {points(found)} points",
        "  of average precision (one seed).",
    ]


def _at_share(results: Path, name: str, run: str, share: float) -> dict[str, Any]:
    rows = json.loads((results / f"{name}.json").read_text())["runs"][run]["rows"]
    found: dict[str, Any] = next(row for row in rows if row["crop_share"] == share)
    return found


def _shown(results: Path) -> list[str]:
    fine, plain = (
        [_at_share(results, name, run, share) for share in (1.0, TEACHERS_CROP_SHARE)]
        for name, run in (("crop_shares", "thumbnet_fine_detail-seed0"), ("crop_shares_plain", "thumbnet-seed0"))
    )
    return [
        "- **How much of the picture is shown.** The tables on Imagenette show the whole picture, but for those of the default crop share. The teacher's own crop share, which is the default,"
        f" is {TEACHERS_CROP_SHARE:g}:",
        f"  there the finer student with the detail start (4 epochs at ratio 2, then 10) has {_top_at(fine)}, it keeps {share(fine[1]['retention'])} instead of",
        f"  {share(fine[0]['retention'])}; a plain student (12 epochs, `loss.em 10`) {_top_at(plain)}, it keeps {share(plain[1]['retention'])} instead of {share(plain[0]['retention'])}.",
        f"  The teacher has {100 * fine[1]['teacher_top1']:.1f}% instead of {100 * fine[0]['teacher_top1']:.1f}%. One seed each, the same networks at both;"
        " the difference itself has no interval.",
        "  The thumbnail then shows three quarters of the picture, and on pictures of 224 px it is made from an enlarged crop.",
    ]


def _top_at(rows: list[dict[str, Any]]) -> str:
    whole, own = (f"{100 * row['student_top1']:.1f}%" for row in rows)
    return f"{own} instead of {whole}"


def _lost(formats: dict[str, Any], name: str) -> str:
    """Points that WebP of quality 80 costs a student."""
    tops = [
        next(run for key, run in formats[form]["runs"].items() if key.startswith(name)) for form in ("png", "webp:80")
    ]
    return f"{100 * (tops[0]['top1'] - tops[1]['top1']):.1f}"


def _compressed(results: Path, name: str) -> str:
    """How far ours is ahead on thumbnails stored as JPEG of quality 90."""
    formats = json.loads((results / f"{name}.json").read_text())["formats"]
    return points(next(iter(formats["jpeg:90"]["paired_differences"].values())))
