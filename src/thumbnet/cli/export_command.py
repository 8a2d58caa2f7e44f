"""`thumbnet export`: graphs for where a run is used, and how closely they answer as its bundle does."""

import dataclasses

from jsonargparse import Namespace

from thumbnet.config import ExportSettings
from thumbnet.deployment.export import export as export_run

_NAMES = {
    "pair": "downscaler and student",
    "whole": "thumbnet.onnx",
    "browser": "browser.onnx, then student",
    "teacher": "teacher.onnx",
}


def export(flags: Namespace) -> int:
    """`thumbnet export`."""
    names = {field.name for field in dataclasses.fields(ExportSettings)}
    settings = ExportSettings(**{name: getattr(flags, name) for name in names})
    made = export_run(flags.run, settings, overwrite=flags.overwrite, allow_code=flags.allow_code)
    report = made.report
    print(f"verified on {report['pictures']:,} pictures of {report['data']} ({report['description']})")
    for name in report["compared"]:
        result, metric = report[name], report["metric"]
        beside = report["torch_teacher" if name == "teacher" else "bundle"]
        score = f"{metric} {result[metric]:.2%} (in torch {beside[metric]:.2%}), " if beside else ""
        apart = result.get("thumbnails", {}).get("largest_level_difference")
        thumbnails = "" if apart is None else f", thumbnails within {apart} levels"
        print(f"{_NAMES[name]}: {score}same answer {result['agreement']:.2%}{thumbnails}")
    sizes = ", ".join(f"{name} {size / 1e6:,.2f} MB" for name, size in report["size_bytes"].items())
    print(f"written: {made.folder} ({sizes})")
    return 0
