"""The page that shows what the networks do: its files, the downscaler for the browser, and what the page must know.

Serves only files that it found when it was made; no path is put together from a request.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from thumbnet.config.serve import ServeSettings
from thumbnet.deployment.exported_folder import BROWSER, DESCRIPTION, read_export
from thumbnet.deployment.server.answers import PROBLEMS
from thumbnet.deployment.server.refusals import Refusal
from thumbnet.deployment.server.work import Networks

ASSETS = Path(__file__).with_name("page")
# onnxruntime-web, as `scripts/build-page` leaves it; not in a source checkout where that has not run.
RUNTIME = ("ort/ort.wasm.min.mjs", "ort/ort-wasm-simd-threaded.mjs", "ort/ort-wasm-simd-threaded.wasm")
OPEN_PATHS, OPEN_FOLDER = ("/", "/about"), "/page/"
# The machine's own list of types may lack some of these, or say otherwise.
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
SAMPLES = (".jpg", ".jpeg", ".png", ".webp")
MOST_SAMPLES = 12
# `no-cache` asks again every time, and is answered with 304 where nothing changed.
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
}
DRAWN = {
    "harbour": "A drawn harbour at dusk: a striped lighthouse on a rock, two sailing boats, a low sun over water.",
    "table": "A drawn still life: an apple, an orange and a lemon on a checked tablecloth.",
}


class Sample(BaseModel):
    """A picture that the page offers."""

    name: str
    url: str
    alt: str


class Seen(BaseModel):
    """Which part of a picture the networks see, so that the page shows the same part of the original."""

    mode: str
    share: float


class About(BaseModel):
    """What the page must know of the server."""

    image_side: int | None
    thumbnail_side: int
    classes: int
    browser: bool
    teacher: bool
    token: bool
    max_bytes: int
    max_pixels: int
    seen: Seen | None
    samples: list[Sample]


def page_routes(
    folder: Path | None,
    needs_token: bool,
    samples: Path | None,
    *,
    networks: Networks,
    settings: ServeSettings,
    assets: Path = ASSETS,
) -> APIRouter:
    """The page and what it needs; none of it asks for a token.

    Args:
        folder: The export; its graph for the browser is served where it has one.
        needs_token: Whether the other paths ask for one.
        samples: Pictures to offer beside the page's own.
        networks: E, S and, where it is there, T.
        settings: Limits.
        assets: The page's files.
    """
    files, offered = _files(assets), _offered(assets, samples)
    files |= {f"samples/{sample.name}": place for sample, place in offered}
    graph = folder / BROWSER if folder is not None else None
    if graph is not None and graph.is_file():
        files[BROWSER] = graph
    about = _about(folder, networks, settings).model_copy(
        update={
            "browser": BROWSER in files and all(name in files for name in RUNTIME),
            "teacher": networks.has_teacher,
            "token": needs_token,
            "samples": [sample for sample, _ in offered],
        }
    )
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return _file(request, assets / "index.html")

    @router.get("/page/{name:path}", include_in_schema=False)
    async def asset(request: Request, name: str) -> Response:
        if name not in files:
            raise Refusal(404, "the page has no such file")
        return _file(request, files[name])

    @router.get("/about", responses={503: PROBLEMS[503]})
    async def tell() -> About:
        """What the server can do, and what it takes."""
        return about

    return router


def is_open(path: str) -> bool:
    """Whether a path is the page's, which asks for no token."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDER)


def _files(assets: Path) -> dict[str, Path]:
    found = (place for place in sorted(assets.rglob("*")) if place.suffix in MEDIA_TYPES and place.is_file())
    return {place.relative_to(assets).as_posix(): place for place in found}


def _offered(assets: Path, samples: Path | None) -> list[tuple[Sample, Path]]:
    """Samples and their files: those that were given first, as they are what the networks were trained for."""
    offered: dict[str, tuple[Sample, Path]] = {}
    for place in (*_pictures(samples), *_pictures(assets / "samples")):
        title = place.stem.replace("_", " ").replace("-", " ")
        alt = DRAWN.get(place.stem, f"Sample picture: {title}") if place.parent.parent == assets else f"Sample: {title}"
        sample = Sample(name=place.name, url=f"page/samples/{quote(place.name)}", alt=alt)
        offered.setdefault(place.name, (sample, place))
    return list(offered.values())


def _pictures(folder: Path | None) -> Iterator[Path]:
    if folder is not None and folder.is_dir():
        files = (place for place in sorted(folder.iterdir()) if place.suffix.lower() in SAMPLES and place.is_file())
        yield from list(files)[:MOST_SAMPLES]


def _about(folder: Path | None, networks: Networks, settings: ServeSettings) -> About:
    described = read_export(folder) if folder is not None and (folder / DESCRIPTION).is_file() else None
    view = described.preprocessing if described is not None else None
    share = min(1.0, view.image_side / view.resize_side) if view is not None else 1.0
    return About(
        image_side=view.image_side if view is not None else None,
        thumbnail_side=networks.thumbnail_side,
        classes=len(networks.labels),
        browser=False,
        teacher=False,
        token=False,
        max_bytes=settings.max_bytes,
        max_pixels=settings.max_pixels,
        seen=Seen(mode=view.crop_mode, share=share) if view is not None else None,
        samples=[],
    )


def _file(request: Request, place: Path) -> Response:
    try:
        facts = place.stat()
    except OSError as error:  # removed while the server runs
        raise Refusal(404, "the page has no such file") from error
    tag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
    headers = {**HEADERS, "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(place, headers=headers, media_type=MEDIA_TYPES[place.suffix.lower()])
