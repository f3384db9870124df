"""The edge: what happens to every request before its service sees it and after it answered, in every replica."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable
from contextvars import Token
from typing import Any
from urllib.parse import parse_qs

from uuid_utils import uuid7

from cluster.base import telemetry
from cluster.base.principal import GUEST, PLATFORM, Principal, platform
from cluster.base.problems import FieldError, Invalid, NotFound, RequestTimeout
from cluster.base.services import service_of_area
from cluster.base.settings import settings
from cluster.data.pool import borrower
from cluster.http import compression, cors
from cluster.http.admission import Admission, Kind, Limits, sign_ins
from cluster.http.asgi import App, Headers, Message, Receive, Scope, Send
from cluster.http.log import AccessLog, Entry, method_named
from cluster.http.names import Names
from cluster.http.passage import READING, Passage
from cluster.http.rendering import problem_of, problem_response
from cluster.people import door, identity, tickets
from cluster.signals.buckets import SharedBuckets

__all__ = ["Edge", "Limits"]

log = logging.getLogger(__name__)

_READ = frozenset(
    (
        b"accept-encoding",
        b"access-control-request-headers",
        b"access-control-request-method",
        b"authorization",
        b"host",
        b"origin",
        b"traceparent",
        b"x-forwarded-for",
        b"x-request-id",
    )
)
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
        self.buckets = SharedBuckets() if settings().limits_requests else None
        self._log = AccessLog()
        self._writes: set[asyncio.Task[None]] = set()
        self._names = Names(settings())
        self.headers: list[tuple[bytes, bytes]] = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]
        """Of every answer."""
        if settings().public_url.startswith("https://"):
            self.headers.append((b"strict-transport-security", b"max-age=63072000; includeSubDomains"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind: str = scope["type"]
        if kind not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        exchange = Exchange(self, scope, receive, send)
        if kind == "http" and exchange.method not in _SAFE:
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
        self._log.flush()

    async def _serve(self, exchange: "Exchange") -> None:
        parent = exchange.wanted.get(b"traceparent")
        if telemetry.exports_spans():
            header = parent.decode("latin-1") if parent else None
            with telemetry.span_from(header, exchange.method, "server") as span:
                try:
                    await self._answer(exchange)
                finally:
                    self._end(exchange, span)
            return
        token = telemetry.enter(parent)
        try:
            await self._answer(exchange)
        finally:
            self._end(exchange, None)
            telemetry.leave(token)

    async def _answer(self, exchange: "Exchange") -> None:
        scope = exchange.scope
        borrowing = borrower.set(exchange.service)
        passing: Token[Any] | None = None
        try:
            exchange.admit()
            if not exchange.is_call and not exchange.is_health:
                self._names.check(exchange.hosts)
            if scope["type"] == "websocket":
                self._check_origin(exchange.wanted.get(b"origin"))
            elif exchange.method == "OPTIONS" and (preflight := exchange.preflight()) is not None:
                await exchange.send({"type": "http.response.start", "status": 204, "headers": preflight})
                await exchange.send({"type": "http.response.body", "body": b""})
                return
            await self._identify(exchange)
            if not exchange.is_call and not exchange.is_health:
                passing = door.passage.set(self._open(exchange))
                if door.current().windows and (waiting := exchange.check_open()) is not None:
                    await waiting
            if "\0" in scope["path"] or b"%00" in scope["query_string"]:
                raise _nul_character(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if exchange.has_begun():
                # Too late for a problem. Not finishing the response tells the client that it is not whole.
                log.exception("broke off after the response began", extra={"route": exchange.route()})
            else:
                await problem_response(problem_of(error))(scope, exchange.receive, exchange.send)
        finally:
            borrower.reset(borrowing)
            if passing is not None:
                door.passage.reset(passing)

    def _check_origin(self, origin: bytes | None) -> None:
        if origin is None or not cors.is_registered(origin):
            self._names.check_origin(origin)

    def _open(self, exchange: "Exchange") -> Passage:
        """Open the door for a request."""
        passage = Passage(
            self.buckets, exchange.principal, exchange.address, exchange.service, exchange.method not in READING
        )
        exchange.passage = exchange.scope["state"]["passage"] = passage
        return passage

    async def _identify(self, exchange: "Exchange") -> None:
        authorization = exchange.wanted.get(b"authorization", b"")
        token = authorization[7:].strip() if authorization[:7].lower() == b"bearer " else None
        if exchange.is_call:
            if not exchange.service:
                raise NotFound("no such path; /openapi.json lists them all")
            callers = identity.verify_service_token((token or b"").decode("latin-1"), exchange.service)
            principal: Principal = platform(",".join(callers)) if callers else PLATFORM
        elif token is None:
            principal = await self._without_token(exchange)
        else:
            known = identity.known(token)
            try:
                principal = known or await identity.authenticate(token.decode("latin-1"))
            except identity.InvalidToken:
                self._limit_guest(exchange)
                raise
        exchange.principal = exchange.scope["state"]["principal"] = principal

    async def _without_token(self, exchange: "Exchange") -> Principal:
        """Return whom a ticket names, or a guest."""
        scope = exchange.scope
        if scope["type"] == "websocket" and scope["path"] == tickets.SOCKET:
            ticket = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [""])[0]
            if ticket:
                return await self._redeem(exchange, ticket)
        self._limit_guest(exchange)
        return GUEST

    async def _redeem(self, exchange: "Exchange", ticket: str) -> Principal:
        admitted = await tickets.redeem(ticket)
        if admitted is None:
            self._limit_guest(exchange)
            raise identity.InvalidToken("the ticket was used or is over; POST /v1/sessions/me/tickets gives another")
        await identity.ensure_stands(admitted.principal, admitted.since)
        exchange.scope["state"]["since"] = admitted.since
        return admitted.principal

    def _limit_guest(self, exchange: "Exchange") -> None:
        signs_in = (exchange.method, exchange.scope["path"]) in sign_ins
        self.admission.take(exchange.address, signs_in=signs_in)

    def _end(self, exchange: "Exchange", span: Any) -> None:
        exchange.leave()
        ended = time.perf_counter()
        route, method = exchange.route(), method_named(exchange.method)
        # Nothing sent: the client left before it could be.
        status = exchange.status or 499
        self._log.write(
            Entry(
                exchange.area if exchange.service else "",
                route,
                method,
                status,
                exchange.started,
                ended,
                exchange.principal,
                telemetry.current_trace(),
                exchange.scope["state"]["request_id"],
            )
        )
        if span is not None:
            span.update_name(f"{method} {route}")
            span.set_attributes(
                {
                    "http.request.method": method,
                    "http.route": route,
                    "http.response.status_code": status,
                    "url.scheme": exchange.scope.get("scheme", "http"),
                }
            )
            if status >= 500:
                span.set_attribute("error.type", str(status))


class Exchange:
    """One request and its response, as far as the edge minds them."""

    __slots__ = (
        "_body_due",
        "_counted_as",
        "_edge",
        "_head",
        "_receive",
        "_send",
        "address",
        "area",
        "hosts",
        "is_call",
        "is_health",
        "method",
        "passage",
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
        self.passage: Passage | None = None
        self._edge = edge
        self._receive = receive
        self._send = send
        self._counted_as: Kind | None = None
        self._body_due = 0.0
        self._head: Message | None = None
        """Of an answer that will be compressed, when its body comes whole."""
        self.wanted: dict[bytes, bytes] = {}
        self.hosts: list[bytes] = []
        for name, value in scope["headers"]:
            if name in _READ:
                self.wanted[name] = value
                if name == b"host":
                    self.hosts.append(value)
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
            self._edge.admission.enter(kind, self.address, self.service, is_call=self.is_call)
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

    def check_open(self) -> Awaitable[None] | None:
        """Refuse what is closed for maintenance, but for those who may pass; None: it is open to all.

        Raises:
            UnderMaintenance
        """
        return None if self.passage is None else self.passage.check_open(self.area)

    def preflight(self) -> Headers | None:
        """Return the head of the answer if a browser asks before a request of another site's page; None: nobody asks."""
        origin = self.wanted.get(b"origin")
        if origin is None or b"access-control-request-method" not in self.wanted:
            return None
        return cors.preflight(origin, self.wanted.get(b"access-control-request-headers", b""))

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            is_long = self._complete(message)
            self.status = message["status"]
            if is_long and self._may_compress(message):
                message["headers"].append((b"vary", b"Accept-Encoding"))
                self._head = message
                return
        elif kind == "http.response.body":
            if self._head is not None:
                head, self._head = self._head, None
                await self._compress(head, message)
                await self._send(head)
        elif kind == "websocket.http.response.start":
            self.status = message["status"]
        elif kind == "websocket.accept":
            self.status = 101
        await self._send(message)

    def has_begun(self) -> bool:
        """Tell whether a part of the answer was sent. A head that waits for its body is dropped: another answer may be sent."""
        if self._head is not None:
            self._head, self.status = None, 0
        return self.status != 0

    def _complete(self, message: Message) -> bool:
        """Add what every answer says, and tell whether the answer may be long enough to be compressed."""
        headers: Headers = list(message.get("headers", ()))
        kind = length = b""
        has_policy = False
        for name, value in headers:
            if name == b"content-type":
                kind = value
            elif name == b"content-length":
                length = value
            elif name == b"content-security-policy":
                has_policy = True
        if kind.startswith(b"text/event-stream"):
            self._count_as("stream")
        if not has_policy and (b"json" in kind):
            headers.append((b"content-security-policy", _NO_CONTENT))
        headers += self._edge.headers
        if self.passage is not None:
            headers += self.passage.headers()
        if door.current().origins:
            headers += cors.headers_for(self.wanted.get(b"origin"))
        headers.append((b"x-request-id", self.request_id))
        message["headers"] = headers
        return len(length) > 3

    def _may_compress(self, message: Message) -> bool:
        return (
            self.method != "HEAD"
            and not self.is_call
            and message["status"] != 206
            and compression.is_compressible(message["headers"], self.area)
        )

    async def _compress(self, head: Message, message: Message) -> None:
        """Compress a body that comes whole, if the client takes it so."""
        coding = compression.coding_for(self.wanted.get(b"accept-encoding", b""))
        body: bytes = message.get("body", b"")
        if coding is None or message.get("more_body") or compression.carries_secret(body):
            return
        message["body"] = await compression.compressed(coding, body)
        head["headers"] = compression.encoded_head(head["headers"], coding, len(message["body"]))

    def route(self) -> str:
        """Return the template of the path, never the path."""
        route: str | None = self.scope["state"].get("route")
        if route is not None:
            return route
        return f"/v1/{self.area}/?" if self.service else "?"

    def leave(self) -> None:
        """Count this request no more, and lead nobody back here: reference counts free it, no search for cycles has to."""
        self._count_as(None)
        del self.scope["state"]["become_stream"]


def _address(scope: Scope, forwarded: bytes | None) -> str:
    """Return the client's address: what the ingress, the last hop, saw. Earlier hops are the client's own claims."""
    if forwarded:
        return forwarded.rpartition(b",")[2].strip().decode("latin-1")
    client = scope.get("client")
    return client[0] if client else ""


def _nul_character(scope: Scope) -> Invalid:
    place = "/path" if "\0" in scope["path"] else "/query"
    error = FieldError(place, "nul-character", "remove the character U+0000: texts cannot contain it")
    return Invalid("texts cannot contain the character U+0000", errors=(error,))
