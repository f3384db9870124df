"""The edge: what happens to every request before its service sees it and after it answered, in every replica."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import nullcontext
from typing import Any

from uuid_utils import uuid7

from cluster.base import telemetry
from cluster.base.principal import GUEST, PLATFORM, Principal, platform
from cluster.base.problems import FieldError, Invalid, NotFound, RequestTimeout
from cluster.base.services import service_of_area
from cluster.base.settings import settings
from cluster.data.pool import borrower
from cluster.http.admission import Admission, Kind, Limits, sign_ins
from cluster.http.log import AccessLog
from cluster.http.names import Names
from cluster.http.rendering import problem_of, problem_response
from cluster.people import identity

__all__ = ["Edge", "Limits"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)

_READ = frozenset({b"authorization", b"traceparent", b"x-request-id", b"x-forwarded-for"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_DRAIN_LIMIT_S = 8.0
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~:+/=-]{1,128}")
BODY_LIMIT_S = 10.0
BODY_RATE_BYTES_PER_S = 16 * 1024
"""A body that keeps coming at this rate may take longer than `BODY_LIMIT_S`."""
_NO_CONTENT = b"default-src 'none'; frame-ancestors 'none'"


class Edge:
    """Identify, authenticate, admit, trace, log and measure each request, then pass it on.

    The application finds in `scope["state"]`: `principal`, `request_id`, `address`, and `become_stream()` for answers
    that take long. It may set `route`, the template that logs and metrics name; raw paths may contain tokens.
    """

    def __init__(self, app: App, limits: Limits | None = None) -> None:
        self._app = app
        self.admission = Admission(limits or Limits())
        self._log = AccessLog()
        self._writes: set[asyncio.Task[None]] = set()
        self._names = Names(settings())
        self._headers: list[tuple[bytes, bytes]] = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]
        if settings().public_url.startswith("https://"):
            self._headers.append((b"strict-transport-security", b"max-age=63072000; includeSubDomains"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        exchange = Exchange(self, scope, receive, send)
        if scope["type"] == "http" and scope["method"] not in _SAFE:
            # A client that leaves cancels us, never the work: it runs to its end in a task of its own.
            task = asyncio.create_task(self._serve(exchange))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)
            await asyncio.shield(task)
        else:
            await self._serve(exchange)

    async def drained(self) -> None:
        """Return once every write that began here has ended, or seconds later."""
        if self._writes:
            _, late = await asyncio.wait(self._writes, timeout=_DRAIN_LIMIT_S)
            if late:
                log.warning("writes did not end in time", extra={"count": len(late)})

    async def _serve(self, exchange: "Exchange") -> None:
        parent = exchange.wanted.get(b"traceparent")
        if telemetry.exports_spans():
            tracing = telemetry.span_from(parent.decode("latin-1") if parent else None, exchange.method, "server")
        else:
            tracing = None
        with tracing or nullcontext() as span:
            token = None if tracing else telemetry.enter(parent)
            try:
                await self._answer(exchange)
            finally:
                exchange.end(span)
                if token is not None:
                    telemetry.leave(token)

    async def _answer(self, exchange: "Exchange") -> None:
        scope = exchange.scope
        borrowing = borrower.set(exchange.service)
        try:
            exchange.admit()
            if not exchange.is_call and not exchange.is_health:
                self._names.check([value for name, value in scope["headers"] if name == b"host"])
            await self._identify(exchange)
            _refuse_nul(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if exchange.status:
                # Too late for a problem. Not finishing the response tells the client that it is not whole.
                log.exception("broke off after the response began", extra={"route": exchange.route()})
            elif scope["type"] == "websocket":
                log.exception("websocket", extra={"route": exchange.route()})
                await exchange.send({"type": "websocket.close", "code": 1011})
            else:
                await problem_response(problem_of(error))(scope, exchange.receive, exchange.send)
        finally:
            borrower.reset(borrowing)

    async def _identify(self, exchange: "Exchange") -> None:
        scope = exchange.scope
        state: dict[str, Any] = scope["state"]
        authorization = exchange.wanted.get(b"authorization", b"")
        token = authorization[7:].strip().decode("latin-1") if authorization[:7].lower() == b"bearer " else None
        if exchange.is_call:
            if not exchange.service:
                raise NotFound("no such path; /openapi.json lists them all")
            callers = identity.verify_service_token(token or "", exchange.service)
            principal: Principal = platform(",".join(callers)) if callers else PLATFORM
        elif token is None:
            principal = GUEST
            self._limit_guest(exchange)
        else:
            try:
                principal = await identity.authenticate(token)
            except identity.InvalidToken:
                self._limit_guest(exchange)
                raise
        exchange.principal = state["principal"] = principal

    def _limit_guest(self, exchange: "Exchange") -> None:
        signs_in = (exchange.method, exchange.scope["path"]) in sign_ins
        self.admission.take(exchange.address, signs_in=signs_in)


class Exchange:
    """One request and its response, as far as the edge minds them."""

    __slots__ = (
        "_body_due",
        "_counted_as",
        "_edge",
        "_receive",
        "_send",
        "address",
        "area",
        "is_call",
        "is_health",
        "method",
        "principal",
        "request_id",
        "scope",
        "service",
        "started",
        "status",
        "wanted",
    )

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
        self.started = time.perf_counter()
        self.scope = scope
        self.method: str = scope.get("method", "WEBSOCKET")
        self.status = 0
        self.principal = GUEST
        self._edge = edge
        self._receive = receive
        self._send = send
        self._counted_as: Kind | None = None
        self._body_due = 0.0
        self.wanted = {name: value for name, value in scope["headers"] if name in _READ}
        path: str = scope["path"]
        self.area, _, rest = path[4:].partition("/") if path.startswith("/v1/") else ("", "", "")
        self.is_call = rest.startswith("-/calls/")
        self.is_health = rest == "-/health"
        found = service_of_area(self.area)
        self.service = found.name if found else ""
        request_id = self.wanted.get(b"x-request-id")
        if request_id is None or _REQUEST_ID.fullmatch(request_id) is None:
            request_id = str(uuid7()).encode()
        self.request_id = request_id
        self.address = _address(scope, self.wanted.get(b"x-forwarded-for"))
        state: dict[str, Any] = scope.setdefault("state", {})
        state["principal"] = GUEST
        state["request_id"] = request_id.decode()
        state["address"] = self.address
        state["become_stream"] = self.become_stream

    def admit(self) -> None:
        """Count this request, unless it has a body to come: that counts when it is read.

        Raises:
            Unavailable: there are too many requests.
        """
        if self.scope["type"] == "websocket":
            self._count_as("stream")
        elif self.method in _SAFE and not self.is_health:
            self._count_as("short")

    def become_stream(self) -> None:
        """Count this request among the streams from now on: its body or its answer takes long.

        Raises:
            Unavailable: there are too many of them.
        """
        self._count_as("stream")

    def _count_as(self, kind: Kind | None) -> None:
        before = self._counted_as
        if kind == before:
            return
        if kind is not None:
            self._edge.admission.enter(kind, self.address, self.service)
        self._counted_as = kind
        if before is not None:
            self._edge.admission.leave(before, self.address, self.service)

    async def receive(self) -> Message:
        """Return the next part of the body. A request counts as short once the last part is there.

        Raises:
            RequestTimeout: it does not come.
            Unavailable: there are too many requests.
        """
        if self._counted_as == "short" or self._counted_as == "stream":
            return await self._receive()
        now = asyncio.get_running_loop().time()
        if self._counted_as is None:
            self._count_as("body")
            self._body_due = now + BODY_LIMIT_S
        try:
            async with asyncio.timeout_at(self._body_due):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout(
                f"send the whole body within {BODY_LIMIT_S:.0f} s, a large one at "
                f"{BODY_RATE_BYTES_PER_S // 1024} KiB/s at least",
                headers={"Connection": "close"},
            ) from None
        self._body_due += len(message.get("body", b"")) / BODY_RATE_BYTES_PER_S
        if not message.get("more_body"):
            self._count_as("short")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
            kind = b""
            has_policy = False
            for name, value in headers:
                if name == b"content-type":
                    kind = value
                elif name == b"content-security-policy":
                    has_policy = True
            if kind.startswith(b"text/event-stream"):
                self._count_as("stream")
            if not has_policy and (b"json" in kind):
                headers.append((b"content-security-policy", _NO_CONTENT))
            headers += self._edge._headers  # pyright: ignore[reportPrivateUsage]
            headers.append((b"x-request-id", self.request_id))
            message["headers"] = headers
            self.status = message["status"]
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self._send(message)

    def route(self) -> str:
        """Return the template of the path, never the path."""
        route: str | None = self.scope["state"].get("route")
        if route is not None:
            return route
        return f"/v1/{self.area}/?" if self.service else "?"

    def end(self, span: Any) -> None:
        self._count_as(None)
        duration_s = time.perf_counter() - self.started
        route = self.route()
        area = self.area if self.service else ""
        # Nothing sent: the client left before it could be.
        status = self.status or 499
        self._edge._log.write(  # pyright: ignore[reportPrivateUsage]
            area=area,
            route=route,
            method=self.method,
            status=status,
            duration_s=duration_s,
            principal=self.principal,
            request_id=self.request_id,
        )
        if span is not None:
            span.update_name(f"{self.method} {route}")
            span.set_attributes(
                {
                    "http.request.method": self.method,
                    "http.route": route,
                    "http.response.status_code": status,
                    "url.scheme": self.scope.get("scheme", "http"),
                }
            )
            if status >= 500:
                span.set_attribute("error.type", str(status))


def _address(scope: Scope, forwarded: bytes | None) -> str:
    """Return the client's address: what the ingress, the last hop, saw. Earlier hops are the client's own claims."""
    if forwarded:
        return forwarded.rpartition(b",")[2].strip().decode("latin-1")
    client = scope.get("client")
    return client[0] if client else ""


def _refuse_nul(scope: Scope) -> None:
    for place, found in (("/path", "\0" in scope["path"]), ("/query", b"%00" in scope["query_string"])):
        if found:
            error = FieldError(place, "nul-character", "remove the character U+0000: texts cannot contain it")
            raise Invalid("texts cannot contain the character U+0000", errors=(error,))
