"""`thumbnet serve`: what it answers with a real export, and how it begins and ends."""

import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the server's packages are not installed: pip install 'thumbnet[serve]'")
pytest.importorskip("onnxscript", reason="the exporter is not installed: pip install 'thumbnet[onnx]'")

from thumbnet import ThumbNet
from thumbnet.cli import main, serve_command
from thumbnet.cli.serve_command import address_of, is_loopback, listening, names_of, read_token
from thumbnet.config import ServeSettings
from thumbnet.deployment.exported_folder import read_export
from thumbnet.errors import ConfigError
from thumbnet.progress import Announcer

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run_with_code(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run, since serving one puts an export into it."""
    place = tmp_path_factory.mktemp("served") / "run"
    subprocess.run(["cp", "-r", str(trained_run), str(place)], check=True)
    return place


class Served:
    """A server in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path}
        command = [sys.executable, "-m", "thumbnet", "serve", *arguments, "--port", "0"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found, line + (self.process.stderr.read() if self.process.stderr else "")
        self.port = int(found[1])

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def end(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


@pytest.fixture(scope="module")
def served(run_with_code: Path) -> Iterator[Served]:
    server = Served(str(run_with_code), "--allow-code", "--threads", "1")
    yield server
    server.process.kill()
    server.process.communicate()


def picture_file(photos: Path) -> Path:
    return sorted((photos / "val").rglob("*.png"))[0]


def test_a_run_is_exported_once_and_answers_as_its_bundle(served: Served, run_with_code: Path, photos: Path) -> None:
    bundle = ThumbNet.load(run_with_code, allow_code=True)
    assert read_export(run_with_code / "served").labels == bundle.labels
    content = picture_file(photos).read_bytes()
    status, body = served.ask("POST", "/classify?top=2", content)
    ours, theirs = bundle.classify(content, top=2), json.loads(body)
    assert (status, theirs["label"]) == (200, ours.label)
    assert [one["score"] for one in theirs["ranked"]] == pytest.approx([one.score for one in ours.ranked], abs=1e-4)
    status, body = served.ask("POST", "/thumbnail", content)
    with Image.open(io.BytesIO(body)) as made:
        apart = np.abs(np.asarray(made).astype(int) - np.asarray(bundle.thumbnail(content)))
    assert (status, apart.max() <= 1) == (200, True)


def test_it_is_ready_and_says_nothing_of_itself(served: Served) -> None:
    assert served.ask("GET", "/readyz")[0] == 200
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    assert {name.lower() for name, _ in answer.getheaders()} & {"server", "date", "x-powered-by"} == set()


def test_a_request_that_was_taken_on_is_answered_before_it_ends(exported: Any, photos: Path) -> None:
    server = Served(str(exported.folder), "--wait-ms", "1500", "--threads", "1")
    answers: list[tuple[int, bytes]] = []
    content = picture_file(photos).read_bytes()
    asking = threading.Thread(target=lambda: answers.append(server.ask("POST", "/classify", content)))
    asking.start()
    time.sleep(0.5)
    code, errors = server.end()
    asking.join(20)
    assert [status for status, _ in answers] == [200]
    assert (code, "Traceback" in errors) == (0, False)


def test_while_it_drains_it_answers_and_says_that_it_ends(exported: Any, photos: Path) -> None:
    server = Served(str(exported.folder), "--drain-seconds", "2", "--threads", "1")
    assert server.ask("GET", "/readyz")[0] == 200
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert server.ask("GET", "/readyz")[0] == 503
    assert server.ask("POST", "/classify", picture_file(photos).read_bytes())[0] == 200
    assert server.process.wait(20) == 0


def test_a_second_signal_ends_the_draining_and_still_loses_nothing(exported: Any, photos: Path) -> None:
    server = Served(str(exported.folder), "--drain-seconds", "1", "--wait-ms", "2500", "--threads", "1")
    assert server.ask("GET", "/readyz")[0] == 200
    answers: list[tuple[int, bytes]] = []
    content = picture_file(photos).read_bytes()
    asking = threading.Thread(target=lambda: answers.append(server.ask("POST", "/classify", content)))
    asking.start()
    time.sleep(0.3)
    for _ in range(2):
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    asking.join(20)
    _, errors = server.process.communicate(timeout=20)
    assert ([status for status, _ in answers], server.process.returncode) == ([200], 0)
    assert "Traceback" not in errors


def test_a_second_signal_ends_the_draining_at_once(exported: Any) -> None:
    server = Served(str(exported.folder), "--drain-seconds", "60", "--threads", "1")
    assert server.ask("GET", "/readyz")[0] == 200
    for _ in range(2):
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    assert server.process.wait(10) == 0


def test_on_loopback_it_answers_to_this_machine_only(served: Served) -> None:
    host = {"Host": f"evil.example:{served.port}"}
    assert served.ask("GET", "/healthz", headers=host)[0] == 421
    assert served.ask("GET", "/healthz", headers={"Host": f"localhost:{served.port}"})[0] == 200


def test_an_export_that_somebody_made_is_used_or_left_alone(
    make_export: Callable[..., Any], trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, announcer = tmp_path / "run", Announcer()
    shutil.copytree(trained_run, run)
    made = make_export(run / "export", run=run).folder
    assert serve_command.exported(run, True, announcer) == made, "it is of this bundle"
    description = json.loads((made / "export.json").read_text())
    (made / "export.json").write_text(json.dumps(description | {"bundle": "another", "precision": "int8"}))
    kept = {file.name: file.read_bytes() for file in made.iterdir()}
    assert serve_command.exported(run, True, announcer) == run / "served"
    assert "export it again" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in made.iterdir()} == kept
    assert serve_command.exported(run, True, announcer) == run / "served", "it is not made twice"


def test_an_answer_is_not_held_back_for_an_acknowledgement() -> None:
    with listening("127.0.0.1", 0) as place, socket.create_connection(place.getsockname()) as _:
        taken, _address = place.accept()
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_under_which_names_it_answers() -> None:
    assert "localhost" in names_of(ServeSettings(), "127.0.0.1")
    assert "my-machine" in names_of(ServeSettings(host="my-machine"), "127.0.1.1")
    assert names_of(ServeSettings(host="0.0.0.0"), "0.0.0.0") == ()
    assert names_of(ServeSettings(allowed_hosts=("a.example",)), "127.0.0.1") == ("a.example",)


def test_names_are_given_as_any_list_is(exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(serve_command, "run", lambda app, settings, place: given.append(settings.allowed_hosts))
    for flags in (["--allowed-hosts", "a.example,b.example"], ["--allowed-hosts=a.example,b.example"]):
        assert main(["serve", str(exported.folder), "--port", "0", *flags]) == 0
    assert given == [("a.example", "b.example")] * 2


def test_an_export_is_served_without_torch(exported: Any) -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from thumbnet.cli import main\n"
        "import thumbnet.cli.serve_command as command\n"
        "command.run = lambda app, settings, place: print('ran')\n"
        f"sys.exit(main(['serve', {str(exported.folder)!r}, '--port', '0']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ran"), done.stderr


def test_a_token_comes_from_a_file(tmp_path: Path) -> None:
    assert read_token(None) is None
    (tmp_path / "token").write_text(" geheim\n")
    assert read_token(str(tmp_path / "token")) == "geheim"
    (tmp_path / "empty").write_text("\n")
    for file in ("empty", "missing"):
        with pytest.raises(ConfigError, match="token_file"):
            read_token(str(tmp_path / file))


def test_a_port_that_is_taken_is_said_in_one_line(exported: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with listening("127.0.0.1", 0) as place:
        port = place.getsockname()[1]
        assert address_of(place) == f"http://127.0.0.1:{port}"
        assert main(["serve", str(exported.folder), "--port", str(port)]) == 2
    assert f"port {port}" in capsys.readouterr().err


def test_what_is_no_export_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_who_reaches_an_address() -> None:
    assert all(is_loopback(address) for address in ("127.0.0.1", "127.0.1.1", "::1", "::ffff:127.0.0.1"))
    assert not any(is_loopback(address) for address in ("0.0.0.0", "::", "192.0.2.1", "fe80::1%eth0"))
