"""The sections of docs/results.md that hold one study each, by its JSON and in the order of the page."""

from collections.abc import Callable
from typing import Any

import format_results
import solar_results
from study_results import crop_shares, naturalness_of, stored_thumbnails_of, study_of, sweep_of

Section = Callable[[dict[str, Any]], str]
EM_2 = "The defaults then; today with `--set loss.em=2`."
MULLER_STILL = (
    "MULLER's rows: `--set optimizer.downscaler_lr_factor=1` with today's recipes; its numbers hardly moved so."
)
HALF_LR = "The learning rate is half of the first table's, 5e-4."

IMAGENETTE: tuple[tuple[str, Section], ...] = (
    ("study_imagenette", study_of("Imagenette: plain and finer students, six epochs", "Ten classes of ImageNet (`imagenette224`), 224 px, six epochs on two views.")),
    ("study_imagenette_long", study_of("Imagenette: plain student, 24 epochs on four views")),
    ("study_imagenette_fine_long", study_of("Imagenette: finer students from a plain start, 16 epochs on four views", HALF_LR)),
    ("study_imagenette_detail", study_of("Imagenette: students of a quarter of the teacher's compute, six epochs", HALF_LR)),
    ("study_imagenette_first_layer", study_of("Imagenette: finer student, learned beside bicubic thumbnails, two seeds", HALF_LR)),
    ("study_imagenette_fine_losses", study_of("Imagenette: finer student, bicubic thumbnails with one loss after the other", HALF_LR)),
    ("study_imagenette_fine_again", study_of("Imagenette: finer student, against the best of those on bicubic thumbnails", "The same runs as above.")),
    ("study_imagenette_equal_compute", study_of("Imagenette: finer student, beside bicubic thumbnails of ratio 2 for the same compute", "The same runs as above, and one more.")),
    ("study_imagenette_fine_others", study_of("Imagenette: finer student, learned resizers and the losses of others", f"{HALF_LR} {MULLER_STILL}", "imagenette_fine_others")),
    ("study_imagenette_fine_seed1", study_of("Imagenette: finer student, another seed beside the best of the losses of others", HALF_LR)),
    ("study_imagenette_fine_more_natural", study_of("Imagenette: finer student, detail hidden more faintly (`loss.pm` 80)", HALF_LR)),
    ("study_imagenette_started", study_of("Imagenette: finer student on bicubic thumbnails, its first layer started alone", f"{HALF_LR} The steps before the epochs that hidden detail has, for the first layer alone.")),
    ("study_imagenette_muller", study_of("Imagenette: MULLER with all losses of ours, at 50 times the student's learning rate", HALF_LR)),
    ("study_imagenette_fine_without_kd", study_of("Imagenette: finer student without distillation", HALF_LR)),
    ("study_imagenette_several_sides", study_of("Imagenette: finer student of several sides, six epochs", f"Trained at ratios 2 and 4 in each step, measured at 4. {HALF_LR}")),
    ("study_imagenette_longer_start", study_of("Imagenette: finer student, a start of 4,000 steps (`student.detail_steps`)", HALF_LR)),
    ("stored_thumbnails", stored_thumbnails_of("Imagenette: stored thumbnails of `thumbnet_detail`, six epochs")),
    ("stored_thumbnails_fine", stored_thumbnails_of("Imagenette: stored thumbnails of the finer student, six epochs")),
    ("study_imagenette_bounds", study_of("Imagenette: students that are handed every pixel", HALF_LR)),
    ("study_imagenette_whole_compute", study_of("Imagenette: the teacher's compute at ratio 4, three epochs at 2.5e-4")),
    ("stored_thumbnails_whole_compute", stored_thumbnails_of("Imagenette: stored thumbnails for the teacher's compute, three epochs")),
    ("study_imagenette_ratio2_bicubic", study_of("Imagenette: bicubic thumbnails of ratio 2, six epochs", HALF_LR)),
    ("stored_thumbnails_ratio2", stored_thumbnails_of("Imagenette: stored bicubic thumbnails of ratio 2")),
    ("study_imagenette_detail_long", study_of("Imagenette: finer students, ten epochs on four views", HALF_LR)),
    ("study_imagenette_mixup", study_of("Imagenette: finer student, 20 epochs on four views with mixup (`mix.mixup 0.2`)", HALF_LR)),
    ("study_imagenette_progressive_ratio2", study_of("Imagenette: ratio 2, four epochs on four views", HALF_LR)),
    ("study_imagenette_progressive", study_of("Imagenette: finer student that started as that of ratio 2 (`student.weights`), ten epochs", HALF_LR)),
    ("crop_shares", crop_shares),
    ("crop_shares_plain", crop_shares),
    ("study_imagenette_embedding", study_of("Imagenette: finer student, ten epochs on four views, `loss.em` 10 instead of 2", HALF_LR)),
    ("study_imagenette_wider_views", study_of("Imagenette: plain student, 12 epochs on four views: wider views, `loss.em` 10", "At the default crop share.")),
    ("study_imagenette_mixed_views", study_of("Imagenette: plain student, 24 epochs on four views, two of them mixes, `loss.em` 10", "At the default crop share.")),
    ("study_imagenette_without_kd", study_of("Imagenette: plain student by the defaults but for twelve epochs on four views, without distillation", "At the default crop share.")),
    ("study_imagenette_settings", study_of("Imagenette: plain student by the defaults but for six epochs on two views, one setting after the other", "At the default crop share.")),
    ("study_imagenette_defaults", study_of("Imagenette: plain student, 30 epochs of fresh views, `loss.em` 2", EM_2)),
    ("study_imagenette_defaults_mixup", study_of("Imagenette: plain student, 30 epochs of fresh views, half of the batches mixed, `loss.em` 2", EM_2)),
    ("study_imagenette_defaults_heavier_em", study_of("Imagenette: plain student by the defaults, 30 epochs of fresh views, `loss.em` 10")),
    ("formats_imagenette", format_results.formats_of("Imagenette: what a stored thumbnail of that student costs")),
    ("study_imagenette_defaults_heavier_em_mixup", study_of("Imagenette: plain student by the defaults, half of the batches mixed")),
    ("study_imagenette_defaults_bicubic", study_of("Imagenette: plain student on bicubic thumbnails by the defaults, 30 epochs of fresh views")),
    ("study_imagenette_defaults_fine", study_of("Imagenette: finer student by the defaults, 30 epochs of fresh views")),
    ("study_imagenette_defaults_fine_bicubic", study_of("Imagenette: finer student on bicubic thumbnails by the defaults, 30 epochs of fresh views")),
    ("study_imagenette_ratio2", study_of("Imagenette: ratio 2 with the teacher's compute, three epochs on four views at 2.5e-4")),
    ("study_imagenette_ratio2_fine_bicubic", study_of("Imagenette: ratio 2 with the teacher's compute on bicubic thumbnails, three epochs on two views at 2.5e-4")),
    ("stored_thumbnails_ratio2_fine", stored_thumbnails_of("Imagenette: stored bicubic thumbnails of ratio 2 for the teacher's compute")),
    ("study_imagenette_alternatives", study_of("Imagenette: plain students, what others do, six epochs", MULLER_STILL)),
    ("study_imagenette_lr", study_of("Imagenette: plain student at half the learning rate, six epochs")),
)  # fmt: skip

DRAWINGS: tuple[tuple[str, Section], ...] = (
    ("study_clipart", study_of("Drawings: students by the defaults, 30 epochs of fresh views", "13 subjects, 30% held out, 224 px; the teacher was fine-tuned for six epochs.")),
)  # fmt: skip

CELLS: tuple[tuple[str, Section], ...] = (
    ("study_elpv", study_of("Solar cells: every recipe on one quarter", f"elpv at 192 px; one quarter held out. {MULLER_STILL}")),
    ("study_elpv_seeds", study_of("Solar cells: five seeds on one quarter", "The defaults but for eight epochs on two views.")),
    ("study_elpv_sweep", sweep_of("Solar cells: a sweep over ratios and students, eight epochs on one quarter", "elpv_sweep")),
    ("study_elpv_detail", study_of("Solar cells: detail hidden in the thumbnail")),
    ("study_elpv_folds", study_of("Solar cells: each quarter held out in turn, a teacher for each")),
    ("study_elpv_folds_again", study_of("Solar cells: each quarter once more, teachers and students trained anew")),
    ("stored_thumbnails_elpv", stored_thumbnails_of("Solar cells: stored thumbnails of the finer student, four quarters")),
    ("study_elpv_fresh", study_of("Solar cells: two quarters, 30 epochs of fresh views, `loss.em` 2 and 10")),
    ("study_elpv_fresh_mixup", study_of("Solar cells: one quarter, 30 epochs of fresh views, half of the batches mixed")),
    ("study_elpv_folds_two_seeds", study_of("Solar cells: finer student on three quarters, two seeds")),
    ("study_elpv_fine_alternatives", study_of("Solar cells: finer student and learned resizers on one quarter", MULLER_STILL)),
    ("study_elpv_lite1", study_of("Solar cells: EfficientNet-Lite1 as teacher and student, one quarter")),
    ("study_elpv_ratio2", study_of("Solar cells: ratio 2, 96 px thumbnails of 192 px images")),
    ("naturalness_elpv", naturalness_of("What naturalness costs on solar cells", "naturalness_elpv")),
    ("naturalness_elpv_detail", naturalness_of("What naturalness costs on solar cells where detail is hidden", "naturalness_elpv_detail")),
    ("formats_elpv", format_results.formats_of("What a stored thumbnail costs")),
    ("formats_elpv_noise", format_results.formats_after_noise),
    ("elpv", solar_results.study),
)  # fmt: skip
