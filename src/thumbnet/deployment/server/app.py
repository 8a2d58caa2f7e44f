"""The HTTP app: what it is made of, and what a failure looks like from outside."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from thumbnet.config.serve import ServeSettings
from thumbnet.deployment.server.guard import Guard, problem
from thumbnet.deployment.server.page import page_routes
from thumbnet.deployment.server.refusals import Refusal
from thumbnet.deployment.server.routes import picture_routes, state_routes
from thumbnet.deployment.server.service import Service
from thumbnet.deployment.server.work import Networks


def create_app(
    networks: Networks,
    settings: ServeSettings,
    token: str | None = None,
    *,
    hosts: Iterable[str] = (),
    folder: Path | None = None,
    samples: Path | None = None,
) -> FastAPI:
    """The app.

    Args:
        networks: E and S.
        settings: Limits.
        token: What requests must carry, if anything.
        hosts: Names under which it answers; any where there are none.
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
    app.add_middleware(Guard, service=service, token=token, hosts=tuple(hosts))
    _answer_failures(app)
    # The guard asks for the token; this says so in the schema.
    asked = [] if token is None else [Depends(HTTPBearer(auto_error=False))]
    app.include_router(picture_routes(service), dependencies=asked)
    app.include_router(state_routes(service))
    app.include_router(page_routes(folder, token is not None, samples, networks=networks, settings=settings))
    return app


def _answer_failures(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return problem(refusal)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return problem(Refusal(422, f"{first['loc'][-1]}: {first['msg']}"))

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        return problem(Refusal(error.status_code, str(error.detail).lower()), dict(error.headers or {}))
