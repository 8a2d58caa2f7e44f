"""The tables of findings.md.jinja that hold one thing beside another: learned and bicubic thumbnails, settings tried."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np

import picture_answers
from study_results import Row, Rows, points, top
from study_tables import FINE, HEAVIER, PLAIN, table
from thumbnet.comparison.statistics import paired_difference

SIX, TEN = "Imagenette, 6 epochs", "Imagenette, 10 epochs on four views"
TWELVE = "Imagenette, 12 epochs on four views ³"
SHORT = "Imagenette, 6 epochs on two views ³"
DEFAULTS = "Imagenette, 30 epochs of fresh views ³"
FRESH_CELLS = "solar cells, two quarters, 30 epochs of fresh views ³"
FRESH_QUARTER = "solar cells, one of these ³"
CELLS, QUARTERS = "solar cells, one quarter", "solar cells, four quarters ³"


class Pair(NamedTuple):
    """A learned downscaler and the bicubic one that its study pairs it with."""

    student: str
    training: str
    study: str
    learned: str
    bicubic: str = "bicubic_all_fine"


class Trial(NamedTuple):
    """A setting, with the study and row that has it and those that have all but it; no setting is that of the line above."""

    setting: str
    student: str
    training: str
    study: str
    row: str
    other: str
    other_study: str = ""


PAIRS = (
    Pair("finer, hidden detail", SIX, "imagenette_first_layer", FINE),
    Pair("″", f"{SIX}, anew", "imagenette_bounds", FINE),
    Pair("″", f"{SIX}, anew", "imagenette_fine_again", FINE),
    Pair("″", TEN, "imagenette_detail_long", FINE),
    Pair("finer, `detail_decoder` ¹", SIX, "imagenette_detail", "thumbnet_detail"),
    Pair("″", TEN, "imagenette_detail_long", "thumbnet_detail"),
    Pair("the teacher's compute, `detail_decoder`", "Imagenette, 3 epochs", "imagenette_whole_compute", "thumbnet_upsampled", "bicubic_all_upsampled_detail"),
    Pair("finer, `downscaler.start natural`", SIX, "imagenette", "thumbnet_fine"),
    Pair("″", "Imagenette, 16 epochs on four views", "imagenette_fine_long", "thumbnet_fine"),
    Pair("plain", SIX, "imagenette", PLAIN, "bicubic_all"),
    Pair("finer, hidden detail", QUARTERS, "elpv_folds", FINE),
    Pair("″", f"{QUARTERS}, anew ²", "elpv_folds_again", FINE),
    Pair("″", "solar cells, three of those quarters ² ³", "elpv_folds_two_seeds", FINE),
    Pair("″", f"{CELLS}", "elpv_detail", FINE),
    Pair("″", f"{CELLS}, Lite1 ³", "elpv_lite1", FINE),
    Pair("″", "solar cells, one quarter, beside learned resizers ³", "elpv_fine_alternatives", FINE),
    Pair("″", f"{CELLS}, anew ³", "elpv_seeds", FINE),
    Pair("finer, `detail_decoder`", CELLS, "elpv_detail", "thumbnet_detail", "bicubic_all_detail"),
    Pair("finer, `downscaler.start natural`", CELLS, "elpv", "thumbnet_fine"),
    Pair("plain", CELLS, "elpv", PLAIN, "bicubic_all"),
    Pair("″", QUARTERS, "elpv_folds", PLAIN, "bicubic_all"),
    Pair("plain, `loss.em` 10, bicubic with 2", QUARTERS, "elpv_folds", HEAVIER, "bicubic_all"),
    Pair("plain, `loss.em` 10", f"{CELLS}, anew ³", "elpv_seeds", PLAIN, "bicubic_all"),
    Pair("plain, ratio 2", CELLS, "elpv_ratio2", PLAIN, "bicubic_all"),
    Pair("plain, the paper's downscaler ⁴", CELLS, "elpv", "thumbnet_paper", "bicubic_all"),
)  # fmt: skip

TRIED = (
    Trial("`loss.em` 10 instead of 2", "plain", TWELVE, "imagenette_wider_views", HEAVIER, PLAIN),
    Trial("", "plain", DEFAULTS, "imagenette_defaults_heavier_em", HEAVIER, PLAIN, "imagenette_defaults"),
    Trial("", "plain", QUARTERS, "elpv_folds", HEAVIER, PLAIN),
    Trial("", "plain", FRESH_CELLS, "elpv_fresh", HEAVIER, PLAIN),
    Trial("", "finer", TEN, "imagenette_embedding", FINE, FINE, "imagenette_detail_long"),
    Trial("embedding matching added to the rest", "finer, bicubic", SIX, "imagenette_fine_losses", "bicubic_all_fine", "bicubic_cl_kd_fm_fine"),
    Trial("", "plain, bicubic", SIX, "imagenette_alternatives", "bicubic_all", "bicubic_cl_kd_fm"),
    Trial("feature mapping added to cl and kd", "finer, bicubic", SIX, "imagenette_fine_losses", "bicubic_cl_kd_fm_fine", "bicubic_cl_kd_fine"),
    Trial("", "plain, bicubic", SIX, "imagenette_alternatives", "bicubic_cl_kd_fm", "bicubic_cl_kd"),
    Trial("distillation added to cl", "plain, bicubic", SIX, "imagenette_alternatives", "bicubic_cl_kd", "bicubic_cl"),
    Trial("norms and head alone trained", "plain, bicubic", SIX, "imagenette_alternatives", "fixres", "bicubic_cl"),
    Trial("`loss.fm` 0", "plain", SIX, "imagenette_alternatives", "thumbnet_without_fm", PLAIN),
    Trial("", "plain", f"{CELLS}, three seeds", "elpv", "thumbnet_without_fm", PLAIN),
    Trial("`loss.kd` 0", "plain", f"{CELLS}, three seeds", "elpv", "thumbnet_without_kd", PLAIN),
    Trial("", "plain", SHORT, "imagenette_settings", "thumbnet_without_kd", PLAIN, "imagenette_settings"),
    Trial("", "plain", TWELVE, "imagenette_without_kd", "thumbnet_without_kd", PLAIN, "imagenette_without_kd"),
    Trial("", "finer", SIX, "imagenette_fine_without_kd", "thumbnet_fine_without_kd", FINE, "imagenette_fine_others"),
    Trial("`mix.mixup` 1 on half of the batches", "plain", DEFAULTS, "imagenette_defaults_mixup", PLAIN, PLAIN, "imagenette_defaults"),
    Trial("", "plain, `loss.em` 10", DEFAULTS, "imagenette_defaults_heavier_em_mixup", HEAVIER, HEAVIER, "imagenette_defaults_heavier_em"),
    Trial("", "plain, `loss.em` 10", FRESH_QUARTER, "elpv_fresh_mixup", "thumbnet_heavier_em_mixed", HEAVIER),
    Trial("`views.scale` from 0.25 instead of 0.5", "plain", TWELVE, "imagenette_wider_views", "thumbnet_wider_views", PLAIN),
    Trial("`loss.temperature` 1 instead of 2", "plain", SHORT, "imagenette_settings", "thumbnet_temperature_1", PLAIN, "imagenette_settings"),
    Trial("`loss.temperature` 4 instead of 2", "plain", SHORT, "imagenette_settings", "thumbnet_temperature_4", PLAIN, "imagenette_settings"),
    Trial("features mapped at the ends of three stages", "plain", SHORT, "imagenette_settings", "thumbnet_several_taps", PLAIN, "imagenette_settings"),
    Trial("`student.drop_path` 0.1", "plain", SHORT, "imagenette_settings", "thumbnet_drop_path", PLAIN, "imagenette_settings"),
    Trial("`optimizer.weight_decay` 0.3 instead of 0.05", "plain", SHORT, "imagenette_settings", "thumbnet_weight_decay", PLAIN, "imagenette_settings"),
    Trial("`optimizer.ema_decay` 0 instead of 0.99", "plain", SHORT, "imagenette_settings", "thumbnet_without_average", PLAIN, "imagenette_settings"),
    Trial("`loss.pm` 80 instead of 20", "finer", SIX, "imagenette_fine_more_natural", "thumbnet_fine_more_natural", FINE, "imagenette_fine_others"),
    Trial("`student.detail_steps` 4,000 instead of 1,000", "finer", SIX, "imagenette_longer_start", "thumbnet_fine_longer_start", FINE),
    Trial("four epochs at ratio 2 before", "finer", TEN, "imagenette_progressive", FINE, FINE, "imagenette_detail_long"),
    Trial("`lr` 5e-4 instead of 1e-3", "finer, bicubic", SIX, "imagenette_detail", "bicubic_all_fine", "bicubic_all_fine", "imagenette"),
    Trial("", "plain", SIX, "imagenette_lr", PLAIN, PLAIN, "imagenette"),
)  # fmt: skip

# That of imagenette_fine_seed1 is seed 1 of imagenette_first_layer once more, to the last bit.
REPEATED = ("imagenette_first_layer", "imagenette_bounds", "imagenette_fine_again")
BESIDE_D = ("imagenette_fine_losses", "imagenette_fine_others", "imagenette_fine_seed1")
BESIDE_D_WITH_ANSWERS = BESIDE_D[1:]
# 97.5% of Student's t for so many trainings, which have a degree of freedom less.
T = {3: 4.303, 4: 3.182, 5: 2.776}


class Other(NamedTuple):
    """What others do instead, and the study that has its row."""

    letter: str
    thumbnails: str
    row: str
    study: str = "imagenette_fine_others"


OTHERS = (
    Other("a", "bicubic, student not trained", "untrained_bicubic"),
    Other("b", "bicubic, labels", "bicubic_cl_fine"),
    Other("c", "bicubic, labels, distillation", "bicubic_cl_kd_fine", "imagenette_fine_losses"),
    Other("d", "bicubic, labels, distillation, feature mapping", "bicubic_cl_kd_fm_fine"),
    Other("e", "bicubic, norms and head alone trained, labels", "fixres_fine"),
    Other("f", "learned resizer, labels, distillation", "learned_resizer_fine"),
    Other("", "learned resizer, all losses of ours but `mm`", "learned_resizer_all_fine"),
    Other("g", "MULLER, labels, distillation ²", "muller_fine"),
    Other("", "MULLER, all losses of ours but `mm`", "muller_all_fine", "imagenette_muller"),
    Other("h", "bicubic of ratios 2 and 4, labels, distillation", "multi_resolution_fine", "imagenette_several_sides"),
    Other("", "**ThumbNet**", FINE),
)


def learned_or_bicubic(studies: dict[str, Rows], answers: Mapping[str, Any]) -> str:
    """Every comparison that has a learned downscaler and a bicubic one.

    Raises:
        ValueError: If a study neither pairs the two nor keeps which pictures they answered rightly.
    """
    lines = []
    for pair in PAIRS:
        ours, other = (studies[pair.study][name] for name in (pair.learned, pair.bicubic))
        if ours["against"] == pair.bicubic:
            difference = ours["difference"]
        elif pair.study in answers:
            difference = by_answers(answers, (pair.study, pair.learned), (pair.study, pair.bicubic))
        else:
            raise ValueError(f"{pair.learned} of {pair.study} is paired with {ours['against']}, not {pair.bicubic}")
        seeds = len(ours["seeds"])
        lines.append((pair.student, pair.training, seeds, top(ours), top(other), points(difference)))
    return table(("student", "data, training", "seeds", "learned", "bicubic", "difference"), lines, left=(0, 1))


def over_trainings(studies: dict[str, Rows], names: Sequence[str], bicubic: str) -> dict[str, float]:
    """Learned minus bicubic of the finer student after six epochs on Imagenette, over all trainings of both.

    Chance in training alone is in the interval (Student's t): every training was evaluated on the same pictures.

    Args:
        studies: All of them.
        names: Of those that have both.
        bicubic: The row of bicubic thumbnails.

    Raises:
        ValueError: If two of them reached the same to the last bit, as one training in two tables does.
    """
    reached = [
        pair
        for study in names
        for pair in zip(*(studies[study][name]["metric"]["values"] for name in (FINE, bicubic)), strict=True)
    ]
    if len(set(reached)) < len(reached):
        raise ValueError(f"two trainings of {', '.join(names)} reached the same; is one of them the other?")
    apart = [ours - other for ours, other in reached]
    half = T[len(apart)] * stdev(apart) / math.sqrt(len(apart))
    return {"mean": mean(apart), "low": mean(apart) - half, "high": mean(apart) + half}


def over_trainings_and_pictures(answers: Mapping[str, Any], names: Sequence[str], other: str) -> dict[str, float]:
    """Ours minus another row of the finer student, over the trainings of several studies and their pictures at once.

    Args:
        answers: By study, which pictures each run answered rightly.
        names: Studies that have both rows, each with trainings that the others have not.
        other: The other row.

    Raises:
        ValueError: If the studies were evaluated on different pictures.
    """
    rows: dict[str, list[np.ndarray]] = {FINE: [], other: []}
    held_out = set()
    for study in names:
        pairs = {name: picture_answers.row_of(answers[study], name) for name in rows}
        held_out |= {str(pictures) for pictures, _ in pairs.values()}
        for seed in sorted(set.intersection(*(set(seeds) for _, seeds in pairs.values()))):
            for name, (_, seeds) in pairs.items():
                rows[name].append(np.concatenate(seeds[seed]))
    if len(held_out) > 1:
        raise ValueError(f"{', '.join(names)} were evaluated on different pictures")
    return asdict(paired_difference(np.stack(rows[FINE]), np.stack(rows[other])))


def beside_others(studies: dict[str, Rows], ahead: Mapping[str, Any], answers: Mapping[str, Any]) -> str:
    """What others do instead, and how far ours is ahead of each; rows of another day are marked.

    Args:
        studies: All of them.
        ahead: By other row of its own study, how far ours is ahead.
        answers: Of the studies that keep which pictures each run answered rightly.
    """
    lines = []
    for other in OTHERS:
        row = studies[other.study][other.row]
        macs = f"{row['student_macs'] / 1e6:.0f} (+ {(row['downscaler_macs'] or 0) / 1e6:.0f})"
        size = f"{row['picture_bytes']:,.0f}" if row["picture_bytes"] else ""
        colour = "" if row["delta_e"] is None else f"{row['delta_e']:.1f}"
        mark = "" if other.study == OTHERS[-1].study else " ¹"
        difference = points(ahead[other.row]) if other.row in ahead else ""
        if mark and other.study in answers:
            difference = points(by_answers(answers, (OTHERS[-1].study, FINE), (other.study, other.row)))
        lines.append((other.letter, other.thumbnails + mark, macs, size, colour, top(row), difference))
    heads = ("", "thumbnails, training", "MMACs: S (+ E)", "bytes", "ΔE", "top-1", "ThumbNet ahead by")
    return table(heads, lines, left=(0, 1))


def tried(studies: dict[str, Rows], answers: Mapping[str, Any]) -> str:
    """Each setting beside the same training without it, and the difference where the two can be paired.

    Args:
        studies: All of them.
        answers: Of those that keep which pictures each run answered rightly.
    """
    lines = []
    for trial in TRIED:
        ours, other = studies[trial.study][trial.row], studies[trial.other_study or trial.study][trial.other]
        difference = _across(trial, answers) if trial.other_study else _paired(ours, other)
        lines.append((trial.setting or "″", trial.student, trial.training, top(other), top(ours), difference))
    heads = ("setting", "student, ratio 4", "data, training", "without", "with", "difference")
    return table(heads, lines, left=(0, 1, 2))


def by_answers(answers: Mapping[str, Any], ours: tuple[str, str], other: tuple[str, str]) -> dict[str, float]:
    """Ours minus another row, each a study and a recipe, of studies that keep which pictures they answered rightly."""
    rows = ((answers[study], recipe) for study, recipe in (ours, other))
    return asdict(picture_answers.difference(*rows))


def _across(trial: Trial, answers: Mapping[str, Any]) -> str:
    """The difference of two rows of two comparisons; nothing if one does not keep its answers."""
    if not {trial.study, trial.other_study} <= answers.keys():
        return ""
    return points(by_answers(answers, (trial.study, trial.row), (trial.other_study, trial.other)))


def _paired(ours: Row, other: Row) -> str:
    """The difference of two rows of one comparison, whichever of them was paired with the other; nothing if neither."""
    if ours["against"] == other["name"]:
        return points(ours["difference"])
    if other["against"] == ours["name"]:
        found = other["difference"]
        return points({"mean": -found["mean"], "low": -found["high"], "high": -found["low"]})
    return ""
