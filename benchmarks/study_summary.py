"""What the studies say together: renders findings.md.jinja, which opens docs/results.md, from the studies' JSON."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

import study_pairs
import study_tables
from study_results import Rows, points, share, share_kept, top
from thumbnet.config import StudentSettings

TEMPLATE = Path(__file__).parent / "findings.md.jinja"
RECIPES = Path(__file__).parent.parent / "recipes" / "study"
TEACHERS_CROP_SHARE = 0.875  # of the study's teacher, EfficientNet-Lite0
FILTERS = {
    "top": top,
    "points": points,
    "share": share,
    "share_kept": share_kept,
    "percent": lambda value: f"{100 * value:.1f}%",
    "one_digit": lambda value: f"{value:.1f}",
    "thousands": lambda value: f"{value:,}",
}


def known_so_far(results: Path) -> str:
    """In words and tables: when to use ThumbNet, what it is worth, and what is not known."""
    files = {file.stem.removeprefix("study_"): json.loads(file.read_text()) for file in results.glob("study_*.json")}
    studies = {name: _rows(content) for name, content in files.items()}
    answers = {name: content["answers"] for name, content in files.items() if "answers" in content}

    def read(name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((results / f"{name}.json").read_text())
        return content

    def row(study: str, recipe: str) -> dict[str, Any]:
        return studies[study][recipe]

    def formats(name: str) -> dict[str, Any]:
        found: dict[str, Any] = read(f"stored_thumbnails_{name}")["formats"]
        return found

    def stored(name: str, form: str, recipe: str) -> dict[str, Any]:
        """Top-1 and bytes of one student's thumbnails in one format."""
        found: dict[str, Any] = _of_recipe(formats(name)[form]["runs"], recipe)
        return found

    def apart(name: str, form: str, other: str) -> dict[str, float]:
        """Ours minus another student's top-1 in one format."""
        found: dict[str, float] = _of_recipe(formats(name)[form]["paired_differences"], other)
        return found

    def lost(name: str, recipe: str) -> str:
        """Points that WebP of quality 80 costs a student."""
        return f"{100 * (stored(name, 'png', recipe)['top1'] - stored(name, 'webp:80', recipe)['top1']):.1f}"

    def shown(name: str, crop_share: float) -> dict[str, Any]:
        """What the one student of that file keeps where it sees so much of a picture."""
        (run,) = read(name)["runs"].values()
        found: dict[str, Any] = next(one for one in run["rows"] if one["crop_share"] == crop_share)
        return found

    def across(ours: str, other: str) -> dict[str, float]:
        """Ours minus another row, each as STUDY:ROW, of two comparisons that keep their answers."""
        (study, recipe), (other_study, other_recipe) = (one.split(":") for one in (ours, other))
        return study_pairs.by_answers(answers, (study, recipe), (other_study, other_recipe))

    page = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    page.filters.update(FILTERS)
    return page.from_string(TEMPLATE.read_text()).render(
        studies=studies,
        read=read,
        row=row,
        stored=stored,
        apart=apart,
        lost=lost,
        shown=shown,
        across=across,
        crop_share=TEACHERS_CROP_SHARE,
        transfer=read("transfer"),
        drawn_ahead=read("study_clipart")["ours_ahead_by"],
        others=read("study_imagenette_fine_others")["ours_ahead_by"]["thumbnet_fine_detail"],
        over_trainings=study_pairs.over_trainings(studies, study_pairs.REPEATED, "bicubic_all_fine"),
        ahead_of_d=study_pairs.over_trainings(studies, study_pairs.BESIDE_D, "bicubic_cl_kd_fm_fine"),
        both_beside_d=study_pairs.over_trainings_and_pictures(
            answers, study_pairs.BESIDE_D_WITH_ANSWERS, "bicubic_cl_kd_fm_fine"
        ),
        detail_steps=f"{StudentSettings().detail_steps:,}",
        decoder=read("stored_thumbnails")["formats"]["png"],
        formats_elpv=read("formats_elpv")["formats"],
        held={one["weight"]: one for one in read("naturalness_elpv_detail")["points"] if one["loss"] == "pm"},
        photos=read("formats_imagenette")["formats"],
        times=read("reading_and_answering"),
        not_run=_not_run(studies),
        tables={
            "in_short": study_tables.in_short(studies, stored("ratio2", "webp:80", "bicubic_all_ratio2")["top1"]),
            "kept": study_tables.kept(studies, shown, TEACHERS_CROP_SHARE),
            "learned_or_bicubic": study_pairs.learned_or_bicubic(studies, answers),
            "beside_others": study_pairs.beside_others(
                studies, read("study_imagenette_fine_others")["ours_ahead_by"]["thumbnet_fine_detail"], answers
            ),
            "bounds": study_tables.bounds(studies),
            "equal_bytes": study_tables.equal_bytes(formats("fine"), formats("ratio2")),
            "smaller_networks": study_tables.smaller_networks(studies, read("reading_and_answering")["milliseconds"]),
            "tried": study_pairs.tried(studies, answers),
            "drawings": study_tables.drawings(studies["clipart"], read("study_clipart")["ours_ahead_by"]),
        },
    )


def _of_recipe(by_run: dict[str, Any], recipe: str) -> Any:
    """What is said of the one run of a recipe; runs are named as in `thumbnet-seed0`."""
    (found,) = (said for run, said in by_run.items() if run.partition("-seed")[0] == recipe)
    return found


def _rows(study: dict[str, Any]) -> Rows:
    return {row["name"]: row for row in study["rows"]}


def _not_run(studies: dict[str, Rows]) -> dict[str, list[str]]:
    """By data set, the recipes that no table has a row of."""
    missing = {}
    for data, shown in (("elpv", "elpv"), ("imagenette", "Imagenette")):
        tables = [rows for study, rows in studies.items() if study.startswith(data)]
        ran = {name for rows in tables for name, row in rows.items() if row["metric"]}
        # There the ratio was a flag.
        ran |= {f"{name}_ratio2" for name in studies["elpv_ratio2"]} if data == "elpv" else set()
        # And so it was in the sweep.
        ran |= {"thumbnet_ratio2_fine_detail"} if data == "elpv" else set()
        # And there the mixes were.
        ran |= {"thumbnet_heavier_em_mixed"} if data == "imagenette" else set()
        missing[shown] = [f"`{file.stem}`" for file in sorted(RECIPES.glob("*.yaml")) if file.stem not in ran]
    return missing
