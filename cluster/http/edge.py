"""The edge: what happens to every request before its service sees it and after it answered, in every replica."""

import asyncio
import logging
import time
from contextvars import Token
from typing import Any
from urllib.parse import parse_qs

from cluster.base import telemetry
from cluster.base.principal import GUEST, PLATFORM, Principal, platform
from cluster.base.problems import FieldError, Invalid, NotFound
from cluster.base.settings import settings
from cluster.data.pool import borrower
from cluster.http import cors
from cluster.http.admission import Admission, Limits, sign_ins
from cluster.http.asgi import App, Receive, Scope, Send
from cluster.http.exchange import SAFE, Exchange
from cluster.http.log import AccessLog, Entry, method_named
from cluster.http.names import Names
from cluster.http.passage import READING, Passage
from cluster.http.rendering import problem_of, problem_response
from cluster.people import door, identity, tickets
from cluster.signals.buckets import SharedBuckets

__all__ = ["Edge", "Limits"]

log = logging.getLogger(__name__)

_DRAIN_LIMIT_S = 8.0


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
        exchange = Exchange(self.admission, self.headers, scope, receive, send)
        if kind == "http" and exchange.method not in SAFE:
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

    async def _serve(self, exchange: Exchange) -> None:
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

    async def _answer(self, exchange: Exchange) -> None:
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

    def _open(self, exchange: Exchange) -> Passage:
        """Open the door for a request."""
        passage = Passage(
            self.buckets, exchange.principal, exchange.address, exchange.service, exchange.method not in READING
        )
        exchange.passage = exchange.scope["state"]["passage"] = passage
        return passage

    async def _identify(self, exchange: Exchange) -> None:
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

    async def _without_token(self, exchange: Exchange) -> Principal:
        """Return whom a ticket names, or a guest."""
        scope = exchange.scope
        if scope["type"] == "websocket" and scope["path"] == tickets.SOCKET:
            ticket = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [""])[0]
            if ticket:
                return await self._redeem(exchange, ticket)
        self._limit_guest(exchange)
        return GUEST

    async def _redeem(self, exchange: Exchange, ticket: str) -> Principal:
        admitted = await tickets.redeem(ticket)
        if admitted is None:
            self._limit_guest(exchange)
            raise identity.InvalidToken("the ticket was used or is over; POST /v1/sessions/me/tickets gives another")
        await identity.ensure_stands(admitted.principal, admitted.since)
        exchange.scope["state"]["since"] = admitted.since
        return admitted.principal

    def _limit_guest(self, exchange: Exchange) -> None:
        signs_in = (exchange.method, exchange.scope["path"]) in sign_ins
        self.admission.take(exchange.address, signs_in=signs_in)

    def _end(self, exchange: Exchange, span: Any) -> None:
        exchange.leave()
        if exchange.passage is not None:
            exchange.passage.count()
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


def _nul_character(scope: Scope) -> Invalid:
    place = "/path" if "\0" in scope["path"] else "/query"
    error = FieldError(place, "nul-character", "remove the character U+0000: texts cannot contain it")
    return Invalid("texts cannot contain the character U+0000", errors=(error,))
