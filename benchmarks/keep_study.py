"""Keeps what a comparison found in the repository, without the paths of the machine that it ran on.

    python benchmarks/keep_study.py runs/solar elpv

Copies runs/solar/comparison.json, of `compare` or `sweep`, to benchmarks/results/study_elpv.json; `python
benchmarks/write_results.py` then writes its table into docs/results.md. Which pictures each run answered rightly is
kept with it, so that runs of later comparisons can be paired with these (`benchmarks/picture_answers.py`).
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import picture_answers
from thumbnet.storage import write_json

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of a comparison")
    parser.add_argument("name", help="of the data")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to keep it in")
    given = parser.parse_args()
    output = given.results / f"study_{given.name}.json"
    content = json.loads((given.study / "comparison.json").read_text())
    settings = content["settings"]["train"] if "sweep" in content["settings"] else content["settings"]
    output_folder = settings["output"]
    kept_as = Path("runs") / Path(output_folder).name if Path(output_folder).is_absolute() else output_folder
    settings["output"] = str(kept_as)
    settings["data"] = settings["data"] and Path(settings["data"]).name
    settings["teacher_weights"] = settings.get("teacher_weights") and without_folder(settings["teacher_weights"])
    # Tables are made while runs go on; the command that makes the runs as well is the same without this flag.
    command = content["command"].replace(" --train false", "").replace(output_folder, str(kept_as))
    content["command"] = " ".join(without_folder(word) for word in command.split())
    content["answers"] = picture_answers.of_study(given.study)
    content["ours_ahead_by"] = ours_ahead_by(content["rows"], content["answers"])
    write_json(output, content)
    print(output)


def ours_ahead_by(rows: list[dict[str, Any]], answers: dict[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """By row of ours, its paired difference to every alternative; the comparison itself says that to the best alone."""
    names = {
        kind: [row["name"] for row in rows if row["kind"] == kind and row["metric"]] for kind in ("ours", "alternative")
    }
    return {
        ours: {
            other: dataclasses.asdict(picture_answers.difference((answers, ours), (answers, other)))
            for other in names["alternative"]
        }
        for ours in names["ours"]
    }


def without_folder(word: str) -> str:
    """The name alone of what lies at an absolute path."""
    return Path(word).name if Path(word).is_absolute() else word


if __name__ == "__main__":
    main()
