"""Wrap the two hosts as Ray Serve deployments; `web` and `worker` are also the import paths of a RayService."""

import importlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol, cast

from ray import serve

from cluster.base.registry import loading

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

WEB = "cluster.host:ServiceHost"
WORKER = "actors.worker:WorkerHost"

DRAIN_S = 20
"""How long a replica may finish what it has begun before it is killed: `SPREAD_S` and the least time of draining are part of it."""
SPREAD_S = 8.0
"""Over this time at most the live connections of a replica that ends come back elsewhere."""
SOCKETS = {
    # uvicorn takes 16 MiB before the application sees any of it, and a compressor of 64 KiB for each connection.
    "ws_max_size": 64 * 1024,
    "ws_per_message_deflate": False,
    # The hub pings: one timer for all connections of a process.
    "ws_ping_interval": None,
}
"""How replicas serve WebSockets; Serve has no options for it."""
LISTENERS = 16
"""So many connections a replica takes in one turn of its event loop: libuv takes one for each listener and turn.

A replica with 32 requests in work has some 30 turns a second, and the ingress opens hundreds of connections to it when load comes.
"""


class RunningHost(Protocol):
    """What `actors.worker.WorkerHost` and `cluster.host.ServiceHost` share."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def healthy(self) -> None: ...


class WebApplication(RunningHost, Protocol):
    """ASGI 3 with lifespan events, which start and stop it."""

    async def drain(self, within_s: float) -> None: ...
    def load(self) -> dict[str, float]: ...
    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None: ...


class WebReplica:
    """Answer requests for a set of services. Serve starts and stops the host by ASGI's lifespan events."""

    def __init__(self, host: str, services: tuple[str, ...]) -> None:
        bind_to_loopback()
        limit_sockets()
        self._host = cast(WebApplication, load(host)(services))
        drain_early(self._host)

    def __serve_build_asgi_app__(self) -> WebApplication:
        return self._host

    async def check_health(self) -> None:
        await self._host.healthy()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Tell `scaling.wanted_hosts` how much this host has to do."""
        return self._host.load()


class WorkerReplica:
    """Run the relay, consumers, jobs and schedule of a set of services; no request comes here."""

    async def __init__(self, host: str, services: tuple[str, ...]) -> None:  # pyright: ignore[reportGeneralTypeIssues]
        """Start in the replica's event loop: Serve awaits constructors."""
        bind_to_loopback()
        started = cast(RunningHost, load(host)(services))
        await started.start()
        self._host = started

    async def check_health(self) -> None:
        await self._host.healthy()

    async def __del__(self) -> None:
        """Drain: Serve awaits this when a replica goes in good order."""
        if hasattr(self, "_host"):
            await self._host.stop()


def bind_to_loopback() -> None:
    """Keep the replica's own gRPC server on loopback on a laptop: Serve opens it on every interface, and it unpickles."""
    if "HUB_SERVE_FOLDER" not in os.environ:
        return
    replica = cast(Any, importlib.import_module("ray.serve._private.replica"))
    original = cast(Callable[[object, str], int], replica.add_port_to_grpc_server)

    def on_loopback(server: object, address: str) -> int:
        return original(server, address.replace("[::]", "127.0.0.1"))

    replica.add_port_to_grpc_server = on_loopback


def limit_sockets() -> None:
    """Let Serve's server of this process serve WebSockets by `SOCKETS`, and write no line for each: it would show the ticket.

    It takes connections by `LISTENERS`.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    http_util = cast(Any, importlib.import_module("ray.serve._private.http_util"))
    uvicorn = importlib.import_module("uvicorn")
    http_util.uvicorn = SimpleNamespace(
        Config=partial(uvicorn.Config, **SOCKETS), Server=listening_often(uvicorn.Server)
    )


def listening_often(server: type[Any]) -> type[Any]:
    """Return a kind of uvicorn's server that listens `LISTENERS` times at each of its sockets."""

    class ListeningOften(server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            if sockets is not None:
                # uvicorn closes all sockets of this list.
                sockets += [sock.dup() for sock in sockets for _ in range(LISTENERS - 1)]
            await super().startup(sockets)

    return ListeningOften


def drain_early(host: WebApplication) -> None:
    """Send live connections elsewhere as soon as this replica is told to end, and only then go on.

    Serve tells its code when they are cut off: its server closes all WebSockets at once after the least time of draining.
    """
    replica = cast(Any, importlib.import_module("ray.serve._private.replica")).Replica
    original: Callable[[object], Awaitable[None]] = replica.perform_graceful_shutdown

    async def shut_down(self: object) -> None:
        if hasattr(host, "drain"):
            try:
                await host.drain(SPREAD_S)
            except Exception as error:
                log.warning("live connections are cut off", extra={"error": repr(error)})
        await original(self)

    replica.perform_graceful_shutdown = shut_down


def load(path: str) -> Callable[[tuple[str, ...]], object]:
    """Import `module:Class`, in the replica and not before."""
    module, _, name = path.partition(":")
    with loading():
        return getattr(importlib.import_module(module), name)


def web(args: dict[str, Any]) -> serve.Application:
    """Build the application of the web hosts from `services`, `replicas`, `cpu` and optionally `host`."""
    deployment = serve.deployment(
        serve.ingress()(WebReplica),
        name="web",
        # Connections are held back by the edge, which knows streams from requests; Serve would count both alike.
        max_ongoing_requests=20_000,
        **_options(args, policy={"policy_function": "deployments.scaling:wanted_hosts"}),
    )
    return cast(Any, deployment).bind(args.get("host", WEB), tuple(args["services"]))


def worker(args: dict[str, Any]) -> serve.Application:
    """Build the application of the worker hosts from the same arguments as `web`."""
    deployment = serve.deployment(WorkerReplica, name="worker", **_options(args))
    return cast(Any, deployment).bind(args.get("host", WORKER), tuple(args["services"]))


def _options(args: dict[str, Any], **by: Any) -> dict[str, Any]:
    """`by`: what scales the deployment, where it scales."""
    least, most = args["replicas"]
    scaling: dict[str, Any] = {"num_replicas": least}
    if most > least:
        scaling = {"autoscaling_config": {"min_replicas": least, "max_replicas": most, **by}}
    return {
        **scaling,
        "ray_actor_options": {"num_cpus": args["cpu"], "num_gpus": args.get("gpu", 0.0)},
        "health_check_period_s": 5,
        "health_check_timeout_s": 30,
        # The edge writes the access log; Serve would write one beside it, with raw paths.
        "logging_config": {"log_level": "WARNING", "enable_access_log": False},
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": DRAIN_S,
    }
