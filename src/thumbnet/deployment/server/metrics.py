"""What Prometheus is told, in a registry of the app's own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PICTURES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        here = self.registry
        self.requests = Counter("thumbnet_requests", "Requests by path and status.", ("path", "status"), registry=here)
        self.seconds = Histogram(
            "thumbnet_request_seconds", "Time from a request to its answer.", ("path",), buckets=_SECONDS, registry=here
        )
        self.steps = Histogram(
            "thumbnet_step_seconds", "Time of one step for one picture.", ("step",), buckets=_SECONDS, registry=here
        )
        self.batch = Histogram("thumbnet_batch_pictures", "Pictures together.", buckets=_PICTURES, registry=here)
        self.taken = Gauge("thumbnet_requests_in_progress", "Requests taken on and not answered.", registry=here)
        self.received = Counter("thumbnet_received_bytes", "Bytes of pictures received.", registry=here)

    def text(self) -> bytes:
        """Everything in Prometheus's format."""
        return generate_latest(self.registry)
