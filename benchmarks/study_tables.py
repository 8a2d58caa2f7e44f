"""The tables of findings.md.jinja: which rows of which studies they hold. Numbers come from the studies' JSON."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from study_results import Rows, points, share, share_kept, top

Formats = dict[str, Any]
PLAIN, FINE = "thumbnet", "thumbnet_fine_detail"
SIX, TEN, TWELVE = "Imagenette, 6 epochs", "Imagenette, 10 epochs on four views", "Imagenette, 12 epochs"
CELLS, QUARTERS = "solar cells, one quarter", "solar cells, four quarters"

# What is scarce, ratio, student, its row on Imagenette, its row on solar cells, epochs on Imagenette.
CHOICES = (
    ("compute most of all", 4, "plain", ("imagenette_defaults", PLAIN), ("elpv_folds", PLAIN), "30, the defaults"),
    (
        "**compute and pixels**",
        4,
        "`keep_stem_resolution`",
        ("imagenette_defaults_fine", FINE),
        ("elpv_folds_two_seeds", FINE),
        "30, the defaults",
    ),
    ("compute and bytes", 2, "plain, `bicubic` thumbnails", ("imagenette_ratio2_bicubic", "bicubic_all_ratio2"), (), 6),
    ("pixels", 4, "`upsample`, `detail_decoder`", ("imagenette_whole_compute", "thumbnet_upsampled"), (), 3),
    ("accuracy", 2, "`keep_stem_resolution`", ("imagenette_ratio2", "thumbnet_ratio2_fine_detail"), (), 3),
)

# Student, data and training, study, our row: each is paired there with the best fixed filter of equal compute.
PAIRS = (
    ("finer", SIX, "imagenette_first_layer", FINE),
    ("finer", f"{SIX}, anew", "imagenette_bounds", FINE),
    ("finer", f"{SIX}, anew", "imagenette_fine_again", FINE),
    ("finer", TEN, "imagenette_detail_long", FINE),
    ("finer, `detail_decoder`", SIX, "imagenette_detail", "thumbnet_detail"),
    ("finer, `detail_decoder`", TEN, "imagenette_detail_long", "thumbnet_detail"),
    ("the teacher's compute", "Imagenette, 3 epochs", "imagenette_whole_compute", "thumbnet_upsampled"),
    ("plain", SIX, "imagenette", PLAIN),
    ("finer", CELLS, "elpv_detail", FINE),
    ("finer", QUARTERS, "elpv_folds", FINE),
    ("finer", f"{QUARTERS}, anew ²", "elpv_folds_again", FINE),
    ("finer", "solar cells, three quarters ²", "elpv_folds_two_seeds", FINE),
    ("finer", f"{CELLS}, Lite1", "elpv_lite1", FINE),
    ("plain", CELLS, "elpv", PLAIN),
    ("plain", QUARTERS, "elpv_folds", PLAIN),
)

# Setting, student, data and training, study and row with it, study and row without it.
TRIED = (
    ("`loss.em` 10 instead of 2", "plain", TWELVE, "imagenette_wider_views:thumbnet_heavier_em", "imagenette_wider_views:thumbnet"),
    ("", "plain", QUARTERS, "elpv_folds:thumbnet_heavier_em", "elpv_folds:thumbnet"),
    ("", "finer", TEN, "imagenette_embedding:thumbnet_fine_detail", "imagenette_detail_long:thumbnet_fine_detail"),
    ("embedding matching added to the rest", "finer, bicubic", SIX, "imagenette_fine_losses:bicubic_all_fine", "imagenette_fine_losses:bicubic_cl_kd_fm_fine"),
    ("", "plain, bicubic", SIX, "imagenette_alternatives:bicubic_all", "imagenette_alternatives:bicubic_cl_kd_fm"),
    ("feature mapping added to cl and kd", "finer, bicubic", SIX, "imagenette_fine_losses:bicubic_cl_kd_fm_fine", "imagenette_fine_losses:bicubic_cl_kd_fine"),
    ("", "plain, bicubic", SIX, "imagenette_alternatives:bicubic_cl_kd_fm", "imagenette_alternatives:bicubic_cl_kd"),
    ("distillation added to cl", "plain, bicubic", SIX, "imagenette_alternatives:bicubic_cl_kd", "imagenette_alternatives:bicubic_cl"),
    ("norms and head alone trained", "plain, bicubic", SIX, "imagenette_alternatives:fixres", "imagenette_alternatives:bicubic_cl"),
    ("`loss.fm` 0", "plain", SIX, "imagenette_alternatives:thumbnet_without_fm", "imagenette_alternatives:thumbnet"),
    ("", "plain", f"{CELLS}, three seeds", "elpv:thumbnet_without_fm", "elpv:thumbnet"),
    ("`loss.kd` 0", "plain", f"{CELLS}, three seeds", "elpv:thumbnet_without_kd", "elpv:thumbnet"),
    ("`mix.mixup` 1 on half of the batches", "plain", "Imagenette, the defaults", "imagenette_defaults_mixup:thumbnet", "imagenette_defaults:thumbnet"),
    ("`views.scale` from 0.25 instead of 0.5", "plain", TWELVE, "imagenette_wider_views:thumbnet_wider_views", "imagenette_wider_views:thumbnet"),
    ("`student.detail_steps` 4,000 instead of 1,000", "finer", SIX, "imagenette_longer_start:thumbnet_fine_longer_start", "imagenette_longer_start:thumbnet_fine_detail"),
    ("four epochs at ratio 2 first", "finer", TEN, "imagenette_progressive:thumbnet_fine_detail", "imagenette_detail_long:thumbnet_fine_detail"),
    ("`lr` 5e-4 instead of 1e-3", "finer, bicubic", SIX, "imagenette_detail:bicubic_all_fine", "imagenette:bicubic_all_fine"),
    ("", "plain", SIX, "imagenette_lr:thumbnet", "imagenette:thumbnet"),
)  # fmt: skip


def in_short(studies: dict[str, Rows], stored_top1: float) -> str:
    """One line for each thing that may be scarce; `stored_top1` is that of bicubic thumbnails of ratio 2 as WebP 80."""
    lines = []
    for scarce, ratio, student, (study, name), cells, epochs in CHOICES:
        row = studies[study][name]
        part = row["student_macs"] / studies["imagenette_whole_compute"]["teacher"]["student_macs"]
        classes = share_kept(row) + (" ¹" if "defaults" in study else "")
        if name == "bicubic_all_ratio2":
            lossy = stored_top1 / studies[study]["teacher"]["metric"]["mean"]
            classes += f"; {100 * lossy:.1f}% as WebP 80"
        solar = share_kept(studies[cells[0]][cells[1]]) if cells else ""
        lines.append((scarce, f"1/{ratio**2}", f"{ratio}, {student}", f"{100 * part:.0f}%", solar, classes, epochs))
    heads = ("what is scarce", "pixels", "ratio, student", "its MACs, of the teacher's", "solar cells", "Imagenette")
    return _table((*heads, "epochs on Imagenette"), lines, left=(0, 2, 6))


def kept(studies: dict[str, Rows], shown: Callable[[str, float], dict[str, Any]], crop_share: float) -> str:
    """The share that every kind of student keeps, by data set and training."""
    detail, longer = studies["imagenette_detail"], studies["imagenette_detail_long"]
    elpv, folds, again = studies["elpv_detail"], studies["elpv_folds"], studies["elpv_folds_again"]
    whole, larger = studies["imagenette_whole_compute"], studies["imagenette_ratio2_bicubic"]
    students: tuple[tuple[str, str, list[dict[str, Any]], list[tuple[str, dict[str, Any]]]], ...] = (
        (
            "ratio 2, `keep_stem_resolution`",
            "100%",
            [],
            [("3 epochs", studies["imagenette_ratio2"]["thumbnet_ratio2_fine_detail"])],
        ),
        ("ratio 2", "100%", [studies["elpv_ratio2"][PLAIN]], [("", detail["thumbnet_ratio2"])]),
        ("ratio 4, `upsample` on bicubic thumbnails", "", [], [("3 epochs", whole["upsampled"])]),
        ("ratio 4, `upsample`, `detail_decoder`", "", [], [("3 epochs", whole["thumbnet_upsampled"])]),
        ("ratio 2 on bicubic thumbnails", "", [], [("", larger["bicubic_all_ratio2"])]),
        (
            "ratio 4, `keep_stem_resolution` on bicubic thumbnails",
            "",
            [rows["bicubic_all_fine"] for rows in (elpv, folds, again)],
            [
                ("", detail["bicubic_all_fine"]),
                ("10 epochs", longer["bicubic_all_fine"]),
                ("16", studies["imagenette_fine_long"]["bicubic_all_fine"]),
            ],
        ),
        (
            "ratio 4, `keep_stem_resolution`: detail hidden by default",
            "97%",
            [rows[FINE] for rows in (elpv, folds, again)],
            [
                ("", studies["imagenette_first_layer"][FINE]),
                ("10 epochs", longer[FINE]),
                ("20, mixup", studies["imagenette_mixup"][FINE]),
                ("4 at ratio 2, then 10", studies["imagenette_progressive"][FINE]),
                ("the defaults, 30 epochs of fresh views", studies["imagenette_defaults_fine"][FINE]),
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
            [studies["elpv"][PLAIN], folds[PLAIN]],
            [
                ("", studies["imagenette"][PLAIN]),
                ("24 epochs", studies["imagenette_long"][PLAIN]),
                (f"24, `loss.em 10`, mixed views, at crop share {crop_share:g}", studies["imagenette_mixed_views"][PLAIN]),
                ("the defaults, 30 epochs of fresh views", studies["imagenette_defaults"][PLAIN]),
                ("those with mixup", studies["imagenette_defaults_mixup"][PLAIN]),
            ],
        ),
    )  # fmt: skip
    elsewhere = {
        "97%": f"4 at ratio 2, then 10, at crop share {crop_share:g}: {_kept_at(shown('crop_shares', crop_share))}",
        "93%": f"12, `loss.em 10`, there: {_kept_at(shown('crop_shares_plain', crop_share))}",
    }
    lines = []
    for student, aim, on_elpv, on_imagenette in students:
        row = on_imagenette[0][1]
        macs = f"{row['student_macs'] / 1e6:.0f} ({(row['student_macs'] + row['downscaler_macs']) / 1e6:.0f})"
        cells = [f"{said}: {share_kept(found)}" if said else share_kept(found) for said, found in on_imagenette]
        cells += [elsewhere[aim]] if aim in elsewhere else []
        rounds = zip(("", "four quarters: ", "again: "), on_elpv, strict=False)
        lines.append(
            (student, macs, aim, "; ".join(said + share_kept(found) for said, found in rounds), "; ".join(cells))
        )
    heads = ("student", "MMACs on Imagenette: S (with E) of 384", "aim", "elpv", "Imagenette")
    return _table(heads, lines)


def learned_or_fixed(studies: dict[str, Rows]) -> str:
    """Every paired comparison of a learned downscaler with a fixed filter."""
    lines = []
    for student, training, study, name in PAIRS:
        ours = studies[study][name]
        if not ours["against"].startswith("bicubic"):
            raise ValueError(f"{name} of {study} is paired with {ours['against']}, which is no fixed filter")
        fixed = studies[study][ours["against"]]
        lines.append((student, training, len(ours["seeds"]), top(ours), top(fixed), points(ours["difference"])))
    return _table(
        ("student, ratio 4", "data, training", "seeds", "learned", "bicubic", "difference"), lines, left=(0, 1)
    )


def bounds(studies: dict[str, Rows]) -> str:
    """What any downscaler, and what more compute, could win at ratio 4."""
    found, elpv, whole = studies["imagenette_bounds"], studies["elpv"], studies["imagenette_whole_compute"]
    plain = studies["imagenette_alternatives"]["bicubic_all"]
    rows: tuple[tuple[str, str, dict[str, Any], dict[str, Any] | None], ...] = (
        ("plain", "bicubic", plain, elpv["bicubic_all"]),
        ("plain", "every pixel", found["all_information"], elpv["all_information"]),
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
    return _table(("student", "what it sees", "MMACs on Imagenette", "Imagenette", "solar cells"), lines, left=(0, 1))


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
    return _table(heads, lines, left=(0, 1))


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
    heads = ("network", "reads", "MMACs on solar cells", "to read and answer, ms", "solar cells", "Imagenette")
    return _table(heads, lines, left=(0, 1))


def tried(studies: dict[str, Rows]) -> str:
    """Each setting beside the same training without it; a difference where one comparison paired the two."""
    lines = []
    for setting, student, training, has, lacks in TRIED:
        (study, name), (other_study, other_name) = has.split(":"), lacks.split(":")
        ours, other = studies[study][name], studies[other_study][other_name]
        paired = study == other_study and ours["against"] == other_name
        difference = points(ours["difference"]) if paired else ""
        lines.append((setting or "″", student, training, top(other), top(ours), difference))
    heads = ("setting", "student, ratio 4", "data, training", "without", "with", "difference")
    return _table(heads, lines, left=(0, 1, 2))


def _kept_at(shown: dict[str, Any]) -> str:
    return share(shown["retention"])


def _table(heads: Sequence[str], lines: Iterable[Sequence[object]], left: Sequence[int] = (0,)) -> str:
    """A Markdown table; columns are aligned right but for those of `left`."""
    rule = [("---" if column in left else "---:") for column in range(len(heads))]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in (heads, rule, *lines))
