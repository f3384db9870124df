"""One request and its response, as far as the edge minds them."""

import asyncio
import re
import time
from collections.abc import Awaitable
from typing import Any

from uuid_utils import uuid7

from cluster.base.principal import GUEST
from cluster.base.problems import RequestTimeout
from cluster.base.services import service_of_area
from cluster.http import compression, cors
from cluster.http.admission import Admission, Kind
from cluster.http.asgi import Headers, Message, Receive, Scope, Send
from cluster.http.passage import Passage
from cluster.people import door

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
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~:+/=-]{1,128}")
BODY_LIMIT_S = 10.0
BODY_RATE_BYTES_PER_S = 16 * 1024
"""A body that keeps coming at this rate may take longer than `BODY_LIMIT_S`."""
_NO_CONTENT = b"default-src 'none'; frame-ancestors 'none'"


class Exchange:
    """One request and its response, as far as the edge minds them."""

    __slots__ = (
        "_admission",
        "_body_due",
        "_counted_as",
        "_head",
        "_headers",
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

    def __init__(self, admission: Admission, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        self.started = time.perf_counter()
        self.scope = scope
        self.method: str = scope.get("method", "WEBSOCKET")
        self.status = 0
        self.principal = GUEST
        self.passage: Passage | None = None
        self._admission = admission
        self._headers = headers
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
        elif self.method in SAFE and not self.is_health:
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
            self._admission.enter(kind, self.address, self.service, is_call=self.is_call)
        self._counted_as = kind
        if before is not None:
            self._admission.leave(before, self.address, self.service)

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
        headers += self._headers
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
