"""Flags. The settings' dataclasses and their docstrings are the flags and their help; nothing is said twice.

Flat flags are written with dashes (`--batch-size`), grouped ones as in YAML (`--views.per_image`); both spellings of a
flat flag are understood.
"""

import argparse

from jsonargparse import ArgumentParser
from jsonargparse.typing import NonNegativeInt, PositiveInt

from thumbnet.classification import Given
from thumbnet.cli.arguments import FLAT_FLAG
from thumbnet.config import (
    UNUSED_BY_TEACHERS,
    ArchiveSettings,
    BenchmarkSettings,
    ColumnSettings,
    CompareSettings,
    DownscalerSettings,
    ExportSettings,
    FeatureMappingSettings,
    ServeSettings,
    StudentSettings,
    SweepSettings,
    TrainSettings,
)
from thumbnet.run_folder import RECORD_KEY

DESCRIPTION = "Turns any well-trained image classifier into one that works on thumbnails."
_REPLACED = "Make runs again whose settings or teacher have changed."


class Parser(ArgumentParser):
    """jsonargparse's, with flat flags shown with dashes."""

    def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
        """The help text."""
        return FLAT_FLAG.sub(lambda flag: flag[0].replace("_", "-"), super().format_help(formatter))


def build_parser() -> Parser:
    """The parser of every command."""
    from thumbnet import __version__

    parser = Parser(prog="thumbnet", description=DESCRIPTION, exit_on_error=False, version=f"thumbnet {__version__}")
    commands = parser.add_subcommands(required=True, dest="subcommand")
    commands.add_subcommand("train", _train_parser(), help="train a downscaler and a student from a frozen teacher")
    commands.add_subcommand("train-teacher", _train_teacher_parser(), help="fine-tune a classifier to be the teacher")
    commands.add_subcommand(
        "evaluate", _evaluate_parser(), help="accuracy of a run beside its teacher, or of a teacher"
    )
    commands.add_subcommand("compare", _compare_parser(), help="train recipes with several seeds, and compare them")
    commands.add_subcommand("sweep", _sweep_parser(), help="find the cheapest ratio and student that lose little")
    commands.add_subcommand("predict", _predict_parser(), help="classify pictures or thumbnails")
    commands.add_subcommand("thumbnail", _thumbnail_parser(), help="make thumbnails of a whole archive of pictures")
    commands.add_subcommand("export", _export_parser(), help="write a run as graphs that need no torch")
    commands.add_subcommand("benchmark", _benchmark_parser(), help="speed and memory beside the teacher")
    commands.add_subcommand("serve", _serve_parser(), help="answer requests over HTTP, with a page that shows it")
    commands.add_subcommand("info", _info_parser(), help="what a run is, or what a teacher's student would cost")
    commands.add_subcommand("report", _run_parser(), help="write a run's report.html again")
    commands.add_subcommand("push", _push_parser(), help="upload a run's bundle and its model card to the Hub")
    return parser


def _train_parser() -> Parser:
    parser = Parser(description="Train a downscaler and a student from a frozen teacher.", exit_on_error=False)
    _add_settings(parser, skip=set())
    return parser


def _train_teacher_parser() -> Parser:
    parser = Parser(description="Fine-tune a classifier at full size; leaves teacher.safetensors.", exit_on_error=False)
    _add_settings(parser, skip=set(UNUSED_BY_TEACHERS))
    return parser


def _add_settings(parser: Parser, skip: set[str]) -> None:
    _add_recipe(parser, skip)
    parser.add_argument("--resume", action="store_true", help="Go on with the run in --output where it was stopped.")
    parser.add_argument("--overwrite", action="store_true", help="Replace the run in --output.")


def _add_recipe(parser: Parser, skip: set[str]) -> None:
    parser.add_argument(
        "--config", action="config", help="YAML file with any of these settings; flags take precedence."
    )
    parser.add_class_arguments(TrainSettings, skip=skip)
    # A run's own config.yaml is a recipe; what it records beside the settings is not for the user to choose.
    parser.add_argument(f"--{RECORD_KEY}", type=dict | None, default=None, help=argparse.SUPPRESS)


def _compare_parser() -> Parser:
    parser = Parser(description="Train recipes with several seeds, and compare them in one table.", exit_on_error=False)
    parser.add_argument("recipes", type=str, nargs="+", help="YAML files as for `thumbnet train --config`.")
    parser.add_class_arguments(CompareSettings, skip={"recipes", "set"})
    setting = (
        "NAME=VALUE, a setting of `thumbnet train` for every recipe, such as epochs=3; may be given several times."
    )
    parser.add_argument("--set", type=str, action="append", default=[], help=setting)
    parser.add_argument("--overwrite", action="store_true", help=_REPLACED)
    return parser


def _sweep_parser() -> Parser:
    text = "Train a student for each ratio and option, and recommend the cheapest that loses little. --ratio, "
    text += "--student and --seed are replaced by --ratios, --students and --seeds; the runs lie in --output."
    parser = Parser(description=text, exit_on_error=False)
    parser.add_class_arguments(SweepSettings)
    _add_recipe(parser, skip=set())
    parser.add_argument("--overwrite", action="store_true", help=_REPLACED)
    return parser


def _run_parser(run: str = "A run folder.") -> Parser:
    parser = Parser(exit_on_error=False)
    parser.add_argument("run", type=str, help=run)
    parser.add_argument(
        "--allow_code", action="store_true", help="Import the package.module:factory that the bundle names."
    )
    return parser


def _info_parser() -> Parser:
    parser = Parser(exit_on_error=False)
    parser.add_argument("run", type=str, nargs="?", default=None, help="A run or bundle folder; or give --teacher.")
    parser.add_argument(
        "--allow_code", action="store_true", help="Import the package.module:factory that the bundle names."
    )
    parser.add_argument("--teacher", type=str | None, default=None, help="What `thumbnet train` would take.")
    parser.add_argument(
        "--teacher_weights", type=str, default="random", help="random: costs and features are the same with any."
    )
    parser.add_argument("--ratio", type=int, default=4, help="Downscale factor per side, 1 to 8.")
    parser.add_argument("--image_side", type=int | None, default=None, help="By default the teacher's own, px.")
    for name, kind in (
        ("downscaler", DownscalerSettings),
        ("student", StudentSettings),
        ("feature_mapping", FeatureMappingSettings),
    ):
        parser.add_argument(f"--{name}", type=kind, default=kind(), help=f"As for `thumbnet train --{name}`.")
    return parser


def _evaluate_parser() -> Parser:
    parser = Parser(exit_on_error=False)
    parser.add_argument("run", type=str | None, nargs="?", default=None, help="A run folder; or give --teacher.")
    parser.add_argument(
        "--allow_code", action="store_true", help="Import the package.module:factory that the bundle names."
    )
    parser.add_argument("--data", type=str | None, default=None, help="As for train; by default the run's own.")
    parser.add_argument("--holdout", type=float | None, default=None, help="Share held out of one folder of classes.")
    parser.add_argument("--batch_size", type=PositiveInt, default=32, help="Pictures at a time.")
    parser.add_argument("--workers", type=NonNegativeInt | None, default=None, help="Processes that read pictures.")
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, mps.")
    parser.add_argument(
        "--formats",
        type=str | None,
        default=None,
        help="Formats of stored thumbnails to measure in place of the usual evaluation, e.g. png,webp,jpeg:90,webp:50.",
    )
    parser.add_argument("--teacher", type=str | None, default=None, help="A classifier by itself, in place of a run.")
    parser.add_argument(
        "--teacher_weights", type=str | None, default=None, help="With --teacher: pretrained (default), random, a file."
    )
    parser.add_argument(
        "--image_side", type=PositiveInt | None, default=None, help="With --teacher: side of its input, px."
    )
    parser.add_argument(
        "--crop_share", type=float | None, default=None, help="With --teacher: share of the side that the crop keeps."
    )
    parser.add_argument("--multilabel", action="store_true", help="With --teacher: any number of labels a picture.")
    parser.add_argument("--class_map", type=str | None, default=None, help="With --teacher: one class a line.")
    parser.add_argument(
        "--teacher_classes", type=str | None, default=None, help="With --teacher: all (default), or those of the data."
    )
    parser.add_argument(
        "--columns", type=ColumnSettings, default=ColumnSettings(), help="Of --data, by default as in training."
    )
    parser.add_argument("--output", type=str | None, default=None, help="With --teacher: a JSON file for the result.")
    return parser


def _push_parser() -> Parser:
    parser = _run_parser("A run or bundle folder.")
    parser.add_argument("repository", type=str, help="OWNER/NAME on the Hugging Face Hub; made if there is none.")
    parser.add_argument("--private", action="store_true", help="A repository that is made is private.")
    parser.add_argument("--license", type=str | None, default=None, help="For the model card, e.g. mit.")
    return parser


def _predict_parser() -> Parser:
    parser = _run_parser("A run or bundle folder.")
    parser.add_argument("files", type=str, nargs="+", help="Full pictures, or ready thumbnails.")
    parser.add_argument(
        "--given",
        type=Given | None,
        default=None,
        help="What the files are, picture or thumbnail; by default their size tells.",
    )
    parser.add_argument("--top", type=int, default=1, help="How many classes to rank.")
    parser.add_argument("--json", action="store_true", help="One JSON object a line instead of a table.")
    parser.add_argument("--device", type=str, default="cpu", help="auto, cpu, cuda, mps.")
    return parser


def _thumbnail_parser() -> Parser:
    parser = _run_parser("A run or bundle folder.")
    parser.add_argument(
        "source",
        type=str,
        help="Folder of pictures with its subfolders, a list file (.txt), WebDataset shards (.tar), parquet, csv, "
        "hf/NAME, or any of these at an fsspec address such as s3://bucket/photos.",
    )
    parser.add_argument("output_folder", type=str, help="Folder for thumbnails, manifest and summary.")
    parser.add_class_arguments(ArchiveSettings, skip={"source", "output"})
    parser.add_argument("--resume", action="store_true", help="Go on in the output folder where a run was stopped.")
    parser.add_argument("--overwrite", action="store_true", help="Begin again in a folder that holds an archive.")
    parser.add_argument("--verify", action="store_true", help="Check the output against its manifest; make nothing.")
    parser.add_argument("--dry_run", action="store_true", help="Estimate time and bytes from a sample; make nothing.")
    parser.add_argument(
        "--measure", action="store_true", help="Then classify stored thumbnails that carry a label, and say how well."
    )
    parser.add_argument("--device", type=str, default="cpu", help="Where the local engine's downscaler runs.")
    return parser


def _export_parser() -> Parser:
    parser = _run_parser("A run or bundle folder.")
    parser.add_class_arguments(ExportSettings)
    parser.add_argument("--overwrite", action="store_true", help="Replace the export in --output.")
    return parser


def _serve_parser() -> Parser:
    parser = _run_parser(
        "A folder that `thumbnet export` wrote; or a run or bundle folder: then its RUN/export is taken if current, "
        "else an export made in RUN/served."
    )
    parser.add_class_arguments(ServeSettings)
    return parser


def _benchmark_parser() -> Parser:
    parser = _run_parser("A run folder.")
    parser.add_class_arguments(BenchmarkSettings)
    return parser
