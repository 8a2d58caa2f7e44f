"""The server under requests that nobody meant well: from its own schema, and with damaged pictures."""

import io
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the server's packages are not installed: pip install 'thumbnet[serve]'")
pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install schemathesis")

import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings

from stand_in_networks import SIDE, Greys
from thumbnet.config import ServeSettings
from thumbnet.data.working_view import Preprocessing, open_picture, view_of
from thumbnet.deployment.server.app import create_app
from thumbnet.deployment.server.work import Decoded

LIMITS = ServeSettings(max_bytes=200_000, max_pixels=100_000, max_side=2_000, queue=8)
TELLING = (str(Path(__file__).parents[2]), "Traceback", "site-packages", "uvicorn", "fastapi", "Python/")


class RealDecoding(Greys):
    """Stand-in networks behind the decoding that the server really does."""

    preprocessing = Preprocessing(image_side=32)

    def decode(self, content: bytes, given: Any, limits: Any) -> Decoded:
        upright, _ = open_picture(content, self.preprocessing, limits=limits)
        kind = given or ("thumbnail" if upright.size == (SIDE, SIDE) else "picture")
        if kind == "thumbnail":
            return super().decode(content, given, limits)
        return Decoded(pixels=view_of(upright, self.preprocessing, 4), given="picture")


TOKEN = "geheim"
schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(RealDecoding(), LIMITS))
guarded = schemathesis.openapi.from_asgi(
    "/openapi.json", create_app(RealDecoding(), LIMITS, TOKEN), headers={"Authorization": f"Bearer {TOKEN}"}
)
FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def server() -> Iterator[TestClient]:
    with TestClient(create_app(RealDecoding(), LIMITS), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def written() -> Iterator[Callable[[], list[str]]]:
    """Which files were opened for writing while it was watched."""
    opened: list[str] = []
    watching = [True]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching[0] and event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)
    yield lambda: opened
    watching[0] = False


def check(case: Any, headers: dict[str, str] | None = None) -> Any:
    response = case.call(headers=headers)
    case.validate_response(
        response,
        checks=[
            schemathesis.checks.not_a_server_error,
            schemathesis.checks.status_code_conformance,
            schemathesis.checks.content_type_conformance,
            schemathesis.checks.response_schema_conformance,
        ],
    )
    assert not any(word in response.text for word in TELLING)
    return response


@schema.parametrize()
@FUZZ
def test_whatever_follows_the_schema_or_breaks_it_is_answered_as_the_schema_says(case: Any) -> None:
    check(case)


@guarded.parametrize()
@FUZZ
def test_the_same_with_a_token_and_nothing_without(case: Any) -> None:
    for token in (TOKEN, "wrong"):
        response = check(case, {"Authorization": f"Bearer {token}"})
        # The generator leaves it out at times.
        right = response.request.headers.get("Authorization") == f"Bearer {TOKEN}"
        refused = not right and case.path not in ("/healthz", "/readyz", "/metrics", "/about")
        assert (response.status_code == 401) == refused


def picture(kind: str, side: int = 48) -> bytes:
    pixels = np.random.default_rng(side).integers(0, 255, (side, side + 9, 3), dtype=np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, kind)
    return made.getvalue()


def mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    match chance.randrange(4):
        case 0:
            for _ in range(chance.randint(1, 12)):
                changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        case 1:
            del changed[chance.randrange(1, len(changed)) :]
        case 2:
            changed[: chance.randint(4, 40)] = chance.randbytes(chance.randint(4, 40))
        case _:
            place = chance.randrange(len(changed))
            changed[place:place] = chance.randbytes(chance.randint(1, 2000))
    return bytes(changed)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_damaged_pictures_are_answered_and_leave_nothing(
    kind: str, server: TestClient, written: Callable[[], list[str]]
) -> None:
    chance, content = random.Random(kind), picture(kind)
    for _ in range(100):
        damaged = mutated(content, chance)
        path = chance.choice(["/classify", "/thumbnail", "/thumbnail?downscaler=bicubic", "/teacher"])
        answer = server.post(path, content=damaged)
        assert answer.status_code in {200, 400, 413, 415, 422}, (path, answer.text)
        assert not any(word in answer.text for word in TELLING)
    assert written() == []


def test_what_a_body_is_follows_from_its_bytes_whatever_it_is_called(server: TestClient) -> None:
    for claimed in ("text/html", "image/png", "application/json", "nonsense"):
        assert server.post("/classify", content=picture("JPEG"), headers={"content-type": claimed}).status_code == 200
        answer = server.post("/classify", content=b"<html>", headers={"content-type": claimed})
        assert (answer.status_code, answer.headers["content-type"]) == (415, "application/json")


def test_a_file_of_postscript_is_not_handed_to_an_interpreter(server: TestClient) -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/tmp/x) (w) file\n"
    assert server.post("/classify", content=script).status_code == 415


def test_a_form_does_not_reach_the_disk(server: TestClient, written: Callable[[], list[str]]) -> None:
    files = {"../../etc/passwd": ("../../etc/passwd", picture("PNG", 200), "image/png")}
    assert server.post("/classify", files=files).status_code == 200
    assert written() == []


def test_a_picture_larger_than_allowed_is_refused_before_it_is_decoded(server: TestClient) -> None:
    wide = io.BytesIO()
    Image.new("1", (2_001, 3)).save(wide, "PNG")
    many = io.BytesIO()
    Image.new("1", (1_000, 1_000)).save(many, "PNG")
    for content, words in (
        (wide.getvalue(), "a side of more than 2,000"),
        (many.getvalue(), "more than 100,000 pixels"),
    ):
        answer = server.post("/classify", content=content)
        assert (answer.status_code, words in answer.json()["error"]) == (413, True)
