"""Settings of `thumbnet serve`: where it listens, and how much it takes on."""

from dataclasses import dataclass

from thumbnet.config.checks import require


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """A server that classifies pictures and makes thumbnails.

    Attributes:
        host: Address to listen on; by default this machine only.
        port: Port to listen on; 0 takes a free one.
        token_file: A file with a token; requests then need `Authorization: Bearer TOKEN`, but for health and metrics.
        allowed_hosts: Names under which it may be asked; by default, where it listens on loopback, this machine's; else
            any.
        samples: A folder of pictures that the page offers; whoever reaches the server can see them.
        queue: Requests that are taken on at a time, being read, decoded or waiting; more are answered with 503.
        batch: Most pictures that go through the networks together.
        wait_ms: How long the first picture of a batch waits for others.
        decoders: Threads that decode; by default one a core.
        threads: Threads of the networks; by default one a core.
        max_bytes: Largest body of a request.
        max_pixels: Largest picture, in pixels.
        max_side: Longest side of a picture, px.
        max_pictures: Most pictures of one request to /classify/batch.
        body_seconds: A body that takes longer to arrive is answered with 408.
        request_seconds: A request that takes longer, with its body, is answered with 504.
        drain_seconds: How long it goes on taking requests after it was told to end, while /readyz says that it ends, so
            that whoever sends them can look elsewhere.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token_file: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    samples: str | None = None
    queue: int = 64
    batch: int = 16
    wait_ms: float = 2.0
    decoders: int | None = None
    threads: int | None = None
    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    max_side: int = 20_000
    max_pictures: int = 32
    body_seconds: float = 5.0
    request_seconds: float = 10.0
    drain_seconds: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.port <= 65535, "port", self.port, "from 0 to 65535")
        for name in ("queue", "batch", "max_bytes", "max_pixels", "max_side", "max_pictures"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("decoders", "threads"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "1 or more")
        require(self.wait_ms >= 0, "wait_ms", self.wait_ms, "0 or more")
        for name in ("body_seconds", "request_seconds"):
            require(getattr(self, name) > 0, name, getattr(self, name), "more than 0")
        require(self.drain_seconds >= 0, "drain_seconds", self.drain_seconds, "0 or more")
