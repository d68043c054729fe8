"""OpenTelemetry traces, sent to the collector that CONFIDE_OTLP_ENDPOINT names; without one nothing is loaded, watched or done.

Spans are made here and not by ready instrumentation, which writes down URLs, statements and the texts of exceptions. A span has
the names and codes that stand in our own source: routes, tables, queues, the class of an error. Never a value.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # every command imports this module; few of them a database
    from sqlalchemy.ext.asyncio import AsyncEngine

HEADER: Final = "traceparent"
"""W3C's header; `tracestate` and baggage are not taken over: whoever calls could write anything into them."""
_WHOSE: Final = re.compile(r"[()]|\b(?:FROM|INTO|UPDATE)\s+([a-z_]+(?:\.[a-z_]+)?)")
_NOBODY: Final = nullcontext()
_SECOND: Final = 1_000_000_000

_otel: Any = None
_provider: Any = None
_tracer: Any = None


def start(endpoint: str, process: str) -> None:
    """Send this process's spans to a collector from now on; ValueError if what that takes is not installed."""
    global _otel, _provider, _tracer  # noqa: PLW0603 - a process has one tracer, or none
    if not endpoint or _tracer is not None:
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        raise ValueError(
            "CONFIDE_OTLP_ENDPOINT needs more: pip install 'confide[telemetry]'"
        ) from None
    _otel, _provider = (
        trace,
        TracerProvider(resource=Resource.create({"service.name": f"confide-{process}"})),
    )
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("confide")


def stop() -> None:
    """Send what waits, and make no more spans."""
    global _tracer  # noqa: PLW0603 - as above
    if _tracer is not None:
        _tracer = None
        _provider.shutdown()


def trace_id() -> str | None:
    """Return the id of the trace that this runs in."""
    if _tracer is None:
        return None
    context = _otel.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def span(
    name: str, kind: str, parent: str | None = None, **attributes: Any
) -> AbstractContextManager[Any]:
    """Return what its block is traced by: a span, or nothing. `parent` is a traceparent from elsewhere."""
    return _NOBODY if _tracer is None else _spanning(name, kind, parent, attributes)


def headers() -> dict[str, str]:
    """Return the headers by which another process goes on with this trace."""
    carrier: dict[str, str] = {}
    if _tracer is not None:
        _propagator().inject(carrier)
    return carrier


def watch_engine(engine: "AsyncEngine") -> None:
    """Have a span made of every statement that goes through SQLAlchemy."""
    if _tracer is None:
        return
    from sqlalchemy import event

    target = engine.sync_engine
    event.listen(target, "before_cursor_execute", _begun)
    event.listen(target, "after_cursor_execute", _ended)
    event.listen(target, "handle_error", _failed)
    event.listen(target, "connect", lambda made, _record: watch(made.driver_connection))


def watch(connection: Any) -> None:
    """Have a span made of every statement that goes over a bare asyncpg connection."""
    if _tracer is not None:
        connection.add_query_logger(_asked)


@contextmanager
def _spanning(
    name: str, kind: str, parent: str | None, attributes: Mapping[str, Any]
) -> Iterator[Any]:
    above = _propagator().extract({HEADER: parent}) if parent else None
    with _tracer.start_as_current_span(
        name,
        above,
        _otel.SpanKind[kind],
        {_dotted(key): value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except BaseException as error:
            made.set_attribute("error.type", type(error).__name__)
            made.set_status(_otel.StatusCode.ERROR)
            raise


def _asked(told: Any) -> None:
    """Make a span of a statement that asyncpg has timed."""
    now = time_ns()
    _note(told.query, now - int(told.elapsed * _SECOND), now, told.exception)


def _begun(connection: Any, *_: Any) -> None:
    connection.info["began"] = time_ns()


def _ended(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    _note(statement, connection.info["began"], time_ns())


def _failed(told: Any) -> None:
    if told.connection is not None and told.statement:
        began = told.connection.info.get("began", time_ns())
        _note(told.statement, began, time_ns(), told.original_exception)


def _note(statement: str, began: int, ended: int, error: BaseException | None = None) -> None:
    if _tracer is None:
        return
    verb, table = _summary(statement)
    attributes = {"db.system.name": "postgresql", "db.operation.name": verb}
    if table:
        attributes["db.collection.name"] = table
    name, kind = f"{verb} {table}".strip(), _otel.SpanKind.CLIENT
    made = _tracer.start_span(name, kind=kind, attributes=attributes, start_time=began)
    if error is not None:
        made.set_attribute("error.type", type(error).__name__)
        made.set_status(_otel.StatusCode.ERROR)
    made.end(ended)


@lru_cache(maxsize=1024)
def _summary(statement: str) -> tuple[str, str]:
    """Return a statement's verb and its table, past any subqueries: words of our source, not of anybody's data."""
    verb, depth = re.match(r"\s*([A-Za-z]+)", statement), 0
    for found in _WHOSE.finditer(statement):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if found[1] and depth == 0:
            return verb[1].upper() if verb else "?", found[1]
    return verb[1].upper() if verb else "?", ""


def _dotted(name: str) -> str:
    return name.replace("__", ".")


def _propagator() -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator()
