"""Logs, traces and metrics say what happened, with the trace it belongs to."""

import http.server
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from cluster.base import telemetry
from cluster.base.telemetry import JsonLines, Trace

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_goes_on_with_a_new_span() -> None:
    assert telemetry.traceparent() is None
    with telemetry.span_from(TRACEPARENT, "work"):
        outer = telemetry.current_trace()
        assert outer is not None
        assert (outer.trace_id, outer.flags) == ("4bf92f3577b34da6a3ce929d0e0e4736", "01")
        assert outer.span_id != "00f067aa0ba902b7"
        assert telemetry.traceparent() == outer.header()
        with telemetry.span_from(None, "part"):
            inner = telemetry.current_trace()
            assert inner is not None
            assert inner.trace_id == outer.trace_id
            assert inner.span_id != outer.span_id
        assert telemetry.current_trace() == outer
    assert telemetry.traceparent() is None


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_a_header_gives_back_its_trace(trace_id: int, span_id: int, sampled: bool) -> None:
    trace = Trace(f"{trace_id:032x}", f"{span_id:016x}", "01" if sampled else "00")
    assert telemetry.parse_traceparent(trace.header()) == trace


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "x",
        TRACEPARENT.upper(),
        "ff" + TRACEPARENT[2:],
        TRACEPARENT + "-more",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        TRACEPARENT + "\n",
    ],
)
def test_a_malformed_header_begins_a_new_trace(header: str | None) -> None:
    assert telemetry.parse_traceparent(header) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    trace = telemetry.parse_traceparent("01" + TRACEPARENT[2:] + "-more")
    assert trace is not None
    assert trace.span_id == "00f067aa0ba902b7"


def test_traces_do_not_repeat_each_other() -> None:
    traces = [telemetry.new_trace(None) for _ in range(2_000)]

    assert len({trace.trace_id for trace in traces}) == len({trace.span_id for trace in traces}) == 2_000
    assert all(telemetry.parse_traceparent(trace.header()) == trace for trace in traces)


def test_a_forked_process_makes_other_traces() -> None:
    telemetry.new_trace(None)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, telemetry.new_trace(None).trace_id.encode())
        os._exit(0)
    os.waitpid(child, 0)

    of_child = os.read(reading, 32).decode()

    os.close(reading)
    os.close(writing)
    assert len(of_child) == 32
    assert of_child != telemetry.new_trace(None).trace_id


def test_a_log_line_is_json_with_its_trace_and_fields() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    log = logging.Logger("course")
    log.addHandler(handler)
    with telemetry.span_from(TRACEPARENT, "work"):
        log.warning("parked %s", "key", extra={"consumer": "progress", "id": UUID(int=1), "odd": {1: object}})
    try:
        raise ValueError("line\nbreak")
    except ValueError:
        log.exception("broke")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("warning", "course", "parked key")
    assert (first["consumer"], first["id"]) == ("progress", str(UUID(int=1)))
    assert first["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert "trace_id" not in second
    assert "ValueError: line\nbreak" in second["exception"]


def test_metrics_are_readable() -> None:
    telemetry.REQUEST_DURATION.labels("courses", "/v1/courses", "GET", "200").observe(0.02)
    families = {family.name for family in text_string_to_metric_families(telemetry.metrics_text().decode())}
    assert "hub_http_request_duration_seconds" in families


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Take what exporters send."""
    taken: list[tuple[str, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    thread.join()
    server.server_close()


_PROCESS = """
import asyncio
from cluster.base import telemetry
from cluster.http import Edge

async def app(scope, receive, send):
    scope["state"]["route"] = "/v1/playbacks/{token}"
    with telemetry.span_from(None, "inside"):
        print(telemetry.traceparent())
    await send({"type": "http.response.start", "status": 500, "headers": []})
    await send({"type": "http.response.body", "body": b""})

async def send(message): pass

telemetry.configure("web:test")
header = [(b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
scope = {"type": "http", "method": "GET", "path": "/v1/playbacks/s3cr3t", "query_string": b"", "headers": header, "client": None}
asyncio.run(Edge(app)(scope, None, send))
telemetry._provider.force_flush()
print(telemetry.metrics_text().decode())
"""


def test_a_request_is_exported_as_a_span_without_its_raw_path(collector: tuple[str, list[tuple[str, bytes]]]) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    endpoint, taken = collector
    output = subprocess.run(
        [sys.executable, "-c", _PROCESS],
        env=os.environ | {"HUB_OTLP_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    ).stdout
    assert taken
    assert {path for path, _ in taken} == {"/v1/traces"}
    assert all(b"s3cr3t" not in body for _, body in taken)
    spans = {
        span.name: span
        for _, body in taken
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    request, inside = spans["GET /v1/playbacks/{token}"], spans["inside"]
    assert request.trace_id.hex() == inside.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    assert inside.parent_span_id == request.span_id
    assert output.split("-")[2] == inside.span_id.hex()
    assert 'process="web:test"' in output
    attributes = {each.key: each.value for each in request.attributes}
    assert attributes["http.route"].string_value == "/v1/playbacks/{token}"
    assert attributes["http.response.status_code"].int_value == 500


def test_a_text_that_is_no_utf_8_is_logged_all_the_same() -> None:
    record = logging.makeLogRecord({"msg": "ffmpeg says: \udcff", "name": "film"})
    assert json.loads(JsonLines().format(record))["message"] == "ffmpeg says: \udcff"


_LOGS_AND_DIES = """
import logging, os, signal
from cluster.base import telemetry

telemetry.configure("web:test")
logging.getLogger("test").error("the last words")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_logged_is_in_the_log_of_the_role_even_after_kill_9(tmp_path: Path) -> None:
    for number in (1, 2):
        env = os.environ | {"HUB_LOG_FOLDER": str(tmp_path)}
        killed = subprocess.run([sys.executable, "-c", _LOGS_AND_DIES], env=env, timeout=60, check=False)
        assert killed.returncode == -signal.SIGKILL
        lines = [json.loads(line) for line in (tmp_path / "web.log").read_text().splitlines()]
        assert [line["message"] for line in lines] == ["the last words"] * number
    assert (tmp_path / "web.log").stat().st_mode & 0o077 == 0
