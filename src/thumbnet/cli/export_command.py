"""`thumbnet export`: graphs for where a run is used, and how closely they answer as its bundle does."""

import dataclasses

from jsonargparse import Namespace

from thumbnet.config import ExportSettings
from thumbnet.deployment.export import export as export_run


def export(flags: Namespace) -> int:
    """`thumbnet export`."""
    names = {field.name for field in dataclasses.fields(ExportSettings)}
    settings = ExportSettings(**{name: getattr(flags, name) for name in names})
    made = export_run(flags.run, settings, overwrite=flags.overwrite, allow_code=flags.allow_code)
    report = made.report
    print(f"verified on {report['pictures']:,} pictures of {report['data']} ({report['description']})")
    for name, graphs in (("pair", "downscaler.onnx and student.onnx"), ("whole", "thumbnet.onnx")):
        result, metric = report[name], report["metric"]
        score = f"{metric} {result[metric]:.2%} (bundle {report['bundle'][metric]:.2%}), " if report["bundle"] else ""
        apart = result["thumbnails"]["largest_level_difference"]
        print(f"{graphs}: {score}same answer {result['agreement']:.2%}, thumbnails within {apart} levels")
    sizes = ", ".join(f"{name} {size / 1e6:,.2f} MB" for name, size in report["size_bytes"].items())
    print(f"written: {made.folder} ({sizes})")
    return 0
