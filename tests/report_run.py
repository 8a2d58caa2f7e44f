"""A run with an evaluation made up for the report, and its page as a reader meets it."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from thumbnet.report import write_report
from thumbnet.run_folder import RunFolder

SETTINGS = {
    "teacher": "timm/resnet18",
    "data": "photos/cells",
    "ratio": 4,
    "image_side": None,
    "epochs": 3,
    "loss": {"mm": 1.0, "cl": 1.0, "kd": 2.5, "fm": 0.0},
    "downscaler": {"kind": "residual", "channels": 16},
    "recorded": {"data_fingerprint": "5e80e98c", "versions": {"python": "3.11.7", "torch": "2.8.0"}},
}
TEACHER = {
    "top1": 0.90,
    "top5": 0.99,
    "per_class": {"cat": 0.95, "dog": 0.85},
    "macs": 282_057_088,
    "parameters": 3_373_570,
}
STUDENT = {
    "top1": 0.80,
    "top5": 0.97,
    "per_class": {"cat": 0.90, "dog": 0.70},
    "macs": 22_126_928,
    "parameters": 3_373_570,
}
EVALUATION = {
    "student": STUDENT,
    "downscaler": {"macs": 14_561_280, "parameters": 2_438},
    "ratio": 4,
    "image_side": 192,
    "thumbnail_side": 48,
    "teacher": TEACHER,
    "untrained_bicubic": {"top1": 0.55, "top5": 0.88, "per_class": {"cat": 0.5, "dog": 0.6}},
    "retention": 0.8889,
    "agreement": 0.8432,
    "data": {"name": "photos/cells", "pictures": 400, "description": "25% held out"},
    "bytes": {"image": 34_428, "thumbnail": 3_608},
}
EPOCHS = [
    {"epoch": 1, "step": 10, "mm": 3e-5, "cl": 0.9, "kd": 2.4, "top1": 0.70, "lr": 0.001, "seconds": 3.0},
    {"epoch": 2, "step": 20, "mm": 5e-5, "cl": 0.5, "kd": 2.3, "top1": 0.80, "lr": 0.0, "seconds": 3.0},
]


class Page(HTMLParser):
    """A page as its reader meets it: elements with their attributes, and tables as lists of rows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)

    @classmethod
    def of(cls, run: RunFolder) -> "Page":
        return cls(write_report(run).read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.words.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def row(self, name: str) -> list[str]:
        return next(row[1:] for row in self.rows if row and row[0] == name)

    def drawings(self) -> list[str]:
        return [attributes["aria-label"] for attributes in self.all("div") if attributes.get("role") == "img"]


def make_run(folder: Path, evaluation: dict[str, Any] | None = None, **settings: Any) -> RunFolder:
    run = RunFolder(folder / "cells-4")
    run.begin({**SETTINGS, **settings}, overwrite=False)
    if evaluation is not None:
        run.write_evaluation(evaluation)
    return run
