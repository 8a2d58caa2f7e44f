"""A server with its page, on networks that are a few lines of ONNX: for tests that look at it from outside."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import uvicorn
from onnx import compose

from thumbnet.config.serve import ServeSettings
from thumbnet.data.pictures import read_picture
from thumbnet.data.working_view import Preprocessing, view_of
from thumbnet.deployment.exported_folder import BROWSER, DESCRIPTION, ExportDescription
from thumbnet.deployment.server.app import create_app
from thumbnet.deployment.server.work import Decoded
from thumbnet.deployment.view_graph import IR_VERSION, OPSET, working_view_graph

LABELS = ("lighthouse", "sailing boat", "fruit bowl", "street market", "mountain lake", "red squirrel")
TEACHER = (0.9, 0.05, 0.03, 0.01, 0.006, 0.004)
# The learned one is a smoothed picture in other colours, so that it cannot be taken for the plain one.
_DOWNSCALER = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
downscaler (uint8[batch, {image_side}, {image_side}, 3] view)
  => (uint8[batch, {side}, {side}, 3] thumbnail, uint8[batch, {side}, {side}, 3] plain)
<int64[2] size = {{{side}, {side}}}, float ink = {{0.85}}, float paper = {{38.0}}>
{{
  planes = Transpose <perm = [0, 3, 1, 2]> (view)
  shape = Shape <start = 0, end = 2> (planes)
  sizes = Concat <axis = 0> (shape, size)
  bicubic = Resize <mode = "cubic", antialias = 1, cubic_coeff_a = -0.5, exclude_outside = 1> (planes, , , sizes)
  plain = Transpose <perm = [0, 2, 3, 1]> (bicubic)
  exact = Cast <to = 1> (plain)
  faded = Mul (exact, ink)
  shifted = Add (faded, paper)
  rounded = Round (shifted)
  thumbnail = Cast <to = 2> (rounded)
}}
"""


def downscaler_graph(preprocessing: Preprocessing, side: int) -> Any:
    """Working views to the learned and the plain thumbnail."""
    text = _DOWNSCALER.format(ir=IR_VERSION, opset=OPSET, image_side=preprocessing.image_side, side=side)
    return onnx.parser.parse_model(text)


def browser_graph(preprocessing: Preprocessing, side: int) -> Any:
    """Pictures of any size to both thumbnails."""
    view = compose.add_prefix(working_view_graph(preprocessing), "v_")
    whole = compose.merge_models(view, downscaler_graph(preprocessing, side), [("v_view", "view")])
    whole.graph.input[0].name = "picture"
    for node in whole.graph.node:
        node.input[:] = ["picture" if name == "v_picture" else name for name in node.input]
    return whole


class StandIns:
    """Networks that see how bright a thumbnail is."""

    labels = LABELS
    has_teacher = False

    def __init__(self, image_side: int = 64, side: int = 16) -> None:
        self.preprocessing = Preprocessing(image_side=image_side)
        self.thumbnail_side = side
        graph = downscaler_graph(self.preprocessing, side).SerializeToString()
        self._downscaler = onnxruntime.InferenceSession(graph)

    def decode(self, content: bytes, given: Any, _limits: Any) -> Decoded:
        picture = read_picture(content)
        kind = given or ("thumbnail" if max(picture.size) == self.thumbnail_side else "picture")
        pixels = np.asarray(picture) if kind == "thumbnail" else view_of(picture, self.preprocessing, 4)
        return Decoded(pixels=pixels, given=kind)

    def thumbnails(self, views: np.ndarray) -> np.ndarray:
        return self._downscaler.run(["thumbnail"], {"view": views})[0]

    def plain(self, view: np.ndarray) -> np.ndarray:
        return self._downscaler.run(["plain"], {"view": view[None]})[0][0]

    def scores(self, thumbnails: np.ndarray) -> np.ndarray:
        means = thumbnails.reshape(len(thumbnails), -1).mean(1)
        nearness = -abs(means[:, None] - np.linspace(60, 220, len(LABELS))) / 20
        return np.exp(nearness) / np.exp(nearness).sum(1, keepdims=True)

    def teacher_scores(self, views: np.ndarray) -> np.ndarray:
        return np.tile(TEACHER, (len(views), 1))


def export_for_page(folder: Path, networks: StandIns) -> Path:
    """A folder with what the page needs of an export."""
    folder.mkdir(parents=True, exist_ok=True)
    description = ExportDescription(
        labels=networks.labels,
        image_side=networks.preprocessing.image_side,
        thumbnail_side=networks.thumbnail_side,
        multilabel=False,
        preprocessing=networks.preprocessing,
        precision="float",
        opset=OPSET,
        versions={},
        bundle="",
    )
    (folder / DESCRIPTION).write_text(json.dumps(description.as_dict()), encoding="utf-8")
    onnx.save(browser_graph(networks.preprocessing, networks.thumbnail_side), folder / BROWSER)
    return folder


@dataclass
class Running:
    """A server on this machine, and the bodies that reached it by path; `stop` may be called more than once."""

    url: str
    received: list[tuple[str, bytes]]
    server: uvicorn.Server
    thread: threading.Thread

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)


def _recorded(app: Any, received: list[tuple[str, bytes]]) -> Any:
    """The app, and what it is sent: the browser's own tools do not tell what was in a file that a page sent."""

    async def record(scope: Any, receive: Any, send: Any) -> None:
        body = b""

        async def heard() -> Any:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            return message

        await app(scope, heard, send)
        if scope.get("method") == "POST":
            received.append((f"{scope['path']}?{scope['query_string'].decode()}", body))

    return record


@contextmanager
def serving(
    networks: Any,
    token: str | None = None,
    port: int = 0,
    *,
    folder: Path | None = None,
    samples: Path | None = None,
    has_teacher: bool = False,
    **limits: Any,
) -> Iterator[Running]:
    """Runs the server on a free port."""
    networks.has_teacher = has_teacher
    app = create_app(networks, ServeSettings(**limits), token, folder=folder, samples=samples)
    received: list[tuple[str, bytes]] = []
    server = uvicorn.Server(
        uvicorn.Config(_recorded(app, received), "127.0.0.1", port, log_level="error", timeout_graceful_shutdown=2)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    here = server.servers[0].sockets[0].getsockname()[1]
    running = Running(f"http://127.0.0.1:{here}", received, server, thread)
    try:
        yield running
    finally:
        running.stop()
