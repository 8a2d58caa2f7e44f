"""The tables of findings.md.jinja: which rows of which studies they hold. Numbers come from the studies' JSON."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from study_results import Row, Rows, points, share, share_kept, top

Formats = dict[str, Any]
PLAIN, FINE = "thumbnet", "thumbnet_fine_detail"
ONE_QUARTER, FOUR_QUARTERS = "one quarter", "four quarters"
HEAVIER = "thumbnet_heavier_em"  # the plain student's default of today; `thumbnet` had 2 in all studies so far


class Choice(NamedTuple):
    """What is scarce, and the student for it; `imagenette` and `cells` are its study and row there."""

    scarce: str
    ratio: int
    student: str
    imagenette: tuple[str, str]
    cells: tuple[str, str] | None
    epochs: str
    imagenette_note: str = ""
    cells_note: str = ""


class Kind(NamedTuple):
    """A kind of student, with its rows by data set and training, and shares on Imagenette that no study has a row of."""

    student: str
    aim: str
    elpv: Sequence[tuple[str, Row]]
    imagenette: Sequence[tuple[str, Row]]
    elsewhere: Sequence[tuple[str, str]] = ()


CHOICES = (
    Choice("compute most of all", 4, "plain", ("imagenette_defaults_heavier_em", HEAVIER), ("elpv_folds", HEAVIER), "30, the defaults", " ¹"),
    Choice("**compute and pixels**", 4, "`keep_stem_resolution`", ("imagenette_defaults_fine", FINE), ("elpv_folds_two_seeds", FINE), "30, the defaults", " ¹", " ²"),
    Choice("compute and bytes", 2, "plain, `bicubic` thumbnails", ("imagenette_ratio2_bicubic", "bicubic_all_ratio2"), None, "6", "; {lossy} as WebP 80"),
    Choice("pixels", 4, "`upsample`, `detail_decoder`", ("imagenette_whole_compute", "thumbnet_upsampled"), None, "3"),
    Choice("accuracy", 2, "`keep_stem_resolution`", ("imagenette_ratio2", "thumbnet_ratio2_fine_detail"), None, "3"),
    Choice("accuracy and bytes", 2, "`keep_stem_resolution`, `bicubic` thumbnails", ("imagenette_ratio2_fine_bicubic", "bicubic_all_ratio2_fine"), None, "3"),
)  # fmt: skip


def in_short(studies: dict[str, Rows], stored_top1: float) -> str:
    """One line for each thing that may be scarce; `stored_top1` is that of bicubic thumbnails of ratio 2 as WebP 80."""
    teacher = studies["imagenette_ratio2_bicubic"]["teacher"]
    lossy = f"{100 * stored_top1 / teacher['metric']['mean']:.1f}%"
    lines = []
    for choice in CHOICES:
        row = studies[choice.imagenette[0]][choice.imagenette[1]]
        part = f"{100 * row['student_macs'] / teacher['student_macs']:.0f}%"
        solar = share_kept(studies[choice.cells[0]][choice.cells[1]]) + choice.cells_note if choice.cells else ""
        classes = share_kept(row) + choice.imagenette_note.format(lossy=lossy)
        student = f"{choice.ratio}, {choice.student}"
        lines.append((choice.scarce, f"1/{choice.ratio**2}", student, part, solar, classes, choice.epochs))
    heads = ("what is scarce", "pixels", "ratio, student", "its MACs, of the teacher's", "solar cells", "Imagenette")
    return table((*heads, "epochs on Imagenette"), lines, left=(0, 2, 6))


def kept(studies: dict[str, Rows], shown: Callable[[str, float], Row], crop_share: float) -> str:
    """The share that every kind of student keeps, a line for each training."""
    lines = []
    for kind in _kinds(studies, shown, crop_share):
        row = kind.imagenette[0][1]
        macs = f"{row['student_macs'] / 1e6:.0f} ({(row['student_macs'] + row['downscaler_macs']) / 1e6:.0f})"
        found = [("Imagenette", said, share_kept(one)) for said, one in kind.imagenette]
        found += [("Imagenette", said, share) for said, share in kind.elsewhere]
        found += [("solar cells", said, share_kept(one)) for said, one in kind.elpv]
        first, *more = (" | ".join(one) for one in found)
        lines.append((kind.student, macs, kind.aim, first))
        lines += [("″", "", "", one) for one in more]
    teacher = studies["imagenette_whole_compute"]["teacher"]["student_macs"]
    heads = ("student", f"MMACs on Imagenette: S (with E) of {teacher / 1e6:.0f}", "aim", "data", "training", "keeps")
    return table(heads, lines, left=(0, 3, 4))


def _kinds(studies: dict[str, Rows], shown: Callable[[str, float], Row], crop_share: float) -> Sequence[Kind]:
    def elpv(recipe: str) -> list[tuple[str, Row]]:
        rounds = (
            (f"{ONE_QUARTER}, two seeds", "elpv_detail"),
            (FOUR_QUARTERS, "elpv_folds"),
            ("four quarters, anew ²", "elpv_folds_again"),
        )
        return [
            (said, studies[study][recipe])
            for said, study in (*rounds, ("three of these, two seeds ²", "elpv_folds_two_seeds"))
        ]

    def classes(*trainings: tuple[str, str, str]) -> list[tuple[str, Row]]:
        return [(said, studies[f"imagenette{study}"][recipe]) for said, study, recipe in trainings]

    def at_crop_share(name: str) -> str:
        return share(shown(name, crop_share)["retention"])

    default, mixes = (
        "**the defaults: 30 epochs of fresh views** ¹",
        "30 epochs of fresh views, half of the batches mixed ¹",
    )
    return (
        Kind("ratio 2, `keep_stem_resolution`", "100%", [], classes(("3 epochs, four views", "_ratio2", "thumbnet_ratio2_fine_detail"))),
        Kind("ratio 2, `keep_stem_resolution` on bicubic thumbnails", "", [], classes(("3 epochs, two views", "_ratio2_fine_bicubic", "bicubic_all_ratio2_fine"))),
        Kind("ratio 2", "100%", [(ONE_QUARTER, studies["elpv_ratio2"][PLAIN])], classes(("6 epochs", "_detail", "thumbnet_ratio2"))),
        Kind(
            "ratio 2 on bicubic thumbnails",
            "",
            [(ONE_QUARTER, studies["elpv_ratio2"]["bicubic_all"])],
            classes(("6 epochs", "_ratio2_bicubic", "bicubic_all_ratio2")),
        ),
        Kind("ratio 4, `upsample` on bicubic thumbnails", "", [], classes(("3 epochs", "_whole_compute", "upsampled"))),
        Kind("ratio 4, `upsample`, `detail_decoder`", "", [], classes(("3 epochs", "_whole_compute", "thumbnet_upsampled"))),
        Kind(
            "ratio 4, `keep_stem_resolution` on bicubic thumbnails",
            "",
            elpv("bicubic_all_fine"),
            classes(
                ("6 epochs, two seeds", "_first_layer", "bicubic_all_fine"),
                ("10 epochs", "_detail_long", "bicubic_all_fine"),
                ("16 epochs", "_fine_long", "bicubic_all_fine"),
                ("the defaults but for that: 30 epochs of fresh views ¹", "_defaults_fine_bicubic", "bicubic_all_fine"),
            ),
        ),
        Kind(
            "ratio 4, `keep_stem_resolution`: detail hidden by default",
            "97%",
            elpv(FINE),
            classes(
                ("6 epochs, two seeds", "_first_layer", FINE),
                ("10 epochs", "_detail_long", FINE),
                ("20 epochs, mixup", "_mixup", FINE),
                ("4 epochs at ratio 2, then 10", "_progressive", FINE),
                (default, "_defaults_fine", FINE),
            ),
            [("4 epochs at ratio 2, then 10 ¹", at_crop_share("crop_shares"))],
        ),
        Kind(
            "ratio 4, `detail_decoder`",
            "",
            [(ONE_QUARTER, studies["elpv_detail"]["thumbnet_detail"])],
            classes(("6 epochs", "_detail", "thumbnet_detail"), ("10 epochs", "_detail_long", "thumbnet_detail")),
        ),
        Kind(
            "ratio 4, plain, `loss.em` 2",
            "93%",
            [(f"{ONE_QUARTER}, three seeds", studies["elpv"][PLAIN]), (FOUR_QUARTERS, studies["elpv_folds"][PLAIN]), ("two quarters, 30 epochs of fresh views ²", studies["elpv_fresh"][PLAIN])],
            classes(
                ("6 epochs", "", PLAIN),
                ("24 epochs", "_long", PLAIN),
                ("12 epochs ¹", "_wider_views", PLAIN),
                ("30 epochs of fresh views ¹", "_defaults", PLAIN),
                (mixes, "_defaults_mixup", PLAIN),
            ),
        ),
        Kind(
            "ratio 4, plain, `loss.em` 10, its default",
            "93%",
            [(FOUR_QUARTERS, studies["elpv_folds"][HEAVIER]), ("two quarters, 30 epochs of fresh views ²", studies["elpv_fresh"][HEAVIER])],
            classes(
                ("12 epochs ¹", "_wider_views", HEAVIER),
                ("24 epochs, mixed views ¹", "_mixed_views", PLAIN),
                (default, "_defaults_heavier_em", HEAVIER),
                (mixes, "_defaults_heavier_em_mixup", HEAVIER),
            ),
        ),
        Kind("ratio 4, plain, on bicubic thumbnails", "93%", [(f"{FOUR_QUARTERS}, `loss.em` 2", studies["elpv_folds"]["bicubic_all"])], classes(("the same, `loss.em` 10: 30 epochs of fresh views ¹", "_defaults_bicubic", "bicubic_all"))),
    )  # fmt: skip


def bounds(studies: dict[str, Rows]) -> str:
    """What any downscaler, and what more compute, could win at ratio 4."""
    found, elpv, whole = studies["imagenette_bounds"], studies["elpv"], studies["imagenette_whole_compute"]
    plain = studies["imagenette_alternatives"]["bicubic_all"]
    rows: tuple[tuple[str, str, Row, Row | None], ...] = (
        ("plain", "bicubic", plain, elpv["bicubic_all"]),
        ("plain", "every pixel ¹", found["all_information"], elpv["all_information"]),
        ("finer", "bicubic", found["bicubic_all_fine"], elpv["bicubic_all_fine"]),
        ("finer", "hidden detail", found[FINE], None),
        ("finer", "every pixel", found["all_information_fine"], elpv["all_information_fine"]),
        ("the teacher's compute", "bicubic, enlarged", whole["upsampled"], None),
        ("the teacher's compute", "hidden detail", whole["thumbnet_upsampled"], None),
        ("the teacher", "every pixel", whole["teacher"], elpv["teacher"]),
    )
    lines = [
        (student, sees, f"{row['student_macs'] / 1e6:.0f}", top(row), top(cells) if cells else "")
        for student, sees, row, cells in rows
    ]
    return table(("student", "what it sees", "MMACs on Imagenette", "Imagenette", "solar cells"), lines, left=(0, 1))


def equal_bytes(fine: Formats, larger: Formats) -> str:
    """A learned thumbnail without loss beside larger and smaller bicubic ones with loss, the student's compute equal."""
    rows = (
        ("hidden detail, ratio 4", fine, "thumbnet_fine_detail-seed0"),
        ("bicubic, ratio 4", fine, "bicubic_all_fine-seed0"),
        ("bicubic, ratio 2", larger, "bicubic_all_ratio2-seed0"),
    )
    lines = [
        (thumbnails, form, f"{content['runs'][run]['bytes']:,}", f"{100 * content['runs'][run]['top1']:.1f}%")
        for thumbnails, formats, run in rows
        for form, content in formats.items()
        if form != "png"
    ]
    heads = ("thumbnails on Imagenette, student of 106 MMACs", "stored as", "bytes", "top-1")
    return table(heads, lines, left=(0, 1))


def smaller_networks(studies: dict[str, Rows], milliseconds: dict[str, float]) -> str:
    """What a user would take instead at the same compute: accuracy, compute, and time from stored bytes to an answer."""
    elpv, plain, detail = (studies[name] for name in ("elpv", "imagenette_alternatives", "imagenette_detail"))
    rows: tuple[tuple[str, str, str, Rows], ...] = (
        ("plain student, bicubic", "bicubic_all", "png", plain),
        ("LCNet 0.35, from a random start", "smaller_network", "pictures", {}),
        ("teacher, pruned", "pruned", "pictures", {}),
        ("finer student, bicubic", "bicubic_all_fine", "png", detail),
        ("TinyNet-D, from a random start", "smaller_network_fine", "pictures", {}),
        ("teacher, pruned", "pruned_fine", "pictures", detail),
        ("teacher", "teacher", "pictures", detail),
    )
    lines = []
    for network, name, read, on_imagenette in rows:
        took = f"{milliseconds[name] + milliseconds[f'read {read}']:.1f}"
        found = top(on_imagenette[name]) if on_imagenette else ""
        reads = "pictures" if read == "pictures" else "thumbnails"
        lines.append((network, reads, f"{elpv[name]['student_macs'] / 1e6:.0f}", took, top(elpv[name]), found))
    heads = ("network", "reads", "MMACs on solar cells (192 px)", "to read and answer, ms", "solar cells", "Imagenette")
    return table(heads, lines, left=(0, 1))


def drawings(rows: Rows, ahead: dict[str, Row]) -> str:
    """What students keep of a teacher of drawings, by the defaults, and how far learned thumbnails are ahead.

    Args:
        rows: Of the study.
        ahead: By row of ours and other row, the paired difference.
    """
    trained = (
        ("plain", PLAIN, (("bicubic, the same losses", "bicubic_all"), ("bicubic, labels and distillation (c)", "bicubic_cl_kd"))),
        ("finer", FINE, (("bicubic, the same losses", "bicubic_all_fine"), ("bicubic, labels, distillation and feature mapping (d)", "bicubic_cl_kd_fm_fine"))),
    )  # fmt: skip
    lines = []
    for student, ours, others in trained:
        for thumbnails, name in (("**learned**", ours), *others):
            row = rows[name]
            behind = points(ahead[ours][name]) if name != ours else ""
            compute = f"{row['student_macs'] / 1e6:.0f}"
            lines.append((student, thumbnails, compute, len(row["seeds"]), top(row), share_kept(row), behind))
    heads = ("student", "thumbnails, losses", "MMACs", "seeds", "top-1", "keeps", "learned ahead by")
    return table(heads, lines, left=(0, 1))


def table(heads: Sequence[str], lines: Iterable[Sequence[object]], left: Sequence[int] = (0,)) -> str:
    """A Markdown table; columns are aligned right but for those of `left`."""
    rule = [("---" if column in left else "---:") for column in range(len(heads))]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in (heads, rule, *lines))
