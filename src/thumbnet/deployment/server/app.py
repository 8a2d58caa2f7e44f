"""The HTTP app: paths, limits, what a failure looks like from outside."""

import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from thumbnet.config.serve import ServeSettings
from thumbnet.deployment.server.page import is_open, page_routes
from thumbnet.deployment.server.refusals import Refusal
from thumbnet.deployment.server.routes import picture_routes, state_routes
from thumbnet.deployment.server.service import Service
from thumbnet.deployment.server.work import Networks

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
OPEN_PATHS = ("/healthz", "/readyz", "/metrics")


def create_app(
    networks: Networks,
    settings: ServeSettings,
    token: str | None = None,
    *,
    folder: Path | None = None,
    samples: Path | None = None,
) -> FastAPI:
    """The app.

    Args:
        networks: E and S.
        settings: Limits.
        token: What requests must carry, if anything.
        folder: The export, for the page: its graph for the browser.
        samples: A folder of pictures that the page offers.
    """
    service = Service(networks, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="ThumbNet",
        version="1",
        summary="Classifies pictures by their thumbnails.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    _add_guards(app, service, token)
    app.include_router(picture_routes(service))
    app.include_router(state_routes(service))
    app.include_router(page_routes(folder, token is not None, samples, networks=networks, settings=settings))
    return app


def _add_guards(app: FastAPI, service: Service, token: str | None) -> None:
    @app.middleware("http")
    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        route = request.url.path
        if token is not None and not _is_open(route) and not _carries(request, token):
            response: Response = _problem(Refusal(401, "a bearer token is needed"))
            response.headers["WWW-Authenticate"] = "Bearer"
        else:
            response = await go_on(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        # As the app names it: whoever asks for other paths must not fill the registry with them.
        path = getattr(request.scope.get("route"), "path", "other")
        service.metrics.requests.labels(path, str(response.status_code)).inc()
        service.metrics.seconds.labels(path).observe(time.perf_counter() - started)
        return response

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return _problem(refusal)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _problem(Refusal(422, f"{first['loc'][-1]}: {first['msg']}"))

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        # The server's log has the traceback; who asked learns nothing of this machine.
        return _problem(Refusal(500, "a fault of the server; its log says which"))


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or is_open(path)


def _carries(request: Request, token: str) -> bool:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), token.encode())
    return kind.lower() == "bearer" and same


def _problem(refusal: Refusal) -> JSONResponse:
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else None
    return JSONResponse({"error": refusal.reason}, refusal.status, headers)
