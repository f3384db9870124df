"""Wrap the two hosts as Ray Serve deployments; `web` and `worker` are also the import paths of a RayService."""

import importlib
import os
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from ray import serve

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

WEB = "cluster.host:ServiceHost"
WORKER = "actors.worker:WorkerHost"

DRAIN_S = 20
"""How long a replica may finish what it has begun before it is killed."""


class RunningHost(Protocol):
    """What `actors.worker.WorkerHost` and `cluster.host.ServiceHost` share."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def healthy(self) -> None: ...


class WebApplication(RunningHost, Protocol):
    """ASGI 3 with lifespan events, which start and stop it."""

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None: ...


class WebReplica:
    """Answer requests for a set of services. Serve starts and stops the host by ASGI's lifespan events."""

    def __init__(self, host: str, services: tuple[str, ...]) -> None:
        bind_to_loopback()
        self._host = cast(WebApplication, load(host)(services))

    def __serve_build_asgi_app__(self) -> WebApplication:
        return self._host

    async def check_health(self) -> None:
        await self._host.healthy()


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


def load(path: str) -> Callable[[tuple[str, ...]], object]:
    """Import `module:Class`, in the replica and not before."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def web(args: dict[str, Any]) -> serve.Application:
    """Build the application of the web hosts from `services`, `replicas`, `cpu` and optionally `host`."""
    deployment = serve.deployment(
        serve.ingress()(WebReplica),
        name="web",
        # Connections are held back by the edge, which knows streams from requests; Serve would count both alike.
        max_ongoing_requests=20_000,
        **_options(args),
    )
    return cast(Any, deployment).bind(args.get("host", WEB), tuple(args["services"]))


def worker(args: dict[str, Any]) -> serve.Application:
    """Build the application of the worker hosts from the same arguments as `web`."""
    deployment = serve.deployment(WorkerReplica, name="worker", **_options(args))
    return cast(Any, deployment).bind(args.get("host", WORKER), tuple(args["services"]))


def _options(args: dict[str, Any]) -> dict[str, Any]:
    least, most = args["replicas"]
    scaling: dict[str, Any] = {"num_replicas": least}
    if most > least:
        scaling = {"autoscaling_config": {"min_replicas": least, "max_replicas": most, "target_ongoing_requests": 50}}
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
