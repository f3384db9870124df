"""Logs as JSON lines, W3C trace context, spans and metrics of one process.

Without a collector (`HUB_OTLP_ENDPOINT`) a trace is two random numbers that travel along; no SDK is loaded then.
"""

import json
import logging
import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson
from prometheus_client import CollectorRegistry, Histogram, Info
from prometheus_client.exposition import generate_latest

from cluster.base.settings import settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

SpanKind = Literal["internal", "server", "client", "producer", "consumer"]

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_LOG_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Trace(NamedTuple):
    """Where the current work stands in its trace (W3C Trace Context, level 1)."""

    trace_id: str
    span_id: str
    flags: str = "01"

    def header(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)
_provider: "TracerProvider | None" = None
_process_name = "hub"
_STDERR = 2
_log_file = _STDERR

REGISTRY = CollectorRegistry()
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUEST_DURATION = Histogram(
    "hub_http_request_duration_seconds",
    "Time from a request's first byte to its last answer byte.",
    ("area", "route", "method", "status"),
    registry=REGISTRY,
    buckets=_BUCKETS,
)
_PROCESS = Info("hub_process", "Which role this process plays.", registry=REGISTRY)


def configure(process_name: str) -> None:
    """Write this process's logs as JSON lines, label its metrics, and export spans when a collector is set."""
    global _process_name
    _process_name = process_name
    _open_log(process_name.partition(":")[0])
    handler = _LogHandler()
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _LogHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings().log_level.upper())
    _PROCESS.info({"process": process_name, "stack": settings().stack, "pid": str(os.getpid())})
    if settings().otlp_endpoint and _provider is None:
        _export_spans(process_name, settings().otlp_endpoint)


def _open_log(role: str) -> None:
    """Append to a file of the log folder, which every host of this kind does; a line is one write and stays whole."""
    global _log_file
    if _log_file != _STDERR:
        os.close(_log_file)
        _log_file = _STDERR
    if folder := settings().log_folder:
        _log_file = os.open(Path(folder) / f"{role}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def write_log(lines: bytes | memoryview) -> None:
    """Write whole lines to this process's log. Who cannot log goes on working: a full disk is no reason to stop.

    It goes past `sys.stderr`, in whose place Ray Serve puts a logger that keeps back a thousand lines.
    """
    with suppress(OSError):
        os.write(_log_file, lines)


class _LogHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            write_log(self.format(record).encode() + b"\n")
        except Exception:
            self.handleError(record)


class JsonLines(logging.Formatter):
    """Format a record as one JSON object with the trace it belongs to; `extra=` fields become members."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": _process_name,
        }
        trace = _current.get()
        if trace is not None:
            line["trace_id"] = trace.trace_id
        line.update((name, value) for name, value in vars(record).items() if name not in _LOG_RECORD_FIELDS)
        if record.exc_info:
            # PostgreSQL's DETAIL quotes the row: an address, a name.
            line["exception"] = re.sub(r"\nDETAIL: .*", "", self.formatException(record.exc_info))
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:
            # A text with a lone surrogate: what a program wrote that was not UTF-8, or a file's name. It is escaped.
            return json.dumps(line, default=str)


def process_name() -> str:
    return _process_name


def current_trace() -> Trace | None:
    return _current.get()


def trace_id() -> str:
    """Return the current trace's id; a new one when nothing is traced."""
    trace = _current.get()
    return trace.trace_id if trace is not None else os.urandom(16).hex()


def traceparent() -> str | None:
    """Return the header that continues the current trace elsewhere, None outside any trace."""
    trace = _current.get()
    return None if trace is None else trace.header()


def parse_traceparent(header: str | None) -> Trace | None:
    """Read a `traceparent` header; what is malformed counts as absent (W3C Trace Context, section 2.2.2)."""
    if header is None:
        return None
    found = _TRACEPARENT.fullmatch(header)
    if found is None or (header.startswith("00") and len(header) != 55):
        return None
    trace_id, span_id, flags = found.groups()
    return Trace(trace_id, span_id, "01" if int(flags, 16) & 1 else "00")


def new_trace(parent: Trace | None) -> Trace:
    """Make the next span of `parent`'s trace, or the first of a new one."""
    if parent is None:
        return Trace(_ids.next_digits(32), _ids.next_digits(16))
    return Trace(parent.trace_id, _ids.next_digits(16), parent.flags)


class _Ids:
    """Random hexadecimal digits, each given out once. The operating system is asked for many at a time: a call costs more."""

    def __init__(self) -> None:
        self._digits = ""
        self._given = 0
        # A child must not give out what its parent does.
        os.register_at_fork(after_in_child=self._refill)

    def next_digits(self, count: int) -> str:
        begin, end = self._given, self._given + count
        if end > len(self._digits):
            self._refill()
            begin, end = 0, count
        self._given = end
        return self._digits[begin:end]

    def _refill(self) -> None:
        self._digits = os.urandom(4096).hex()
        self._given = 0


_ids = _Ids()


def enter(header: bytes | None) -> Token[Trace | None]:
    """Begin a span of the trace that a request brought, without exporting it; `leave` ends it."""
    parent = None if header is None else parse_traceparent(header.decode("latin-1"))
    return _current.set(new_trace(parent))


def leave(token: Token[Trace | None]) -> None:
    _current.reset(token)


def exports_spans() -> bool:
    return _provider is not None


@contextmanager
def span_from(
    traceparent: str | None, name: str, kind: SpanKind = "internal", attributes: dict[str, Any] | None = None
) -> Generator["Span | None"]:
    """Run the body as a span of the trace in `traceparent`, else of the current one, else of a new one.

    Yields the exported span, None when spans are not exported.
    """
    parent = parse_traceparent(traceparent) or _current.get()
    if _provider is None:
        token = _current.set(new_trace(parent))
        try:
            yield None
        finally:
            _current.reset(token)
        return
    with _exported(_provider, parent, name, kind, attributes) as span:
        yield span


@contextmanager
def _exported(
    provider: "TracerProvider", parent: Trace | None, name: str, kind: SpanKind, attributes: dict[str, Any] | None
) -> Generator["Span"]:
    from opentelemetry import trace as otel

    context = None
    if parent is not None:
        remote = otel.SpanContext(
            int(parent.trace_id, 16), int(parent.span_id, 16), True, otel.TraceFlags(int(parent.flags, 16))
        )
        context = otel.set_span_in_context(otel.NonRecordingSpan(remote))
    tracer = provider.get_tracer("learninghub")
    with tracer.start_as_current_span(name, context, otel.SpanKind[kind.upper()], attributes) as span:
        made = span.get_span_context()
        token = _current.set(Trace(f"{made.trace_id:032x}", f"{made.span_id:016x}", f"{made.trace_flags:02x}"))
        try:
            yield span
        finally:
            _current.reset(token)


def _export_spans(name: str, endpoint: str) -> None:
    global _provider
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.namespace": "learninghub", "service.name": name, "process.pid": os.getpid()})
    _provider = TracerProvider(resource=resource)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))


_measuring: list[Callable[[], None]] = []


def before_measuring(gather: Callable[[], None]) -> None:
    """Call `gather` before metrics are read: it observes what it has put off."""
    _measuring.append(gather)


def metrics_text() -> bytes:
    """Return this process's metrics in Prometheus' text format 0.0.4."""
    for gather in _measuring:
        gather()
    return generate_latest(REGISTRY)
