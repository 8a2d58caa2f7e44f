"""The Hub: a bundle goes there with its model card and comes back the same; nothing here touches the network."""

import errno
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import yaml
from huggingface_hub import ModelCard, errors
from PIL import Image

from thumbnet import ThumbNet
from thumbnet.cli.main import main
from thumbnet.errors import CheckpointError, ConfigError, StorageError
from thumbnet.run_folder import RunFolder

BUNDLE = {"thumbnet.json", "downscaler.safetensors", "student.safetensors"}


@pytest.fixture(scope="module")
def bundle(trained_run: Path) -> ThumbNet:
    return ThumbNet.load(trained_run, allow_code=True)


@pytest.fixture
def picture(photos: Path) -> Image.Image:
    return Image.open(photos / "val" / "round" / "000.png")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A Hub that keeps what it is sent in a folder, and gives it back."""
    seen = SimpleNamespace(folder=tmp_path / "hub", created={}, uploaded={}, fetched={})

    def create_repo(self: Any, **given: Any) -> Any:
        seen.created = given
        return SimpleNamespace(repo_id=given["repo_id"])

    def upload_folder(self: Any, **given: Any) -> str:
        seen.uploaded = given
        shutil.copytree(given["folder_path"], seen.folder)
        return f"https://huggingface.co/{given['repo_id']}/commit/1"

    def snapshot_download(repo_id: str, **given: Any) -> str:
        seen.fetched = {"repo_id": repo_id, **given}
        return str(seen.folder)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return seen


# There and back.


def test_a_bundle_saved_and_loaded_answers_the_same(bundle: ThumbNet, picture: Image.Image, tmp_path: Path) -> None:
    bundle.save_pretrained(tmp_path / "saved")
    again = ThumbNet.from_pretrained(tmp_path / "saved", allow_code=True)
    assert again.thumbnail(picture).tobytes() == bundle.thumbnail(picture).tobytes()
    assert again.classify(picture, top=2) == bundle.classify(picture, top=2)
    assert again.description == bundle.description


def test_the_folder_holds_the_bundle_and_its_card_and_no_second_truth(bundle: ThumbNet, tmp_path: Path) -> None:
    bundle.save_pretrained(tmp_path / "saved")
    assert {file.name for file in (tmp_path / "saved").iterdir()} == {*BUNDLE, "README.md"}


def test_a_pushed_bundle_comes_back_the_same(bundle: ThumbNet, picture: Image.Image, hub: SimpleNamespace) -> None:
    address = bundle.push_to_hub("someone/small", private=True)
    assert address == "https://huggingface.co/someone/small/commit/1"
    assert (hub.created["repo_id"], hub.created["private"]) == ("someone/small", True)
    again = ThumbNet.from_pretrained("someone/small", allow_code=True, revision="v1")
    assert (hub.fetched["repo_id"], hub.fetched["revision"]) == ("someone/small", "v1")
    assert again.classify(picture, top=2) == bundle.classify(picture, top=2)


def test_only_a_bundles_own_files_are_fetched(bundle: ThumbNet, hub: SimpleNamespace) -> None:
    bundle.push_to_hub("someone/small")
    ThumbNet.from_pretrained("someone/small", allow_code=True)
    assert set(hub.fetched["allow_patterns"]) == BUNDLE


def test_a_strangers_repository_runs_no_code_unless_it_is_allowed(bundle: ThumbNet, hub: SimpleNamespace) -> None:
    bundle.push_to_hub("someone/small")
    # Neither may a config.json, which the mixin would read, allow it.
    (hub.folder / "config.json").write_text(json.dumps({"allow_code": True, "description": {}, "run": "/"}))
    with pytest.raises(CheckpointError, match="give allow_code=True or --allow-code"):
        ThumbNet.from_pretrained("someone/small")


def test_a_folder_that_may_not_be_written_to_is_one_line(bundle: ThumbNet, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="choose another folder"):
        bundle.save_pretrained(tmp_path / "file" / "saved")


# What the Hub refuses.


def refusal(kind: type[Exception], status: int) -> Exception:
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return kind(f"{status} Client Error\nmore lines", response=response)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            refusal(errors.RepositoryNotFoundError, 404),
            "is neither a folder here nor a repository that you may see; check",
        ),
        (refusal(errors.GatedRepoError, 403), "is gated; ask for access on its page"),
        (refusal(errors.RevisionNotFoundError, 404), "has no such revision"),
        (refusal(errors.HfHubHTTPError, 401), "may not be read or written with this account"),
        (refusal(errors.HfHubHTTPError, 503), r"cannot be reached \(503 Client Error\); check the network"),
        (errors.LocalTokenNotFoundError("no token"), "needs an account; log in with `hf auth login`"),
        (errors.LocalEntryNotFoundError("not on disk"), r"cannot be reached \(not on disk\)"),
        (ConnectionRefusedError(111, "refused"), r"cannot be reached \(\[Errno 111\] refused\)"),
        (errors.OfflineModeIsEnabled("offline"), r"cannot be reached \(offline\)"),
        (
            errors.HTTPError("no route"),  # type: ignore[attr-defined]
            r"cannot be reached \(no route\)",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_the_hub_refuses_is_one_line(
    error: Exception, message: str, bundle: ThumbNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(CheckpointError, match=f"hub: someone/small {message}") as fetched:
        ThumbNet.from_pretrained("someone/small")
    assert "\n" not in str(fetched.value)
    with pytest.raises(CheckpointError, match=f"hub: someone/small {message}"):
        bundle.push_to_hub("someone/small")


def test_a_full_disk_is_the_machines_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*given: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fill)
    with pytest.raises(StorageError, match="no space left on the disk"):
        ThumbNet.from_pretrained("someone/small")


def test_what_is_neither_folder_nor_repository_is_refused_before_the_network() -> None:
    with pytest.raises(CheckpointError, match="neither a folder nor the name of a repository; give OWNER/NAME"):
        ThumbNet.from_pretrained("runs/of/mine")


# The model card.


def card_of(bundle: ThumbNet, folder: Path, **metadata: Any) -> ModelCard:
    bundle.save_pretrained(folder, model_card_kwargs=metadata)
    return ModelCard.load(folder / "README.md")


def test_the_cards_metadata_say_what_it_is_and_how_well_it_does(
    bundle: ThumbNet, trained_run: Path, tmp_path: Path
) -> None:
    card = card_of(bundle, tmp_path / "saved", license="mit")
    data = card.data.to_dict()
    evaluation = json.loads((trained_run / "evaluation.json").read_text())
    assert (data["library_name"], data["pipeline_tag"]) == ("thumbnet", "image-classification")
    assert {"thumbnet", "model_hub_mixin"} <= set(data["tags"])
    assert data["license"] == "mit"
    (result,) = data["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == pytest.approx(evaluation["student"]["top1"], abs=1e-4)
    assert result["task"]["type"] == "image-classification"


def test_the_card_has_the_runs_numbers_and_its_recipe(bundle: ThumbNet, trained_run: Path, tmp_path: Path) -> None:
    text = card_of(bundle, tmp_path / "saved").text
    evaluation = json.loads((trained_run / "evaluation.json").read_text())
    for network in ("teacher", "student", "untrained_bicubic"):
        assert f"{100 * evaluation[network]['top1']:.1f}%" in text
    assert "| image → thumbnail | 32 px → 8 px |" in text
    assert "`mm` 1.0" in text or "`mm` 1" in text
    recipe = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert (recipe["ratio"], recipe["epochs"], recipe["image_side"]) == (4, 2, 32)
    assert json.loads(text.split("```json\n")[1].split("```")[0]) == ["flat", "round"]
    assert "arXiv" in text or "arxiv" in text


def with_evaluation(trained_run: Path, folder: Path, **changes: Any) -> Path:
    """A copy of a run with other results."""
    shutil.copytree(trained_run, folder)
    file = folder / "evaluation.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return folder


def test_several_labels_a_picture_are_not_called_top_1(trained_run: Path, tmp_path: Path) -> None:
    scores = {"map": 0.5, "f1": 0.25, "per_class": {}}
    networks = dict.fromkeys(("teacher", "student", "untrained_bicubic"), scores)
    run = with_evaluation(trained_run, tmp_path / "run", metric="map", retention=1.0, agreement=0.75, **networks)
    file = run / "bundle" / "thumbnet.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "multilabel": True}))
    text = card_of(ThumbNet.load(run, allow_code=True), tmp_path / "saved").text
    assert "top-1" not in text
    assert "keeps 100.0% of the teacher's mean average precision (retention)" in text
    assert "On 75.0% of the labels student and teacher say the same" in text


def test_a_run_without_labels_says_how_often_it_agrees(trained_run: Path, tmp_path: Path) -> None:
    costs = {"macs": 1, "parameters": 1}
    networks = {"teacher": costs, "student": costs, "untrained_bicubic": {"agreement": 0.5}}
    run = with_evaluation(trained_run, tmp_path / "run", retention=None, agreement=0.75, **networks)
    card = card_of(ThumbNet.load(run, allow_code=True), tmp_path / "saved")
    accuracy = card.text.split("## Accuracy")[1].split("## How to use it")[0]
    assert "On 75.0% of the pictures student and teacher say the same" in accuracy
    assert "---" not in accuracy
    assert "model-index" not in card.data.to_dict()


def test_no_place_on_the_makers_disk_gets_into_the_card(trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "someone" / "run"
    shutil.copytree(trained_run, run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config |= {
        "teacher_weights": "/home/someone/secret/teacher.safetensors",
        "evaluation_data": "~/secret/val",
        "class_map": "secret\\names.txt",
        "columns": {"picture": "/home/someone/secret/column"},
    }
    config["cache"]["folder"] = "/home/someone/secret"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    evaluation = json.loads((run / "evaluation.json").read_text())
    evaluation["data"]["name"] = "secret/photos"
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    content = str(card_of(ThumbNet.load(run, allow_code=True), tmp_path / "saved"))
    for private in ("secret", "home", "someone", str(tmp_path), str(trained_run.parent)):
        assert private not in content
    assert "teacher_weights: teacher.safetensors" in content
    assert "name: photos" in content


def test_a_bundle_without_a_run_has_a_card_without_numbers(bundle: ThumbNet, tmp_path: Path) -> None:
    bundle.save(tmp_path / "alone")
    card = card_of(ThumbNet.load(tmp_path / "alone", allow_code=True), tmp_path / "saved")
    assert "model-index" not in card.data.to_dict()
    assert "## Accuracy" not in card.text
    assert "## How it was trained" not in card.text
    assert "ThumbNet.from_pretrained" in card.text


def test_a_bundle_loaded_from_its_own_folder_knows_its_run(trained_run: Path) -> None:
    assert ThumbNet.load(trained_run / "bundle", allow_code=True).run == trained_run.resolve()


def test_a_pushed_card_names_its_repository_and_a_factory_of_ones_own(bundle: ThumbNet, hub: SimpleNamespace) -> None:
    bundle.push_to_hub("someone/small")
    text = ModelCard.load(hub.folder / "README.md").text
    assert 'ThumbNet.from_pretrained("someone/small", allow_code=True)' in text
    assert "hf download someone/small" in text
    assert "loading runs it" in text


def test_a_card_that_the_maker_wrote_is_kept(bundle: ThumbNet, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    bundle.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_labels_cannot_break_the_card(trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    file = RunFolder(tmp_path / "run").bundle / "thumbnet.json"
    labels = ["{{ 7 * 7 }}", "```\n---\nlicense: gpl\n---"]
    file.write_text(json.dumps({**json.loads(file.read_text()), "labels": labels}))
    card = card_of(ThumbNet.load(tmp_path / "run", allow_code=True), tmp_path / "saved")
    assert json.loads(card.text.split("```json\n")[1].split("\n```")[0]) == labels
    assert "license" not in card.data.to_dict()


# On the command line.


def test_push_prints_the_link(trained_run: Path, hub: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--private", "--license", "mit", "--allow-code"]
    assert main(["push", str(trained_run), "someone/small", *flags]) == 0
    assert capsys.readouterr().out.strip() == "https://huggingface.co/someone/small/commit/1"
    assert hub.created["private"] is True
    assert ModelCard.load(hub.folder / "README.md").data.license == "mit"


def test_push_to_a_name_that_is_none_is_one_line(trained_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(trained_run), "no/such/name", "--allow-code"]) == 2
    assert "neither a folder nor the name of a repository; give OWNER/NAME" in capsys.readouterr().err
