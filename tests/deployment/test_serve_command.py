"""`thumbnet serve`: what it answers with a real export, and how it begins and ends."""

import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the server's packages are not installed: pip install 'thumbnet[serve]'")
pytest.importorskip("onnxscript", reason="the exporter is not installed: pip install 'thumbnet[onnx]'")

from thumbnet import ThumbNet
from thumbnet.cli import main
from thumbnet.cli.serve_command import address_of, is_loopback, listening, read_token
from thumbnet.deployment.exported_folder import read_export
from thumbnet.errors import ConfigError

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
    assert read_export(run_with_code / "export").labels == bundle.labels
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


def test_a_request_that_was_taken_on_is_answered_before_it_ends(run_with_code: Path, photos: Path) -> None:
    server = Served(str(run_with_code / "export"), "--wait-ms", "1500", "--threads", "1")
    answers: list[tuple[int, bytes]] = []
    content = picture_file(photos).read_bytes()
    asking = threading.Thread(target=lambda: answers.append(server.ask("POST", "/classify", content)))
    asking.start()
    time.sleep(0.5)
    code, errors = server.end()
    asking.join(20)
    assert [status for status, _ in answers] == [200]
    assert (code, "Traceback" in errors) == (0, False)


def test_an_export_is_served_without_torch(run_with_code: Path) -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from thumbnet.cli import main\n"
        "import thumbnet.cli.serve_command as command\n"
        "command.run = lambda app, settings, place: print('ran')\n"
        f"sys.exit(main(['serve', {str(run_with_code / 'export')!r}, '--port', '0']))"
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


def test_a_port_that_is_taken_is_said_in_one_line(run_with_code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with listening("127.0.0.1", 0) as place:
        port = place.getsockname()[1]
        assert address_of(place) == f"http://127.0.0.1:{port}"
        assert main(["serve", str(run_with_code / "export"), "--port", str(port)]) == 2
    assert f"port {port}" in capsys.readouterr().err


def test_what_is_no_export_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_who_reaches_an_address() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example")] == [
        True,
        True,
        True,
        False,
        False,
    ]
