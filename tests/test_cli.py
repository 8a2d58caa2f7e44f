"""The command line: every command, as a user gives it, and what it answers."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from command_line import TINY_FLAGS, Run, assert_one_clear_line
from thumbnet.cli import main


def test_train_evaluate_info_and_report(thumbnet: Run, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, out, _ = thumbnet("train", *TINY_FLAGS, "--data", photos, "--ratio", 4, "--output", run)
    assert code == 0
    assert "ThumbNet: student on thumbnails" in out
    assert str(run / "report.html") in out.replace("\n", "")
    code, out, _ = thumbnet("evaluate", run, "--allow-code", "--workers", 0)
    assert code == 0
    assert "retention" in out
    assert "by class" in out
    assert "flat" in out
    code, out, _ = thumbnet("info", run, "--allow-code")
    assert code == 0
    assert "16 times fewer pixels" in out
    (run / "report.html").unlink()
    assert thumbnet("report", run)[0] == 0
    assert (run / "report.html").exists()


def test_info_of_a_teacher_says_what_its_student_would_be_without_data(thumbnet: Run) -> None:
    tiny = ("--teacher", "tiny_networks:two_stages", "--image-side", 32, "--ratio", 2)
    code, out, _ = thumbnet("info", *tiny, "--student.keep_stride", 2)
    assert code == 0
    assert "ratio 2; tapped: 1" in " ".join(out.split())
    for words in ("teacher", "student, plain", "student, keep_stride 2 (chosen)", "downscaler", "16×8×8", "16×4×4"):
        assert words in out


def test_info_of_a_teacher_says_why_an_option_is_not_possible(thumbnet: Run) -> None:
    vit = ("--teacher", "narrow_networks:torchvision_vit", "--image-side", 64, "--ratio", 2)
    code, out, _ = thumbnet("info", *vit)
    assert code == 0
    assert "not possible" in out
    assert "dilate_last_stage: student.dilate_last_stage: the network is made finer at its first layer alone" in out


def test_train_teacher_outputs_how_to_use_its_weights(thumbnet: Run, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "teacher"
    code, out, _ = thumbnet("train-teacher", *TINY_FLAGS, "--data", photos, "--output", run)
    assert code == 0
    assert f"--teacher-weights {run / 'teacher.safetensors'}" in out.replace("\n", "")


def test_a_teachers_training_is_resumed_from_its_output_alone(thumbnet: Run, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "teacher"
    assert thumbnet("train-teacher", *TINY_FLAGS, "--data", photos, "--output", run)[0] == 0
    assert thumbnet("train-teacher", "--resume", "--output", run)[0] == 0
    answer = thumbnet("train-teacher", "--resume", "--output", run, "--lr", "0.5")
    assert_one_clear_line(answer, "begun with lr 0.001, not 0.5")


def test_predict_takes_pictures_and_thumbnails_and_says_which(
    thumbnet: Run, trained_run: Path, photos: Path, tmp_path: Path
) -> None:
    picture, thumbnail = photos / "val" / "flat" / "001.png", tmp_path / "small.png"
    thumbnet("thumbnail", trained_run, picture, tmp_path / "out", "--allow-code")
    Image.open(tmp_path / "out" / "thumbnails" / "001.png").save(thumbnail)
    code, out, _ = thumbnet("predict", trained_run, picture, thumbnail, "--top", 2, "--json", "--allow-code")
    first, second = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert (first["given"], second["given"]) == ("picture", "thumbnail")
    assert first["ranked"] == second["ranked"]
    assert len(first["ranked"]) == 2
    # A whole picture may happen to be as small as a thumbnail.
    code, out, _ = thumbnet("predict", trained_run, thumbnail, "--given", "picture", "--json", "--allow-code")
    assert (code, json.loads(out)["given"]) == (0, "picture")


def test_settings_of_several_values_take_commas(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--student.extra_ratios", "2,8", "--thumbnail.quality=30,80", "--feature-mapping.layers", "stem,layer4"]
    given += ["--views.scale", "0.3,1", "--views.aspect", "[0.9,1.1]", "--feature_mapping.student_layers", "null"]
    with pytest.raises(SystemExit):
        main(["train", "--teacher", "timm/a", "--data", str(photos), "--output", "run", *given, "--print-config"])
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["student"]["extra_ratios"] == [2, 8]
    assert shown["thumbnail"]["quality"] == [30, 80]
    assert shown["feature_mapping"] == {"channels": 256, "layers": ["stem", "layer4"], "student_layers": None}
    assert (shown["views"]["scale"], shown["views"]["aspect"]) == ([0.3, 1.0], [0.9, 1.1])


def test_predict_answers_for_the_good_files_and_names_the_bad_ones(
    thumbnet: Run, trained_run: Path, photos: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"\xff\xd8 not a picture")
    code, out, err = thumbnet(
        "predict", trained_run, bad, photos / "val" / "flat" / "001.png", "--json", "--allow-code"
    )
    assert code == 2
    assert len(out.splitlines()) == 1
    assert f"{bad}: not a picture" in err


def test_thumbnail_mirrors_a_folder_and_counts_failures(thumbnet: Run, trained_run: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    for name in ("a.png", "a.jpg", "deep/er/b.jpg"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 44), "green").save(source / name)
    (source / "bad.png").write_bytes(b"")
    code, out, err = thumbnet("thumbnail", trained_run, source, output, "--allow-code")
    written = sorted(path.relative_to(output).as_posix() for path in output.rglob("*.png"))
    assert code == 2
    assert written == ["thumbnails/a.jpg.png", "thumbnails/a.png.png", "thumbnails/deep/er/b.png"]
    assert "3 thumbnails" in out
    assert "1 failed" in out
    assert "bad.png: the file is empty" in err
    answer = thumbnet("thumbnail", trained_run, source, output, "--allow-code")
    assert_one_clear_line(answer, "holds an archive already", "--resume", "--overwrite")
    code, out, _ = thumbnet("thumbnail", trained_run, source, output, "--resume", "--allow-code")
    assert (code, "nothing was left to do" in out) == (2, True)
    assert thumbnet("thumbnail", trained_run, source, output, "--overwrite", "--allow-code")[0] == 2


def test_thumbnail_verifies_measures_and_estimates(
    thumbnet: Run, trained_run: Path, photos: Path, tmp_path: Path
) -> None:
    archive = ("thumbnail", trained_run, photos / "val", tmp_path / "out", "--allow-code")
    code, out, _ = thumbnet(*archive, "--dry-run", "--workers", 1)
    assert (code, (tmp_path / "out").exists()) == (0, False)
    assert "pictures: 12 (12 sampled, 0 of them unreadable)" in out
    code, out, _ = thumbnet(*archive, "--measure", "--container", "webdataset", "--format", "jpeg", "--quality", 40)
    assert (code, "student, top-1: " in out) == (0, True)
    assert "12 of 12 thumbnails with a label, as they are stored" in out
    assert thumbnet(*archive, "--verify")[:2] == (0, "12 thumbnails checked: 0 missing, 0 changed, 0 unknown\n")
    (tmp_path / "out" / "thumbnails" / "00000000.tar").unlink()
    code, out, _ = thumbnet(*archive, "--verify")
    assert (code, "12 missing" in out) == (2, True)
    assert_one_clear_line(thumbnet(*archive, "--verify", "--resume"), "--verify and --resume are different things")
    assert_one_clear_line(thumbnet(*archive, "--measure", "--fit", "short-side"), "leave --fit short-side out")
    assert_one_clear_line(thumbnet(*archive, "--ray-address", "auto"), "ray_address is auto", "--engine ray")


@pytest.mark.parametrize(
    ("flags", "name", "kind"),
    [
        ((), "001.png", "PNG"),
        (("--format", "webp"), "001.webp", "WEBP"),
        (("--format", "webp", "--quality", 80), "001.webp", "WEBP"),
        (("--format", "jpeg"), "001.jpg", "JPEG"),
        (("--format", "jpeg444", "--quality", 95), "001.jpg", "JPEG"),
    ],
)
def test_thumbnails_of_every_format_are_classified_as_thumbnails(
    flags: tuple[Any, ...], name: str, kind: str, thumbnet: Run, trained_run: Path, photos: Path, tmp_path: Path
) -> None:
    source = photos / "val" / "flat" / "001.png"
    assert thumbnet("thumbnail", trained_run, source, tmp_path / "out", "--allow-code", *flags)[0] == 0
    written = tmp_path / "out" / "thumbnails" / name
    with Image.open(written) as stored:
        assert stored.format == kind
    code, out, _ = thumbnet("predict", trained_run, written, "--json", "--allow-code")
    assert (code, json.loads(out)["given"]) == (0, "thumbnail")


def test_one_yaml_holds_all_settings_and_flags_take_precedence(thumbnet: Run, photos: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    values: dict[str, Any] = {"teacher": "tiny_networks:two_stages", "image_side": 32, "epochs": 5, "workers": 0}
    recipe.write_text(yaml.safe_dump({**values, "loss": {"kd": 3, "fm": 0}, "device": "cpu", "batch_size": 8}))
    run = tmp_path / "run"
    flags = ["--config", recipe, "--data", photos, "--output", run, "--epochs", 1, "--student.keep_stride", 2]
    assert thumbnet("train", *flags)[0] == 0
    written = yaml.safe_load((run / "config.yaml").read_text())
    assert (written["epochs"], written["loss"]["kd"], written["loss"]["fm"]) == (1, 3.0, 0.0)
    assert written["student"]["keep_stride"] == 2
    assert len(written["recorded"]["data_fingerprint"]) == 64
    assert {"torch", "timm", "thumbnet"} <= written["recorded"]["versions"].keys()


def test_a_runs_own_config_is_a_recipe_and_resume_needs_only_the_output(
    thumbnet: Run, trained_run: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    assert thumbnet("train", "--config", trained_run / "config.yaml", "--output", again)[0] == 0
    assert thumbnet("train", "--resume", "--output", again)[0] == 0


def test_help_and_mistyped_flags_do_not_wait_for_torch() -> None:
    script = "import sys; from thumbnet.cli import main; main(['train', '--nope']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


def test_help_shows_every_setting_with_its_meaning(thumbnet: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for flag in [
        "--teacher",
        "--teacher-weights",
        "--batch-size",
        "--loss.kd",
        "--views.per_image",
        "--resume",
        "--overwrite",
    ]:
        assert flag in text
    assert "Weight of knowledge distillation from the teacher's logits." in text


def test_a_teacher_by_itself_takes_a_table_with_columns_and_a_class_map(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{path},{int(path.parent.name == 'round')}" for path in sorted((photos / "val").rglob("*.png"))]
    (tmp_path / "t.csv").write_text("\n".join(["photograph,kind", *rows]))
    (tmp_path / "names.txt").write_text("flat\nround\n")
    command = [
        "evaluate",
        "--teacher",
        "tiny_networks:two_stages",
        "--data",
        f"{tmp_path}/t.csv",
        "--image-side",
        "32",
        "--workers",
        "0",
    ]
    command += ["--columns.picture", "photograph", "--columns.label", "kind", "--class-map", f"{tmp_path}/names.txt"]
    assert main([*command, "--device", "cpu", "--output", f"{tmp_path}/result.json"]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result["teacher"]["per_class"]) == {"flat", "round"}


def test_evaluate_measures_formats(thumbnet: Run, trained_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    code, out, _ = thumbnet("evaluate", run, "--formats", "png,jpeg:50", "--allow-code", "--workers", 0)
    assert code == 0
    assert "jpeg:50" in out
    assert (run / "formats.json").exists()
    answer = thumbnet("evaluate", run, "--formats", "png,gif", "--allow-code")
    assert_one_clear_line(answer, "format is gif", "png, webp, jpeg, jpeg444")
    answer = thumbnet("evaluate", "--teacher", "timm/resnet18", "--data", "x", "--formats", "png")
    assert_one_clear_line(answer, "--formats is for the thumbnails of a run")


def test_an_evaluation_that_does_not_fit_into_memory_says_what_to_give(
    thumbnet: Run, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fills_the_memory(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr("thumbnet.cli.commands.evaluate_run", fills_the_memory)
    answer = thumbnet("evaluate", trained_run, "--batch-size", 16)
    assert_one_clear_line(answer, "not enough memory", "give a smaller --batch-size than 16")
