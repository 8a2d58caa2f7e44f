"""The server's interface, with networks that say what they are told."""

import asyncio
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the server's packages are not installed: pip install 'thumbnet[serve]'")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from stand_in_networks import SIDE, Greys
from thumbnet.config.serve import ServeSettings
from thumbnet.deployment.server.app import create_app


@pytest.fixture
def greys() -> Greys:
    return Greys()


@pytest.fixture
def client(greys: Greys) -> Iterator[Callable[..., TestClient]]:
    opened: list[TestClient] = []

    def make(token: str | None = None, hosts: tuple[str, ...] = (), **limits: Any) -> TestClient:
        app = create_app(greys, ServeSettings(**limits), token, hosts=hosts)
        opened.append(TestClient(app, raise_server_exceptions=False).__enter__())
        return opened[-1]

    yield make
    for one in opened:
        one.__exit__(None, None, None)


def png(level: int, side: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (level,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_is_classified_raw_or_from_a_form(client: Callable[..., TestClient]) -> None:
    server = client()
    raw = server.post("/classify?top=2", content=png(250))
    assert raw.status_code == 200
    answer = raw.json()
    assert (answer["label"], answer["given"], len(answer["ranked"])) == ("bright", "picture", 2)
    assert answer["score"] == answer["ranked"][0]["score"] > answer["ranked"][1]["score"]
    assert set(answer["milliseconds"]) == {"decode", "networks"}
    form = server.post("/classify", files={"anything": ("a.jpg", png(3), "image/jpeg")})
    assert form.json()["label"] == "dark", "what it is follows from its bytes, not from its name"


def test_a_ready_thumbnail_skips_the_downscaler(client: Callable[..., TestClient], greys: Greys) -> None:
    answer = client().post("/classify", content=png(130, SIDE)).json()
    assert (answer["label"], answer["given"]) == ("grey", "thumbnail")
    assert greys.batches == []
    assert client().post("/classify?given=thumbnail", content=png(130)).status_code == 422


@pytest.mark.parametrize(("name", "kind"), [("png", "PNG"), ("webp", "WEBP"), ("jpeg", "JPEG")])
def test_a_thumbnail_comes_back_as_a_file(name: str, kind: str, client: Callable[..., TestClient]) -> None:
    answer = client().post(f"/thumbnail?format={name}", content=png(77))
    assert (answer.status_code, answer.headers["content-type"]) == (200, f"image/{name}")
    with Image.open(io.BytesIO(answer.content)) as made:
        assert (made.format, made.size) == (kind, (SIDE, SIDE))


def test_the_plain_thumbnail_and_the_teacher_are_there_to_compare_with(client: Callable[..., TestClient]) -> None:
    server = client()
    with Image.open(io.BytesIO(server.post("/thumbnail?downscaler=bicubic", content=png(77)).content)) as made:
        assert made.getpixel((0, 0)) == (9, 9, 9)
    assert server.post("/teacher?top=1", content=png(255)).json()["label"] == "grey"


def test_without_a_teacher_there_is_no_path_to_one(client: Callable[..., TestClient], greys: Greys) -> None:
    greys.has_teacher = False
    assert client().post("/teacher", content=png(1)).status_code == 404


def test_a_batch_answers_in_order_and_names_what_failed(client: Callable[..., TestClient]) -> None:
    files = [("files", (f"{level}.png", png(level))) for level in (0, 128, 255)]
    files.insert(1, ("files", ("bad.png", b"no picture")))
    answers = client().post("/classify/batch", files=files).json()
    assert [answer.get("label") for answer in answers] == ["dark", None, "grey", "bright"]
    assert "not a picture" in answers[1]["error"]


def test_what_cannot_be_answered_has_a_status_and_a_reason(client: Callable[..., TestClient]) -> None:
    server = client(max_bytes=5000, max_pixels=10_000, max_pictures=2)
    cases = [
        ("/classify", {"content": b""}, 400, "empty"),
        ("/classify", {"content": b"x" * 6000}, 413, "5,000 bytes"),
        ("/classify", {"content": b"hello"}, 415, "not a picture"),
        ("/classify", {"content": png(1)[:60]}, 422, "cannot be read"),
        ("/classify", {"content": png(1, 200)}, 413, "more than"),
        ("/classify?top=0", {"content": png(1)}, 422, "top"),
        ("/classify?given=nothing", {"content": png(1)}, 422, "given"),
        ("/thumbnail?format=png&quality=3", {"content": png(1)}, 422, "png loses nothing"),
        ("/classify", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "form"),
        ("/classify", {"data": {"a": "b"}, "files": {"": ("", b"")}}, 400, "form"),
        ("/classify/batch", {"files": [("f", ("a", png(1)))] * 3}, 413, "more than 2 pictures"),
    ]
    for path, request, status, words in cases:
        answer = server.post(path, **request)
        assert (answer.status_code, words in answer.json()["error"]) == (status, True), (path, answer.text)


def chunked(size: int) -> Iterator[bytes]:
    for _ in range(size // 1000):
        yield b"x" * 1000


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(client: Callable[..., TestClient]) -> None:
    assert client(max_bytes=5000).post("/classify", content=chunked(50_000)).status_code == 413


def test_a_fault_of_ours_tells_nothing_of_this_machine(client: Callable[..., TestClient], greys: Greys) -> None:
    server = client()
    greys.broken = True
    answer = server.post("/classify", content=png(1))
    assert (answer.status_code, "secret" in answer.text, "Traceback" in answer.text) == (500, False, False)
    greys.broken = False
    assert server.post("/classify", content=png(1)).status_code == 200, "the next one is answered"


def test_a_token_is_asked_for_where_there_is_one(client: Callable[..., TestClient]) -> None:
    server = client("geheim-é")
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic geheim"}):
        answer = server.post("/classify", content=png(1), headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    right = {"authorization": "Bearer geheim-é".encode()}
    assert server.post("/classify", content=png(1), headers=right).status_code == 200
    assert {server.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")} == {200}


@pytest.mark.parametrize("host", ["a/healthz?", "a/?", "a/page/x?", "x/page/?/../", "?/", "#"])
def test_no_host_header_talks_its_way_past_the_token(host: str, client: Callable[..., TestClient]) -> None:
    server = client("geheim")
    for path in ("/classify", "/thumbnail", "/teacher", "/openapi.json", "/page", "/pages/x"):
        answer = server.request("POST", path, content=png(1), headers={"host": host}, follow_redirects=False)
        assert answer.status_code == 401, (path, answer.text)


def test_it_answers_under_its_own_names_only(client: Callable[..., TestClient]) -> None:
    server = client(hosts=("localhost", "127.0.0.1:8000", "[::1]"))
    for host, status in (
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8000", 200),
        ("evil.example:8000", 421),
        ("localhost.evil.example", 421),
        ("", 421),
    ):
        answer = server.post("/classify", content=png(1), headers={"host": host})
        assert answer.status_code == status, host


def test_the_schema_says_that_a_token_is_asked_for(client: Callable[..., TestClient]) -> None:
    schema = client("geheim").get("/openapi.json", headers={"authorization": "Bearer geheim"}).json()
    assert schema["components"]["securitySchemes"]["HTTPBearer"] == {"type": "http", "scheme": "bearer"}
    assert schema["paths"]["/classify"]["post"]["security"] == [{"HTTPBearer": []}]
    assert "security" not in schema["paths"]["/healthz"]["get"]
    assert "securitySchemes" not in client().get("/openapi.json").json()["components"]


def test_what_is_not_there_is_said_as_every_error_is(client: Callable[..., TestClient]) -> None:
    server = client()
    assert server.get("/nowhere").json() == {"error": "not found"}
    answer = server.get("/classify")
    assert (answer.status_code, answer.json(), answer.headers["allow"]) == (
        405,
        {"error": "method not allowed"},
        "POST",
    )


def asked(app: FastAPI, messages: list[dict[str, Any]], path: str = "/classify") -> list[dict[str, Any]]:
    """What the app sends when these messages are all that comes."""
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": [], "http_version": "1.1", "scheme": "http", "server": None, "client": None, "root_path": ""}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.sleep(30)
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        async with app.router.lifespan_context(app):
            await app(scope, receive, send)

    asyncio.run(run())
    return sent


def test_a_client_that_goes_away_is_no_fault(greys: Greys, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(greys, ServeSettings())
    begun = {"type": "http.request", "body": png(1)[:20], "more_body": True}
    assert asked(app, [begun, {"type": "http.disconnect"}]) == []
    assert (caplog.records, app.state.service.taken) == ([], 0)
    assert b'path="/classify",status="499"} 1.0' in app.state.service.metrics.text()


def test_a_body_that_does_not_come_is_not_waited_for(greys: Greys) -> None:
    app = create_app(greys, ServeSettings(body_seconds=0.1))
    begun = {"type": "http.request", "body": png(1)[:20], "more_body": True}
    assert asked(app, [begun])[0]["status"] == 408
    assert app.state.service.taken == 0


def test_a_fault_is_counted_logged_and_answered_as_guarded_as_all_else(
    client: Callable[..., TestClient], greys: Greys, caplog: pytest.LogCaptureFixture
) -> None:
    server = client()
    greys.broken = True
    answer = server.post("/classify", content=png(1))
    assert (answer.status_code, answer.headers["x-content-type-options"]) == (500, "nosniff")
    assert 'path="/classify",status="500"} 1.0' in server.get("/metrics").text
    assert [record.exc_info is not None for record in caplog.records if record.name.startswith("thumbnet")] == [True]


def test_counters_and_headers(client: Callable[..., TestClient]) -> None:
    server = client()
    answer = server.post("/classify", content=png(1))
    server.get("/nowhere")
    counted = server.get("/metrics").text
    assert 'thumbnet_requests_total{path="/classify",status="200"} 1.0' in counted
    assert 'thumbnet_requests_total{path="other",status="404"} 1.0' in counted
    assert "thumbnet_requests_in_progress 0.0" in counted
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


def gathered(app: FastAPI, requests: int, act: Callable[[], None]) -> list[httpx.Response]:
    """Answers to requests that are all sent at once; `act` happens once they are on their way."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as one:
            sent = [asyncio.create_task(one.post("/classify", content=png(level))) for level in range(requests)]
            await asyncio.sleep(0.5)
            act()
            return list(await asyncio.gather(*sent))

    return asyncio.run(run())


def test_requests_at_the_same_time_go_through_the_networks_together(greys: Greys) -> None:
    app = create_app(greys, ServeSettings(batch=4, wait_ms=20))
    greys.gate.clear()
    answers = gathered(app, 9, greys.gate.set)
    assert {answer.status_code for answer in answers} == {200}
    assert sum(greys.batches) == 9
    assert max(greys.batches) == 4


def test_without_waiting_what_is_there_already_still_goes_together(greys: Greys) -> None:
    app = create_app(greys, ServeSettings(batch=4, wait_ms=0))
    greys.gate.clear()
    assert {answer.status_code for answer in gathered(app, 9, greys.gate.set)} == {200}
    assert max(greys.batches) == 4


def test_overload_is_told_at_once_and_nothing_that_was_taken_on_is_lost(greys: Greys) -> None:
    app = create_app(greys, ServeSettings(queue=5))
    greys.gate.clear()
    answers = gathered(app, 12, greys.gate.set)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 5 + [503] * 7
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)


def test_a_request_that_takes_too_long_is_given_up(greys: Greys) -> None:
    app = create_app(greys, ServeSettings(request_seconds=0.2))
    greys.gate.clear()
    started = time.monotonic()
    answers = gathered(app, 2, greys.gate.set)
    assert [answer.status_code for answer in answers] == [504, 504]
    assert time.monotonic() - started < 5
    assert app.state.service.taken == 0
