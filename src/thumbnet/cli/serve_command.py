"""`thumbnet serve`: an export, or a run that is exported first, behind HTTP. Without torch where it is an export."""

import asyncio
import dataclasses
import importlib.util
import ipaddress
import signal
import socket
from math import ceil
from pathlib import Path
from types import FrameType
from typing import Any

from jsonargparse import Namespace

from thumbnet.config.serve import ServeSettings
from thumbnet.deployment.exported_folder import DESCRIPTION
from thumbnet.errors import ConfigError
from thumbnet.progress import Announcer

NEEDED = ("fastapi", "uvicorn", "prometheus_client", "python_multipart", "onnxruntime")
# Longer than clients and proxies hold an idle connection (mostly up to 60 s), or their next request is lost on it.
KEEP_ALIVE_SECONDS = 75
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def serve(flags: Namespace) -> int:
    """`thumbnet serve`."""
    names = [field.name for field in dataclasses.fields(ServeSettings)]
    settings = ServeSettings(**{name: getattr(flags, name) for name in names})
    _require_packages()
    token = read_token(settings.token_file)
    samples = Path(settings.samples) if settings.samples is not None else None
    if samples is not None and not samples.is_dir():
        raise ConfigError(f"samples: {samples} is no folder; give one with pictures")
    announcer = Announcer()
    folder = exported(Path(flags.run), flags.allow_code, announcer)
    from thumbnet.deployment.server.app import create_app
    from thumbnet.deployment.server.networks import ExportedNetworks

    networks = ExportedNetworks.load(folder, settings.threads)
    networks.warm_up()
    with listening(settings.host, settings.port) as place:
        reached = place.getsockname()[0]
        hosts = names_of(settings, reached)
        app = create_app(networks, settings, token, hosts=hosts, folder=folder, samples=samples)
        if token is None and not is_loopback(reached):
            announcer.warn(f"anyone who reaches {settings.host} can use it; give --token-file to ask for a token")
        print(f"serving {folder} at {address_of(place)} (Ctrl+C ends it)", flush=True)
        run(app, settings, place)
    return 0


def run(app: Any, settings: ServeSettings, place: socket.socket) -> None:
    """Answers until the process is told to end; then what was taken on is finished first."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=ceil(settings.request_seconds) + 5,
    )
    server = uvicorn.Server(config)
    end = server.handle_exit

    def drain(number: int, frame: FrameType | None) -> None:
        """The first signal is a request to end, the second an order."""
        begun, app.state.service.ready = not app.state.service.ready, False
        if begun or settings.drain_seconds == 0:
            end(number, frame)
        else:
            asyncio.get_running_loop().call_later(settings.drain_seconds, setattr, server, "should_exit", True)

    server.handle_exit = drain  # type: ignore[method-assign, assignment]
    # For what comes before uvicorn listens to signals, and after: it raises the one that ended it once more, which is
    # no failure.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: setattr(server, "should_exit", True))
    server.run(sockets=[place])


def exported(run: Path, allow_code: bool, announcer: Announcer) -> Path:
    """The folder of the graphs: `run` itself, its `export`, or its `served`, which is made where neither is current.

    An export that somebody made is used or left alone, never replaced.

    Raises:
        ThumbNetError: If there is neither an export nor a bundle, or the export is not as good as its bundle.
    """
    if (run / DESCRIPTION).is_file():
        return run
    from thumbnet.deployment.export import export, is_current

    theirs, ours = run / "export", run / "served"
    for folder in (theirs, ours):
        if is_current(run, folder):
            return folder
    if (theirs / DESCRIPTION).is_file():
        announcer.warn(f"{theirs} is not of this bundle as it is now, so it is not served; export it again")
    from thumbnet.config import ExportSettings

    announcer.say(f"exporting {run} to {ours}, once")
    settings = ExportSettings(output=str(ours))
    return export(run, settings, overwrite=True, allow_code=allow_code, announcer=announcer).folder


def read_token(file: str | None) -> str | None:
    """The token in a file, without what is around it.

    Raises:
        ConfigError: If it cannot be read, or holds none.
    """
    if file is None:
        return None
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"token_file: {file} cannot be read; give a text file with the token") from error
    if not token or "\n" in token:
        raise ConfigError(f"token_file: {file} must hold one line, the token")
    return token


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigError: If it cannot.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        place = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"cannot listen on {host}, port {port} ({reason}); give another --host or --port") from error
    # An answer is sent in two pieces; the second must not wait 40 ms for the client to acknowledge the first. asyncio
    # sees to it for sockets that it made itself, and connections inherit it from the one that listens.
    place.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return place


def address_of(place: socket.socket) -> str:
    """What to type into a browser."""
    host, port = place.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def names_of(settings: ServeSettings, address: str) -> tuple[str, ...]:
    """Names under which the server answers at an address; none for any."""
    if settings.allowed_hosts or not is_loopback(address):
        return settings.allowed_hosts
    return (*LOOPBACK_NAMES, settings.host)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _require_packages() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"serve needs the package {missing[0]}; run: pip install 'thumbnet[serve]'")
