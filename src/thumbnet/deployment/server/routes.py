"""The paths: what each takes and answers."""

import asyncio
import time
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from PIL import Image

from thumbnet.classification import Given, ranked_classes
from thumbnet.deployment.server.answers import BODY, FILES, PROBLEMS, Classified, Problem
from thumbnet.deployment.server.refusals import Refusal
from thumbnet.deployment.server.service import RETRY_SECONDS, Service
from thumbnet.deployment.server.work import Wanted
from thumbnet.errors import ConfigError
from thumbnet.thumbnail_codec import chosen_format, encode

MEDIA_TYPES = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg", "jpeg444": "image/jpeg"}
Top = Annotated[int, Query(ge=1, le=1000, description="How many classes to rank.")]
AsGiven = Annotated[
    Given | None, Query(description="What the picture is; by default one of exactly a thumbnail's size is a thumbnail.")
]
Format = Annotated[Literal["png", "webp", "jpeg", "jpeg444"], Query(description="Of the thumbnail's file.")]
Downscaler = Annotated[
    Literal["learned", "bicubic"], Query(description="The trained one, or the plain filter to compare with.")
]
Quality = Annotated[int | None, Query(ge=1, le=100, description="Of jpeg (default 90) and lossy webp.")]
THUMBNAIL: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {} for kind in sorted(set(MEDIA_TYPES.values()))}}
}


def picture_routes(service: Service) -> APIRouter:
    """Paths that take pictures."""
    router = APIRouter()

    @router.post("/classify", responses=PROBLEMS, openapi_extra=BODY)
    async def classify(request: Request, top: Top = 5, given: AsGiven = None) -> Classified:
        """Classifies a full picture or a ready thumbnail, sent as the body or as a form's file."""
        async with service.admitted():
            (content,) = await service.pictures(request)
            return await _classified(service, content, top, given, "student")

    @router.post("/thumbnail", responses={**PROBLEMS, **THUMBNAIL}, openapi_extra=BODY, response_class=Response)
    async def thumbnail(
        request: Request,
        format: Format = "png",  # noqa: A002
        quality: Quality = None,
        downscaler: Downscaler = "learned",
    ) -> Response:
        """The thumbnail of a full picture, as a file."""
        async with service.admitted():
            try:
                stored_as = chosen_format(format, quality)
            except ConfigError as error:
                raise Refusal(422, str(error)) from error
            (content,) = await service.pictures(request)
            decoded = await service.decode(content, "picture")
            pixels = (
                await service.ask(decoded, "thumbnail")
                if downscaler == "learned"
                else await service.in_thread(service.networks.plain, decoded.pixels)
            )
            encoded = await service.in_thread(encode, Image.fromarray(pixels), stored_as)
            return Response(encoded, media_type=MEDIA_TYPES[format])

    @router.post("/classify/batch", responses=PROBLEMS, openapi_extra=FILES)
    async def classify_batch(request: Request, top: Top = 1, given: AsGiven = None) -> list[Classified | Problem]:
        """Classifies the files of a form; one that cannot be read has its error in its place."""

        async def one(content: bytes) -> Classified | Problem:
            try:
                return await _classified(service, content, top, given, "student")
            except Refusal as refusal:
                return Problem(error=refusal.reason)

        async with service.admitted():
            contents = await service.pictures(request, service.settings.max_pictures)
            return list(await asyncio.gather(*(one(content) for content in contents)))

    if service.networks.has_teacher:

        @router.post("/teacher", responses=PROBLEMS, openapi_extra=BODY)
        async def teacher(request: Request, top: Top = 5) -> Classified:
            """What the teacher says of a full picture, to compare with."""
            async with service.admitted():
                (content,) = await service.pictures(request)
                return await _classified(service, content, top, "picture", "teacher")

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
        """Whether more requests should be sent to it: not while it ends."""
        if not service.ready:
            raise Refusal(503, "not ready", RETRY_SECONDS)
        return {"status": "ready"}

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    return router


async def _classified(service: Service, content: bytes, top: int, given: Given | None, by: Wanted) -> Classified:
    started = time.perf_counter()
    decoded = await service.decode(content, given)
    after_decode = time.perf_counter()
    scores = await service.ask(decoded, by)
    ended = time.perf_counter()
    milliseconds = {"decode": 1e3 * (after_decode - started), "networks": 1e3 * (ended - after_decode)}
    answer = ranked_classes(scores, service.networks.labels, top, decoded.given)
    return Classified.model_validate({**asdict(answer), "milliseconds": milliseconds})
