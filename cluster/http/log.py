"""The access log: one JSON line per request, made and written for many requests at once, so that none waits for it."""

import asyncio
import logging
import time
from typing import Any, NamedTuple
from weakref import WeakSet

import orjson

from cluster.base import telemetry
from cluster.base.principal import Principal
from cluster.base.telemetry import Trace

_LOGGER = logging.getLogger("hub.access")
_GATHER_S = 0.2
_MAX_GATHERED = 500
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "WEBSOCKET"})


def method_named(method: str) -> str:
    """Return a method as logs, metrics and traces name it: those that clients invent are all `OTHER`, or each would be kept."""
    return method if method in _METHODS else "OTHER"


class Entry(NamedTuple):
    """What happened to one request."""

    area: str
    route: str
    method: str
    status: int
    started: float
    """By `time.perf_counter`."""
    ended: float
    principal: Principal
    trace: Trace | None
    request_id: str


class AccessLog:
    """Writes what happened to each request, and measures it, by route template: raw paths may contain tokens."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._timer: asyncio.TimerHandle | None = None
        self._durations: dict[tuple[str, str, str, int], Any] = {}
        _all.add(self)

    def write(self, entry: Entry) -> None:
        """Keep an entry for the next flush."""
        self._entries.append(entry)
        if len(self._entries) >= _MAX_GATHERED:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GATHER_S, self.flush)

    def flush(self) -> None:
        """Measure and write what was gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        entries, self._entries = self._entries, []
        for entry in entries:
            key = entry[:4]
            duration = self._durations.get(key)
            if duration is None:
                area, route, method, status = key
                duration = self._durations[key] = telemetry.REQUEST_DURATION.labels(area, route, method, str(status))
            duration.observe(entry.ended - entry.started)
        if entries and _LOGGER.isEnabledFor(logging.INFO):
            telemetry.write_log(_lines(entries))


def _lines(entries: list[Entry]) -> bytes:
    process = telemetry.process_name()
    clock = time.time() - time.perf_counter()
    return b"".join(
        orjson.dumps(
            {
                "time": _instant(clock + ended),
                "level": "info",
                "logger": "hub.access",
                "message": "request",
                "process": process,
                "method": method,
                "route": route,
                "area": area,
                "status": status,
                "duration_ms": round((ended - started) * 1000, 3),
                "kind": principal.kind,
                "principal": principal.id,
                "trace_id": None if trace is None else trace.trace_id,
                "request_id": request_id,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        for area, route, method, status, started, ended, principal, trace, request_id in entries
    )


_second: tuple[int, str] = (0, "")


def _instant(now: float) -> str:
    """Return a time in RFC 3339 with milliseconds; the text of a second is made once."""
    global _second
    whole = int(now)
    if whole != _second[0]:
        _second = (whole, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)))
    return f"{_second[1]}.{int(now * 1000) % 1000:03d}+00:00"


_all: "WeakSet[AccessLog]" = WeakSet()


def _flush_all() -> None:
    for each in _all:
        each.flush()


telemetry.before_measuring(_flush_all)
