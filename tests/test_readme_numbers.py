"""The README's table of what students keep says what the JSON files of the studies say."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark_scripts import script

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "benchmarks" / "results"


def result(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return content


def row(study: str, recipe: str) -> dict[str, Any]:
    return next(found for found in result(f"study_{study}")["rows"] if found["name"] == recipe)


def kept(share: float, limits: Mapping[str, float]) -> str:
    return f"{100 * share:.1f}% [{100 * limits['low']:.1f}, {100 * limits['high']:.1f}]"


@pytest.mark.parametrize(
    ("study", "recipe"),
    [
        ("elpv_folds", "thumbnet_heavier_em"),
        ("elpv_folds_two_seeds", "thumbnet_fine_detail"),
        ("imagenette_defaults_heavier_em", "thumbnet_heavier_em"),
        ("elpv_folds_two_seeds", "bicubic_all_fine"),
        ("imagenette_defaults_fine_bicubic", "bicubic_all_fine"),
        ("elpv_fresh", "thumbnet_heavier_em"),
        ("elpv_folds", "bicubic_all"),
        ("imagenette_defaults_bicubic", "bicubic_all"),
        ("imagenette_defaults_fine", "thumbnet_fine_detail"),
        ("clipart", "thumbnet"),
        ("clipart", "bicubic_all"),
        ("clipart", "thumbnet_fine_detail"),
        ("clipart", "bicubic_all_fine"),
        ("imagenette_ratio2_bicubic", "bicubic_all_ratio2"),
        ("imagenette_ratio2", "thumbnet_ratio2_fine_detail"),
        ("imagenette_ratio2_fine_bicubic", "bicubic_all_ratio2_fine"),
        ("imagenette_whole_compute", "thumbnet_upsampled"),
    ],
)
def test_what_a_student_keeps_is_what_its_study_found(study: str, recipe: str) -> None:
    found = row(study, recipe)
    assert kept(found["retention"], found["retention_interval"]) in README


def over_trainings(names: Sequence[str], bicubic: str) -> str:
    studies = {name: {one["name"]: one for one in result(f"study_{name}")["rows"]} for name in names}
    found = script("study_pairs").over_trainings(studies, names, bicubic)
    return f"{100 * found['mean']:.1f} [{100 * found['low']:.1f}, {100 * found['high']:.1f}] points"


def test_what_the_downscaler_is_worth() -> None:
    found = over_trainings(script("study_pairs").REPEATED, "bicubic_all_fine")
    assert f"gains {found} on Imagenette (four trainings" in " ".join(README.split())
    tops = [
        f"{100 * row(f'imagenette_{study}', name)['metric']['mean']:.1f}%"
        for study, name in (("defaults_fine", "thumbnet_fine_detail"), ("defaults_fine_bicubic", "bicubic_all_fine"))
    ]
    assert f"By the 30 epochs of the defaults the two have {' and '.join(tops)} top-1" in " ".join(README.split())
    assert row("elpv_folds_two_seeds", "thumbnet_fine_detail")["difference"]["low"] < 0, (
        "on solar cells it is shown now"
    )


def test_what_it_is_worth_beside_what_others_do() -> None:
    text = " ".join(README.split())
    found = over_trainings(script("study_pairs").BESIDE_D, "bicubic_cl_kd_fm_fine")
    assert f"ahead of the best by {found} (over three trainings, on the same pictures)" in text
    ahead = result("study_imagenette_fine_others")["ours_ahead_by"]["thumbnet_fine_detail"]
    alone = {name for name in ahead if "_all_" not in name}
    assert {"learned_resizer_fine", "muller_fine", "fixres_fine"} < alone
    assert min(alone, key=lambda name: ahead[name]["mean"]) == "bicubic_cl_kd_fm_fine", "d is the best no more"
    rows = [("imagenette_fine_others", "thumbnet_fine_detail"), ("imagenette_muller", "muller_all_fine")]
    least = script("picture_answers").difference(*((result(f"study_{study}")["answers"], name) for study, name in rows))
    assert least.mean < ahead["learned_resizer_all_fine"]["mean"], "another is nearer"
    limits = f"[{100 * least.low:.1f}, {100 * least.high:.1f}]"
    assert f"only by {100 * least.mean:.1f} {limits} (one training), within chance, of the resizer MULLER" in text


def test_what_it_is_worth_on_drawings() -> None:
    ahead = result("study_clipart")["ours_ahead_by"]
    pairs = (("thumbnet", "bicubic_cl_kd"), ("thumbnet_fine_detail", "bicubic_cl_kd_fm_fine"))
    plain, finer = (ahead[ours][other] for ours, other in pairs)
    limits = [f"{100 * one['mean']:.1f} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]" for one in (plain, finer)]
    said = f"the plain student is {limits[0]} points ahead of labels and distillation, the finer one {limits[1]}"
    assert f"On drawings {said}" in " ".join(README.split())
    alike = (ahead["thumbnet"]["bicubic_all"], ahead["thumbnet_fine_detail"]["bicubic_all_fine"])
    assert all(one["low"] < 0 < one["high"] for one in alike), "a gain beyond chance is shown on drawings now"


def test_the_plain_student_is_no_better_by_the_defaults_than_on_bicubic_thumbnails() -> None:
    rows = [("imagenette_defaults_heavier_em", "thumbnet_heavier_em"), ("imagenette_defaults_bicubic", "bicubic_all")]
    ours, other = ((result(f"study_{study}")["answers"], recipe) for study, recipe in rows)
    found = script("picture_answers").difference(ours, other)
    assert found.low < 0 < found.high, "it is beyond chance now"
    assert f"{-100 * found.mean:.1f} points behind bicubic ones on Imagenette, within chance" in " ".join(
        README.split()
    )


def test_thumbnails_save_bytes_where_they_are_stored_with_loss() -> None:
    photos = result("formats_imagenette")["formats"]
    for form in ("png", "webp"):
        assert 5_000 < photos[form]["thumbnail"]["bytes"] < 6_500
        assert 0.98 < photos[form]["full_size"]["top1"] < 0.99
    text, small = " ".join(README.split()), photos["webp:80"]
    assert small["shrunk"]["top1"] > small["full_size"]["top1"]
    untrained = f"the teacher {100 * small['shrunk']['top1']:.1f}% on shrunk JPEGs that it was not trained for"
    assert f"the plain student has {100 * small['thumbnail']['top1']:.1f}%, {untrained}" in text
    trained = result("stored_thumbnails_whole_compute")["formats"]["webp:80"]["runs"]["upsampled-seed0"]
    assert 950 < trained["bytes"] < 1_050
    assert f"thumbnails of 1 kB, at all of its compute, it has {100 * trained['top1']:.1f}%" in text


def test_how_many_bytes_hidden_detail_costs() -> None:
    times = []
    for study in ("stored_thumbnails_fine", "stored_thumbnails_elpv"):
        runs = result(study)["formats"]["webp"]["runs"]
        learned, bicubic = (next(run for name, run in runs.items() if word in name) for word in ("thumbnet", "bicubic"))
        times.append(learned["bytes"] / bicubic["bytes"])
    said = f"{times[0]:.1f} times those of bicubic thumbnails on Imagenette, {times[1]:.1f} times on smooth solar cells"
    assert said in " ".join(README.split())


def test_how_long_an_answer_and_a_training_take() -> None:
    measured = result("reading_and_answering")["milliseconds"]
    plain, finer = (measured["read png"] + measured[name] for name in ("bicubic_all", "bicubic_all_fine"))
    teacher = measured["read pictures"] + measured["teacher"]
    text = " ".join(README.split())
    assert f"takes {plain:.1f} ms, with finer features {finer:.1f}; the teacher takes {teacher:.1f} ms" in text
    trainings = (json.loads(path.read_text()) for path in RESULTS.glob("study_imagenette_defaults*.json"))
    hours = [training["hours"] for training in trainings if "mix." not in training["command"]]
    assert f"takes {min(hours):.1f} to {max(hours):.1f} hours for Imagenette's" in text


def test_a_larger_bicubic_thumbnail_for_the_same_compute() -> None:
    lost = row("imagenette_equal_compute", "thumbnet_fine_detail")["difference"]
    limits = f"[{-100 * lost['high']:.1f}, {-100 * lost['low']:.1f}]"
    said = f"{-100 * lost['mean']:.1f} {limits} points ahead of learned thumbnails of ratio 4"
    assert said in " ".join(README.split())


def test_what_any_downscaler_could_be_worth() -> None:
    found = row("imagenette_bounds", "all_information_fine")["difference"]
    limits = f"[{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
    said = f"for 1.4 times the compute, is worth {100 * found['mean']:.1f} {limits}"
    assert said in " ".join(README.split())


def test_what_stored_thumbnails_give_at_the_teachers_compute() -> None:
    larger = result("stored_thumbnails_ratio2_fine")["formats"]["webp:90"]["runs"]["bicubic_all_ratio2_fine-seed0"]
    hidden = result("stored_thumbnails_whole_compute")["formats"]["webp"]["runs"]["thumbnet_upsampled-seed0"]
    said = [f"{100 * found['top1']:.1f}% for {found['bytes'] / 1000:.1f} kB" for found in (larger, hidden)]
    assert f"as WebP 90 {said[0]}, where hidden detail at ratio 4 has {said[1]}" in " ".join(README.split())


def test_what_fainter_detail_costs() -> None:
    fainter, default = (
        row("imagenette_fine_more_natural", "thumbnet_fine_more_natural"),
        row("imagenette_fine_others", "thumbnet_fine_detail"),
    )
    answers = script("picture_answers")
    kept_answers = [
        (result(f"study_imagenette_fine_{study}")["answers"], recipe)
        for study, recipe in (("others", "thumbnet_fine_detail"), ("more_natural", "thumbnet_fine_more_natural"))
    ]
    found = answers.difference(*kept_answers)
    said = f"ΔE {fainter['delta_e']:.1f} instead of {default['delta_e']:.1f} from bicubic thumbnails, for "
    said += f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}] points on Imagenette"
    assert said in README


def test_what_leaving_distillation_out_gives_the_plain_student() -> None:
    said = []
    for study in ("settings", "without_kd"):
        kept_answers = result(f"study_imagenette_{study}")["answers"]
        found = script("picture_answers").difference((kept_answers, "thumbnet_without_kd"), (kept_answers, "thumbnet"))
        said.append(f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]")
    six, twelve = said
    gains = f"{six} points ahead on Imagenette in six epochs, {twelve} in twelve (one training each)"
    assert f"`--loss.kd 0` is worth a try for a short training: {gains}" in README
