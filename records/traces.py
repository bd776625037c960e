"""OpenTelemetry spans of a run, its calls and its tools; nothing happens until an endpoint is set."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

EXPORT_S = 2.0
_tracer: Any = None


def configure(process: str, endpoint: str | None) -> Callable[[], None]:
    """Export spans to an OTLP/HTTP endpoint, where there is one; what is returned sends the last of them.

    They are ours only: those of libraries would hold what a server said.
    """
    global _tracer
    if endpoint is None:
        return lambda: None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"rhone-{process}"}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=EXPORT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("rhone")
    return provider.shutdown


def span(name: str, **attributes: str | int | None) -> AbstractContextManager[Any]:
    """A span around a piece of work, with the ids that it is about."""
    if _tracer is None:
        return nullcontext()
    known = {f"rhone.{key}": value for key, value in attributes.items() if value is not None}
    return _started_span(name, known)


@contextmanager
def _started_span(name: str, attributes: dict[str, str | int]) -> Generator[Any]:
    """What went wrong in it is told by its kind: the words may hold what a server echoed."""
    from opentelemetry.trace import StatusCode

    started = _tracer.start_as_current_span(
        name, attributes=attributes, record_exception=False, set_status_on_exception=False
    )
    with started as current:
        try:
            yield current
        except BaseException as error:
            current.set_status(StatusCode.ERROR, type(error).__name__)
            raise
