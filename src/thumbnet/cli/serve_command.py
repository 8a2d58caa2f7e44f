"""`thumbnet serve`: an export, or a run that is exported first, behind HTTP. Without torch where it is an export."""

import dataclasses
import importlib.util
import ipaddress
import signal
import socket
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from thumbnet.config.serve import ServeSettings
from thumbnet.deployment.exported_folder import DESCRIPTION
from thumbnet.errors import ConfigError
from thumbnet.progress import Announcer

NEEDED = ("fastapi", "uvicorn", "prometheus_client", "python_multipart", "onnxruntime")
# Longer than clients and proxies hold an idle connection (mostly up to 60 s), or their next request is lost on it.
KEEP_ALIVE_SECONDS = 75


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
    app = create_app(networks, settings, token, folder=folder, samples=samples)
    with listening(settings.host, settings.port) as place:
        if token is None and not is_loopback(settings.host):
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
        timeout_graceful_shutdown=round(settings.request_seconds) + 5,
    )
    # uvicorn raises the signal that ended it once more, when all is done; that is no failure.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: None)
    uvicorn.Server(config).run(sockets=[place])


def exported(run: Path, allow_code: bool, announcer: Announcer) -> Path:
    """The folder of the graphs: `run` itself, or `run`/export, made if it is missing or of another bundle.

    Raises:
        ThumbNetError: If there is neither an export nor a bundle, or the export is not as good as its bundle.
    """
    if (run / DESCRIPTION).is_file():
        return run
    from thumbnet.deployment.export import is_current

    folder = run / "export"
    if is_current(run, folder):
        return folder
    from thumbnet.config import ExportSettings
    from thumbnet.deployment.export import export

    announcer.say(f"exporting {run} to {folder}, once")
    settings = ExportSettings(output=str(folder))
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
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"cannot listen on {host}, port {port} ({reason}); give another --host or --port") from error


def address_of(place: socket.socket) -> str:
    """What to type into a browser."""
    host, port = place.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _require_packages() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"serve needs the package {missing[0]}; run: pip install 'thumbnet[serve]'")
