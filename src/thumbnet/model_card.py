"""The model card: the README that a bundle takes to the Hub, written from the run that it came from.

Reads a run folder and a bundle's description; knows nothing of networks. No place on the maker's disk gets into it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PureWindowsPath
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, StrictUndefined

from thumbnet.networks.architectures import TRUSTED_FACTORIES
from thumbnet.run_folder import RECORD_KEY, RunFolder

TEMPLATE = "model_card.md.jinja"
# What a recipe says of the machine that ran it.
PRIVATE = ("output", "cache", "workers", "device", "tracker")
PLACES = ("data", "evaluation_data", "teacher_weights", "class_map")
NETWORKS = {
    "teacher": "teacher, on images",
    "untrained_bicubic": "teacher's copy on bicubic thumbnails, untrained",
    "student": "**this student, on its thumbnails**",
}
METRICS = {"top1": "top-1", "top5": "top-5", "map": "mean average precision", "f1": "F1"}
PLACEHOLDER = "OWNER/NAME"


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a bundle says of itself.

    Attributes:
        description: What is in thumbnet.json, as plain values.
        costs: `macs` and `parameters` of `student` and `downscaler`.
    """

    description: dict[str, Any]
    costs: dict[str, dict[str, int]]


def run_of_bundle(bundle: Path) -> Path | None:
    """The run folder that a bundle's folder lies in; None where it lies alone."""
    run = RunFolder(bundle.resolve().parent)
    return run.path if bundle.resolve() == run.bundle and run.config.is_file() else None


def write_card(
    facts: CardFacts,
    run: RunFolder | None,
    repository: str | None,
    metadata: Mapping[str, Any],
) -> ModelCard:
    """The card of a bundle.

    Args:
        facts: The bundle's.
        run: The run that the bundle came from; without one the card has no accuracies and no recipe.
        repository: `OWNER/NAME`, where it is known.
        metadata: Of `huggingface_hub.ModelCardData`, such as `license`; takes precedence.

    Raises:
        CheckpointError: If a file of the run is damaged.
    """
    description = facts.description
    config = run.read_config() if run and run.config.is_file() else {}
    evaluation = (run.read_evaluation() if run else None) or {}
    recorded = config.get(RECORD_KEY) or {}
    recipe = {name: _public(name, value) for name, value in config.items() if name not in (*PRIVATE, RECORD_KEY)}
    architecture = _public("teacher", description["architecture"])
    name = repository.rpartition("/")[2] if repository else run.path.resolve().name if run else architecture
    own_code = ":" in architecture and architecture not in TRUSTED_FACTORIES
    body = _template().render(
        name=name,
        repository=repository or PLACEHOLDER,
        architecture=architecture,
        own_code=own_code,
        description=description,
        labels=json.dumps(description["labels"], ensure_ascii=False),
        thumbnail_side=description["preprocessing"]["image_side"] // description["ratio"],
        costs=facts.costs,
        data=_data_phrase(evaluation),
        rows=_rows(evaluation),
        metrics=_metrics(evaluation),
        metric_names=METRICS,
        headline=METRICS.get(evaluation.get("metric", "top1"), "accuracy"),
        agreed_on="labels" if description["multilabel"] else "pictures",
        evaluation=evaluation,
        losses=recorded.get("losses") or {},
        versions=recorded.get("versions") or {},
        recipe=yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True).rstrip() if recipe else "",
    )
    given = {"model_name": name, **_results(evaluation), **_base_model(architecture), **metadata}
    return ModelCard(f"---\n{ModelCardData(**given).to_yaml()}\n---\n\n{body}", ignore_metadata_errors=False)


def _template() -> Any:
    # Markdown, which has nothing to escape; labels stand in a block of JSON.
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}%"
    environment.filters["count"] = lambda count: f"{count / 1e6:,.1f} M" if count >= 1e5 else f"{count:,}"
    return environment.from_string(files("thumbnet").joinpath(TEMPLATE).read_text(encoding="utf-8"))


def _metrics(evaluation: Mapping[str, Any]) -> list[str]:
    """The accuracies that the student has, by key; the best five of five classes are always right."""
    student = evaluation.get("student", {})
    shares = [name for name, value in student.items() if isinstance(value, float) and math.isfinite(value)]
    return [name for name in shares if name != "top5" or len(student.get("per_class", {})) > 5]


def _rows(evaluation: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(title, evaluation[name]) for name, title in NETWORKS.items() if name in evaluation]


def _data_phrase(evaluation: Mapping[str, Any]) -> str:
    data = evaluation.get("data") or {}
    if not data:
        return ""
    return f"{data['pictures']:,} pictures ({data.get('description') or _public('data', data['name'])})"


def _results(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The accuracies as the Hub's model-index has them."""
    if not _metrics(evaluation):
        return {}
    data = _public("data", (evaluation.get("data") or {}).get("name", "unknown"))
    return {
        "eval_results": [
            EvalResult(
                task_type="image-classification",
                dataset_type=data,
                dataset_name=data,
                metric_type="accuracy" if name == "top1" else name,
                metric_name=METRICS.get(name, name),
                metric_value=round(evaluation["student"][name], 4),
            )
            for name in _metrics(evaluation)
        ]
    }


def _base_model(architecture: str) -> dict[str, str]:
    """The teacher's page on the Hub, where its name is one."""
    source, _, name = architecture.partition("/")
    if source == "timm" and "." in name:
        return {"base_model": architecture}
    return {"base_model": name} if source == "hf" and name.count("/") == 1 else {}


def _public(name: str, value: Any) -> Any:
    """A setting without the folders that it names: of a path, the last part only."""
    if isinstance(value, Mapping):
        return {key: _public(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_public(name, inner) for inner in value]
    if not isinstance(value, str):
        return value
    inner = value.removeprefix("hf/")
    local = inner.startswith((".", "~")) or Path(inner).is_absolute() or "\\" in inner
    if local or (name in PLACES and not value.startswith("hf/")):
        return PureWindowsPath(inner).name or "data"
    return value
