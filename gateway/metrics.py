"""What the gateway counts about itself, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600)


class Metrics:
    """One registry per gateway, so that two in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "rhone_gateway_requests_total",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self.latency = Histogram(
            "rhone_gateway_request_seconds",
            "Time to the first byte of an answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "rhone_gateway_requests_in_flight", "Requests being answered.", registry=self._registry
        )
        self.streams = Gauge("rhone_gateway_streams_open", "Event streams open.", registry=self._registry)
        self.events = Counter(
            "rhone_gateway_events_sent_total", "Events sent on streams.", registry=self._registry
        )
        self.runs = Counter("rhone_gateway_runs_created_total", "Runs created.", registry=self._registry)
        self.refused = Counter(
            "rhone_gateway_refused_total",
            "Requests refused to keep the house standing.",
            ("code",),
            registry=self._registry,
        )

    def text(self) -> bytes:
        return generate_latest(self._registry)
