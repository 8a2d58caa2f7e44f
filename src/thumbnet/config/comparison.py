"""Settings of a comparison of several recipes, and of a sweep over ratios and student options."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, get_args

from thumbnet.config.checks import require
from thumbnet.config.networks import StudentSettings
from thumbnet.config.run import MAXIMUM_RATIO

EqualBy = Literal["student", "total"]
PLAIN = "plain"


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """Train several recipes with several seeds, and compare them in one table.

    Attributes:
        recipes: YAML files as `thumbnet train --config` takes them; a file's name is the recipe's.
        output: Folder for all runs, the table and the pictures.
        seeds: Each recipe is trained once with each.
        base: A YAML file with the settings that all recipes share, such as teacher, data and epochs; a recipe then
            holds only what makes it different, and comes first where both say something.
        data: The data of every recipe, in place of its own.
        splits: Data sets that are splits of one, such as `elpv-fold0,elpv-fold1`, in place of `data`: recipes, and the
            teacher of `teacher_recipe`, are trained on each, and the table pools the pictures held out.
        teacher_weights: The teacher's weights for every recipe, in place of its own.
        teacher_recipe: Recipe of `thumbnet train-teacher`: trained once, and its weights given to every recipe.
        set: Settings of `thumbnet train` for every recipe, each as NAME=VALUE, e.g. `epochs=3`, `loss.kd=2`.
        ours: Names of the recipes that are the subject, or patterns such as `thumbnet*`; they are no alternatives to
            each other.
        bounds: Names of the recipes that show what is possible and nobody would use, or patterns.
        best_of: Names of the alternatives among which the best is looked for; by default every recipe that is neither
            ours nor a bound.
        equal_by: What "equal MACs" counts: the `student` alone, as where thumbnails are made once and classified
            later, or the `total` with the downscaler.
        timing_rounds: Rounds in which the latency of every recipe is measured in turn; 0 measures none.
        train: Train what is missing; without it, what is finished is compared and the rest is left out.
    """

    recipes: tuple[str, ...]
    output: str
    seeds: tuple[int, ...] = (0,)
    base: str | None = None
    data: str | None = None
    splits: tuple[str, ...] = ()
    teacher_weights: str | None = None
    teacher_recipe: str | None = None
    set: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()
    best_of: tuple[str, ...] = ()
    equal_by: EqualBy = "student"
    timing_rounds: int = 30
    train: bool = True

    def __post_init__(self) -> None:
        require(len(self.recipes) > 0, "recipes", "empty", "one YAML file or more")
        check_seeds(self.seeds)
        kinds = get_args(EqualBy)
        require(self.equal_by in kinds, "equal_by", self.equal_by, f"one of {', '.join(kinds)}")
        require(self.timing_rounds >= 0, "timing_rounds", self.timing_rounds, "0 (no timing) or more")
        require(not (self.splits and self.data), "splits", list(self.splits), "given without data")
        names = [split_name(split) for split in self.splits]
        distinct = all(name not in ("", "..") for name in names) and len(set(names)) == len(names)
        require(distinct, "splits", list(self.splits), "data whose names, or last parts of paths, differ")
        one_teacher = not (self.teacher_weights and self.teacher_recipe)
        require(one_teacher, "teacher_weights", self.teacher_weights, "given without teacher_recipe")


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """Train one student for each ratio and student option, and find the cheapest that loses little.

    Attributes:
        ratios: Downscale factors per side, 2 to 8.
        students: Options of the student: `plain`, `keep_stem_resolution`, `keep_stride_N`, `dilate_last_stage`,
            and at ratios of 3 or more `detail_decoder`.
        seeds: Each combination is trained once with each.
        max_drop: Most that the student may lose against the teacher, in percentage points.
        timing_rounds: Rounds in which the latency of every combination is measured in turn; 0 measures none.
    """

    ratios: tuple[int, ...] = (2, 4, 8)
    students: tuple[str, ...] = (PLAIN, "keep_stem_resolution", "dilate_last_stage")
    seeds: tuple[int, ...] = (0,)
    max_drop: float = 2.0
    timing_rounds: int = 30

    def __post_init__(self) -> None:
        distinct = len(self.ratios) > 0 and len(set(self.ratios)) == len(self.ratios)
        require(distinct, "ratios", list(self.ratios), "different numbers, e.g. 2,4,8")
        known = all(2 <= ratio <= MAXIMUM_RATIO for ratio in self.ratios)
        require(known, "ratios", list(self.ratios), f"whole numbers from 2 to {MAXIMUM_RATIO}")
        distinct = len(self.students) > 0 and len(set(self.students)) == len(self.students)
        require(distinct, "students", list(self.students), "different options, e.g. plain,dilate_last_stage")
        for student in self.students:
            student_option(student)
        check_seeds(self.seeds)
        require(self.max_drop >= 0, "max_drop", self.max_drop, "0 or more percentage points")
        require(self.timing_rounds >= 0, "timing_rounds", self.timing_rounds, "0 (no timing) or more")


def student_option(name: str) -> StudentSettings:
    """The student option of that name.

    Raises:
        ConfigError: If there is none.
    """
    numbered = re.fullmatch(r"keep_stride_(\d+)", name)
    alone = ("keep_stem_resolution", "dilate_last_stage", "detail_decoder")
    known = f"plain, {', '.join(alone)}, or keep_stride_N with a number"
    named = name in (PLAIN, *alone)
    require(named or numbered is not None, "students", name, known)
    if numbered:
        return StudentSettings(keep_stride=int(numbered[1]))
    chosen: dict[str, Any] = {option: name == option for option in alone}
    return StudentSettings(**chosen)


def split_name(data: str) -> str:
    """The name of a split's folder and in its pictures' names: the last part of its path or name."""
    return PurePath(data).name


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuses seeds that are none, negative or given twice.

    Raises:
        ConfigError: If they are.
    """
    right = len(seeds) > 0 and min(seeds) >= 0 and len(set(seeds)) == len(seeds)
    require(right, "seeds", list(seeds), "different numbers, 0 or more, e.g. 0,1,2")
