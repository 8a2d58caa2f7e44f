"""Keeps what a comparison found in the repository, without the paths of the machine that it ran on.

    python benchmarks/keep_study.py runs/solar elpv

Copies runs/solar/comparison.json to benchmarks/results/study_elpv.json; `python benchmarks/write_results.py` then
writes its table into docs/results.md. Which pictures each run answered rightly is kept with it, so that runs of later
comparisons can be paired with these (`benchmarks/picture_answers.py`).
"""

import argparse
import json
from pathlib import Path

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
    output_folder = content["settings"]["output"]
    kept_as = Path("runs") / Path(output_folder).name if Path(output_folder).is_absolute() else output_folder
    content["settings"]["output"] = str(kept_as)
    content["settings"]["data"] = content["settings"]["data"] and Path(content["settings"]["data"]).name
    # Tables are made while runs go on; the command that makes the runs as well is the same without this flag.
    command = content["command"].replace(" --train false", "").replace(output_folder, str(kept_as))
    content["command"] = " ".join(without_folder(word) for word in command.split())
    content["answers"] = picture_answers.of_study(given.study)
    write_json(output, content)
    print(output)


def without_folder(word: str) -> str:
    """The name alone of what lies at an absolute path."""
    return Path(word).name if Path(word).is_absolute() else word


if __name__ == "__main__":
    main()
