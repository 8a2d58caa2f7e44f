"""What every request meets first, and every answer carries.

Plain ASGI around the app: a request that is refused here (wrong host, no token, no room) costs no routing, so that a
flood of them takes less from those that were taken on.
"""

import hmac
import logging
import time
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thumbnet.deployment.server.page import is_open
from thumbnet.deployment.server.refusals import Refusal
from thumbnet.deployment.server.service import Service

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
OPEN_PATHS = ("/healthz", "/readyz", "/metrics")
TAKING_PATHS = ("/classify", "/classify/batch", "/thumbnail", "/teacher")
# As nginx counts requests whose sender went away; nobody is there to read it.
GONE = 499
_log = logging.getLogger(__name__)


class Guard:
    """Admits requests, dresses answers, counts both.

    Args:
        app: What answers what is admitted.
        service: Whose room and counters they are.
        token: What requests must carry, if anything.
        hosts: Names under which the server answers; any where it is empty. A page of another site that makes a browser
            ask here (DNS rebinding) asks under that site's name.
    """

    def __init__(self, app: ASGIApp, *, service: Service, token: str | None, hosts: Iterable[str] = ()) -> None:
        self._app, self._service, self._token = app, service, token
        self._hosts = frozenset(_name_in(host) for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refusal = self._refusal(scope)
            await (self._app if refusal is None else problem(refusal))(scope, receive, dressed)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except Exception:
            _log.exception("a request failed")  # who asked learns nothing of this machine
            if status:
                raise  # half an answer is out: the connection must not go on as if it were whole
            await problem(Refusal(500, "a fault of the server; its log says which"))(scope, receive, dressed)
        finally:
            metrics, path = self._service.metrics, _named(scope)
            metrics.requests.labels(path, str(status or GONE)).inc()
            metrics.seconds.labels(path).observe(time.perf_counter() - started)

    def _refusal(self, scope: Scope) -> Refusal | None:
        # `scope["path"]` is what the router goes by; a URL put together from the Host header need not be.
        path, headers = scope["path"], Headers(scope=scope)
        if self._hosts and _name_in(headers.get("host", "")) not in self._hosts:
            return Refusal(421, "this server does not answer to that host name; see --allowed-hosts")
        if self._token is not None and not (path in OPEN_PATHS or is_open(path)) and not _carries(headers, self._token):
            return Refusal(401, "a bearer token is needed")
        if path in TAKING_PATHS and scope["method"] == "POST":
            return self._service.refusal()
        return None


def problem(refusal: Refusal, headers: dict[str, str] | None = None) -> JSONResponse:
    """A refusal as it is answered."""
    headers = dict(headers or {})
    if refusal.retry_after:
        headers["Retry-After"] = str(refusal.retry_after)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": refusal.reason}, refusal.status, headers)


def _name_in(host: str) -> str:
    """A host's name without its port, and an address of version 6 without brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def _carries(headers: Headers, token: str) -> bool:
    kind, _, given = headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), token.encode())
    return kind.lower() == "bearer" and same


def _named(scope: Scope) -> str:
    """As the app names it: whoever asks for other paths must not fill the registry with them."""
    if scope["path"] in TAKING_PATHS:
        return str(scope["path"])
    return str(getattr(scope.get("route"), "path", "other"))
