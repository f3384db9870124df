"""ServiceHost: an ASGI application for a set of services, and what every process opens and closes around them.

A request finds its service by a dictionary look-up on the area; only then FastAPI matches the few routes of that service.
"""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from hmac import compare_digest
from typing import Any

from cluster.base import registry, telemetry
from cluster.base.problems import BadRequest, Forbidden, NotFound, Problem
from cluster.base.registry import room
from cluster.base.services import Service, service_of_area, table
from cluster.base.settings import settings
from cluster.data import objects, opensearch, postgres, roles
from cluster.http import Edge, LateApp, Limits, Router, problem_response, text_response
from cluster.http.names import host_name, is_loopback
from cluster.people import calls, door, flags, identity, live, relations, usage
from cluster.signals import broadcast, kept, redis

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)

WEB_CONNECTIONS = 4
WEB_WAIT_S = 2.0
"""How long a request waits for a connection: longer than that, its client does better to ask again."""
WORKER_CONNECTIONS = 8
GC_THRESHOLDS = 20_000, 10, 50
"""Thousands of live connections are a million objects, which a collector that runs every 700 allocations visits all the time."""
_FORWARDED = frozenset({b"forwarded", b"via", b"x-real-ip"})
_MAX_CALL_BYTES = 16 * 1024 * 1024


async def open_process(services: tuple[str, ...], *, name: str, connections: int, wait_s: float = 30.0) -> None:
    """Open what every process stands on: logs, the database as the role of exactly these services, Redis, identity, calls."""
    telemetry.configure(name)
    url = await roles.ensure_login(services)
    await postgres.connect(url, size=connections, application=name, wait_s=wait_s)
    await redis.connect()
    broadcast.listen("access", relations.hear, on_gap=relations.forget_everybody)
    await broadcast.start()
    await identity.start()
    live.start()
    registry.load(services, "snapshots")
    calls.install(services)
    await flags.start()


async def close_process() -> None:
    """Close it again, in reverse order."""
    await flags.stop()
    await live.stop()
    await calls.close()
    await objects.close()
    await opensearch.close()
    await identity.stop()
    await broadcast.stop()
    kept.stop()
    await redis.disconnect()
    await postgres.disconnect()


class ServiceHost:
    """The web host of a placement: answers `/v1/<area>` for its services, and health for the platform."""

    def __init__(self, services: tuple[str, ...], *, wait_s: float = WEB_WAIT_S, limits: Limits | None = None) -> None:
        unknown = [name for name in services if name not in table()]
        if unknown:
            raise LookupError(f"no such service: {', '.join(unknown)}; the table knows {', '.join(sorted(table()))}")
        self.services = services
        self._wait_s = wait_s
        self._apps: dict[str, App] = {}
        self._paths: dict[str, App] = {}
        self._edge = Edge(self._dispatch, limits)
        self._opened = AsyncExitStack()
        """What `start` opened, and `stop` closes: of a host that never started, nothing."""
        self._warming: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Open the process and load the services; afterwards the host is ready."""
        self._loop = asyncio.get_running_loop()
        routers: list[Router] = []
        with registry.loading():
            name = f"web:{_label(self.services)}"
            await open_process(self.services, name=name, connections=WEB_CONNECTIONS, wait_s=self._wait_s)
            self._opened.push_async_callback(close_process)
            for name in self.services:
                service = table()[name]
                routes = room(name, "routes")
                if routes is None:
                    continue
                routers.append(routes.router)
                app: App = LateApp(routes.router)
                self._apps.update(dict.fromkeys(service.areas, app))
                self._paths.update(dict.fromkeys(service.paths, app))
            await door.start()
            self._opened.push_async_callback(door.stop)
            if self._edge.buckets is not None:
                await self._edge.buckets.start()
                self._opened.push_async_callback(self._edge.buckets.stop)
            await usage.start()
            self._opened.push_async_callback(usage.stop)

        gc.set_threshold(*GC_THRESHOLDS)
        self._warming = asyncio.create_task(warm_up(routers), name="warm-up")

    async def drain(self, within_s: float) -> None:
        """Take no more live connections, and return when those that there are have gone, spread over this time at most.

        May be called in any event loop.
        """
        if self._loop is not None and not self._loop.is_closed():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(live.drain(within_s), self._loop))

    def load(self) -> dict[str, float]:
        """Return how many requests are in work, and how many streams are open."""
        return {"short": self._edge.admission.short, "streams": self._edge.admission.streams}

    async def stop(self) -> None:
        """Let writes end, whose clients may have left, and close what was opened."""
        if self._warming is not None:
            self._warming.cancel()
        await self._edge.drained()
        await self._opened.aclose()

    async def healthy(self) -> None:
        """Return when this host can serve.

        Raises:
            TimeoutError, OSError, asyncpg.PostgresError: the database does not answer.
        """
        async with asyncio.timeout(5), postgres.read() as db:
            await db.value("SELECT 1")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"] in ("/healthz", "/readyz", "/metrics"):
            await self._operate(scope, receive, send)
        else:
            await self._edge(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        app = None
        if path.startswith("/v1/"):
            area, _, rest = path[4:].partition("/")
            if rest.startswith("-/"):
                service = service_of_area(area)
                if service is not None and service.name in self.services and area == service.areas[0]:
                    if rest.startswith("-/calls/") and scope["method"] == "POST":
                        return await self._answer(service, rest.removeprefix("-/calls/"), scope, receive, send)
                    if rest == "-/health" and scope["method"] in ("GET", "HEAD"):
                        return await self._health(service, scope, receive, send)
            app = self._apps.get(area)
        else:
            app = self._paths.get(path) or self._paths.get("/" + path[1:].partition("/")[0] + "/")
        if app is None:
            await problem_response(NotFound("no such path; /openapi.json lists them all"))(scope, receive, send)
        else:
            await app(scope, receive, send)

    async def _answer(self, service: Service, method: str, scope: Scope, receive: Receive, send: Send) -> None:
        principal = scope["state"]["principal"]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            if principal.kind != "platform":
                raise Forbidden("calls are for services; people use the public routes")
            calls.set_deadline(headers.get(b"x-deadline-ms", b"").decode() or None)
            body = await _read(receive)
            with calls.called_by(principal):
                content = await calls.answer(service.name, method, body)
            response = text_response(content, "application/msgpack")
        except Problem as problem:
            content, problem_headers = calls.encode_problem(problem)
            response = text_response(content, "application/msgpack", problem.status, problem_headers)
        await response(scope, receive, send)

    async def _health(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.healthy()
        except Exception as error:
            log.warning("unhealthy", extra={"service": service.name, "error": repr(error)})
            response = text_response(b'{"status":"unhealthy"}', "application/json", 503, {"Retry-After": "2"})
        else:
            response = text_response(b'{"status":"healthy"}', "application/json")
        await response(scope, receive, send)

    async def _operate(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["path"]:
            case "/metrics" if not _may_measure(scope):
                response = problem_response(NotFound("metrics are for this machine and for who has HUB_METRICS_TOKEN"))
            case "/metrics":
                response = text_response(telemetry.metrics_text(), "text/plain; version=0.0.4")
            case "/healthz":
                response = text_response(b'{"status":"alive"}', "application/json")
            case _:
                try:
                    await self.healthy()
                    response = text_response(b'{"status":"ready"}', "application/json")
                except Exception:
                    log.warning("not ready", exc_info=True)
                    response = text_response(b'{"status":"not ready"}', "application/json", 503, {"Retry-After": "2"})
        await response(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.start()
                except Exception as error:
                    log.exception("start")
                    await send({"type": "lifespan.startup.failed", "message": repr(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _may_measure(scope: Scope) -> bool:
    """Tell whether who asks has the token of metrics, or is a program on this machine.

    Nothing may stand between: whoever is behind a proxy has the proxy's address, and a page in a browser may have been
    pointed here by its own name.
    """
    headers: dict[bytes, bytes] = dict(scope["headers"])
    token = settings().metrics_token
    if token and compare_digest(headers.get(b"authorization", b""), b"Bearer " + token.encode()):
        return True
    client = scope.get("client")
    return (
        client is not None
        and is_loopback(client[0])
        and is_loopback(host_name(headers.get(b"host", b"")))
        and not any(name in _FORWARDED or name.startswith(b"x-forwarded-") for name in headers)
    )


async def _read(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the call broke off")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > _MAX_CALL_BYTES:
            raise BadRequest("a call's arguments may have 16 MiB")
        if not message.get("more_body"):
            return b"".join(chunks)


async def warm_up(routers: list[Router]) -> None:
    """Build every route before a request asks for it. Requests are answered between two routes.

    A route that cannot be built is found by `./hub check`, which writes the document of all; here it fails its service alone.
    """
    built = 0
    for router in routers:
        try:
            for _ in router.build():
                built += 1
                await asyncio.sleep(0)
        except Exception:
            log.exception("routes cannot be built", extra={"service": router.service})
    if built:
        # Routes stay; see `registry.loading`.
        gc.freeze()


def _label(services: tuple[str, ...]) -> str:
    return services[0] if len(services) == 1 else f"{len(services)} services"
