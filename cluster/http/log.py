"""The access log: one JSON line per request, gathered for a moment so that a request does not wait for the terminal."""

import asyncio
import io
import logging
import time
from typing import Any

import orjson

from cluster.base import telemetry
from cluster.base.principal import Principal

_LOGGER = logging.getLogger("hub.access")
_GATHER_S = 0.2
_MAX_GATHERED_BYTES = 256 * 1024


class AccessLog:
    """Writes what happened to each request, and measures it, by route template: raw paths may contain tokens."""

    def __init__(self) -> None:
        # One place in memory, written over and over: fresh memory for each line costs more than the line.
        self._lines = io.BytesIO()
        self._timer: asyncio.TimerHandle | None = None
        self._durations: dict[tuple[str, str, str, int], Any] = {}

    def write(
        self,
        *,
        area: str,
        route: str,
        method: str,
        status: int,
        duration_s: float,
        principal: Principal,
        request_id: bytes,
    ) -> None:
        key = (area, route, method, status)
        histogram = self._durations.get(key)
        if histogram is None:
            histogram = self._durations[key] = telemetry.REQUEST_DURATION.labels(area, route, method, str(status))
        histogram.observe(duration_s)
        if not _LOGGER.isEnabledFor(logging.INFO):
            return
        trace = telemetry.current_trace()
        line: dict[str, Any] = {
            "time": _instant(),
            "level": "info",
            "logger": "hub.access",
            "message": "request",
            "process": telemetry.process_name(),
            "method": method,
            "route": route,
            "area": area,
            "status": status,
            "duration_ms": round(duration_s * 1000, 3),
            "kind": principal.kind,
            "principal": principal.id,
            "trace_id": trace.trace_id if trace else None,
            "request_id": request_id.decode(),
        }
        self._lines.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        if self._lines.tell() >= _MAX_GATHERED_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER_S, self.flush)

    def flush(self) -> None:
        """Write what was gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        with self._lines.getbuffer() as memory:
            telemetry.write_log(memory[: self._lines.tell()])
        self._lines.seek(0)


_second: tuple[int, str] = (0, "")


def _instant() -> str:
    """Return now in RFC 3339 with milliseconds; the text of a second is made once."""
    global _second
    now = time.time()
    whole = int(now)
    if whole != _second[0]:
        _second = (whole, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)))
    return f"{_second[1]}.{int(now * 1000) % 1000:03d}+00:00"
