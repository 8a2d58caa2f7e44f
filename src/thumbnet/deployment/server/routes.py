"""The paths: what each takes and answers."""

import asyncio
import time
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from thumbnet.deployment.server.answers import BODY, FILES, PROBLEMS, Classified, Problem, Ranked
from thumbnet.deployment.server.bodies import pictures_of
from thumbnet.deployment.server.refusals import Refusal
from thumbnet.deployment.server.service import RETRY_SECONDS, Service
from thumbnet.deployment.server.work import Given, picture_of
from thumbnet.errors import ConfigError
from thumbnet.thumbnail_codec import chosen_format, encode

MEDIA_TYPES = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg", "jpeg444": "image/jpeg"}
Top = Annotated[int, Query(ge=1, le=1000, description="How many classes to rank.")]
AsGiven = Annotated[
    Given | None, Query(description="What the picture is; by default one of exactly a thumbnail's size is a thumbnail.")
]
Format = Annotated[Literal["png", "webp", "jpeg", "jpeg444"], Query(description="Of the thumbnail's file.")]
Quality = Annotated[int | None, Query(ge=1, le=100, description="Of jpeg (default 90) and lossy webp.")]
THUMBNAIL: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {} for kind in sorted(set(MEDIA_TYPES.values()))}}
}


def picture_routes(service: Service) -> APIRouter:
    """Paths that take pictures."""
    router, limits = APIRouter(), service.settings

    @router.post("/classify", responses=PROBLEMS, openapi_extra=BODY)
    async def classify(request: Request, top: Top = 5, given: AsGiven = None) -> Classified:
        """Classifies a full picture or a ready thumbnail, sent as the body or as a form's file."""
        async with service.admitted():
            (content,) = await pictures_of(request, limits.max_bytes, 1)
            return await _classify(service, content, top, given)

    @router.post("/thumbnail", responses={**PROBLEMS, **THUMBNAIL}, openapi_extra=BODY, response_class=Response)
    async def thumbnail(request: Request, format: Format = "png", quality: Quality = None) -> Response:  # noqa: A002
        """The thumbnail of a full picture, as a file."""
        async with service.admitted():
            try:
                stored_as = chosen_format(format, quality)
            except ConfigError as error:
                raise Refusal(422, str(error)) from error
            (content,) = await pictures_of(request, limits.max_bytes, 1)
            answered = await service.ask(await service.decode(content, "picture"), classify=False)
            encoded = await asyncio.get_running_loop().run_in_executor(
                service.decoders, encode, picture_of(answered.thumbnail), stored_as
            )
            return Response(encoded, media_type=MEDIA_TYPES[format])

    @router.post("/classify/batch", responses=PROBLEMS, openapi_extra=FILES)
    async def classify_batch(request: Request, top: Top = 1, given: AsGiven = None) -> list[Classified | Problem]:
        """Classifies the files of a form; one that cannot be read has its error in its place."""

        async def one(content: bytes) -> Classified | Problem:
            try:
                return await _classify(service, content, top, given)
            except Refusal as refusal:
                return Problem(error=refusal.reason)

        async with service.admitted():
            contents = await pictures_of(request, limits.max_bytes, limits.max_pictures)
            return list(await asyncio.gather(*(one(content) for content in contents)))

    return router


def state_routes(service: Service) -> APIRouter:
    """Paths for whoever watches over the server; they need no token."""
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @router.get("/readyz", responses={503: {"model": Problem}})
    async def readyz() -> dict[str, str]:
        """Whether it takes on requests."""
        if not service.ready:
            raise Refusal(503, "not ready", RETRY_SECONDS)
        return {"status": "ready"}

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    return router


async def _classify(service: Service, content: bytes, top: int, given: Given | None) -> Classified:
    started = time.perf_counter()
    decoded = await service.decode(content, given)
    after_decode = time.perf_counter()
    answered = await service.ask(decoded, classify=True)
    ended = time.perf_counter()
    assert answered.scores is not None
    best = np.argsort(-answered.scores, kind="stable")[:top]
    ranked = [Ranked(label=service.networks.labels[place], score=float(answered.scores[place])) for place in best]
    return Classified(
        label=ranked[0].label,
        score=ranked[0].score,
        ranked=ranked,
        given=decoded.given,
        milliseconds={"decode": 1e3 * (after_decode - started), "networks": 1e3 * (ended - after_decode)},
    )
