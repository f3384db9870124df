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
from cluster.base.problems import FieldError, Invalid, NotFound
from cluster.base.services import service_of_area
from cluster.base.settings import settings
from cluster.http.admission import Admission, Limits
from cluster.http.log import AccessLog
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
_SIGN_IN = frozenset({"/v1/sessions", "/v1/users"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~:+/=-]{1,128}")
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
        public_url = settings().public_url
        self._headers: list[tuple[bytes, bytes]] = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]
        if public_url.startswith("https://"):
            self._headers.append((b"strict-transport-security", b"max-age=63072000; includeSubDomains"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        exchange = Exchange(self, scope, send)
        if scope["type"] == "http" and scope["method"] not in _SAFE:
            # A client that leaves cancels us, never the work: it runs to its end in a task of its own.
            task = asyncio.create_task(self._serve(exchange, receive))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)
            await asyncio.shield(task)
        else:
            await self._serve(exchange, receive)

    async def drained(self) -> None:
        """Return once every write that began here has ended."""
        if self._writes:
            await asyncio.wait(self._writes)

    async def _serve(self, exchange: "Exchange", receive: Receive) -> None:
        parent = exchange.wanted.get(b"traceparent")
        if telemetry.exports_spans():
            tracing = telemetry.span_from(parent.decode("latin-1") if parent else None, exchange.method, "server")
        else:
            tracing = None
        with tracing or nullcontext() as span:
            token = None if tracing else telemetry.enter(parent)
            try:
                await self._answer(exchange, receive)
            finally:
                exchange.end(span)
                if token is not None:
                    telemetry.leave(token)

    async def _answer(self, exchange: "Exchange", receive: Receive) -> None:
        scope = exchange.scope
        try:
            exchange.admit()
            await self._identify(exchange)
            _refuse_nul(scope)
            await self._app(scope, receive, exchange.send)
        except Exception as error:
            if exchange.status:
                # Too late for a problem. Not finishing the response tells the client that it is not whole.
                log.exception("broke off after the response began", extra={"route": exchange.route()})
            elif scope["type"] == "websocket":
                log.exception("websocket", extra={"route": exchange.route()})
                await exchange.send({"type": "websocket.close", "code": 1011})
            else:
                await problem_response(problem_of(error))(scope, receive, exchange.send)

    async def _identify(self, exchange: "Exchange") -> None:
        scope = exchange.scope
        state: dict[str, Any] = scope["state"]
        authorization = exchange.wanted.get(b"authorization", b"")
        token = authorization[7:].strip().decode("latin-1") if authorization[:7].lower() == b"bearer " else None
        if exchange.area and scope["path"].startswith(f"/v1/{exchange.area}/-/calls/"):
            service = service_of_area(exchange.area)
            if service is None:
                raise NotFound("no such path; /openapi.json lists them all")
            callers = identity.verify_service_token(token or "", service.name)
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
        scope = exchange.scope
        signs_in = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in _SIGN_IN
        self.admission.take(exchange.address, signs_in=signs_in)


class Exchange:
    """One request and its response, as far as the edge minds them."""

    __slots__ = (
        "_edge",
        "_entered",
        "_send",
        "address",
        "area",
        "method",
        "principal",
        "request_id",
        "scope",
        "started",
        "status",
        "wanted",
    )

    def __init__(self, edge: Edge, scope: Scope, send: Send) -> None:
        self.started = time.perf_counter()
        self.scope = scope
        self.method: str = scope.get("method", "WEBSOCKET")
        self.status = 0
        self.principal = GUEST
        self._edge = edge
        self._send = send
        self._entered = ""
        self.wanted = {name: value for name, value in scope["headers"] if name in _READ}
        path: str = scope["path"]
        self.area = path[4:].partition("/")[0] if path.startswith("/v1/") else ""
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
        if self.scope["type"] == "websocket":
            self._edge.admission.enter_stream()
            self._entered = "stream"
        elif not self.scope["path"].endswith("/-/health"):
            self._edge.admission.enter_short()
            self._entered = "short"

    def become_stream(self) -> None:
        """Count this request among the streams from now on: its answer takes long.

        Raises:
            Unavailable: there are too many of them.
        """
        if self._entered == "short":
            self._edge.admission.enter_stream()
            self._edge.admission.leave_short()
            self._entered = "stream"

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
                self.become_stream()
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
        return f"/v1/{self.area}/?" if service_of_area(self.area) else "?"

    def end(self, span: Any) -> None:
        if self._entered == "short":
            self._edge.admission.leave_short()
        elif self._entered == "stream":
            self._edge.admission.leave_stream()
        duration_s = time.perf_counter() - self.started
        route = self.route()
        area = self.area if service_of_area(self.area) else ""
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
