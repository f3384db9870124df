"""What live connections need of Ray Serve, which has no options for it: a new Ray may have moved it."""

import asyncio
import importlib
import inspect
import logging
import resource
from typing import Any, cast

import pytest

from deployments import hosts, serve


class Draining:
    """Notes when it was told to drain, and when that had an end."""

    def __init__(self, order: list[object], *, fails: bool) -> None:
        self._order = order
        self._fails = fails

    async def drain(self, within_s: float) -> None:
        self._order.append(within_s)
        await asyncio.sleep(0)
        if self._fails:
            raise ConnectionError
        self._order.append("drained")


async def test_serves_server_takes_our_limits_of_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    http_util = cast(Any, importlib.import_module("ray.serve._private.http_util"))
    options = cast(Any, importlib.import_module("ray.serve.config")).HTTPOptions(host="127.0.0.1", port=0)
    monkeypatch.setattr(http_util, "uvicorn", http_util.uvicorn)

    hosts.limit_sockets()
    task, server = await http_util.start_asgi_http_server(None, options, event_loop=asyncio.get_running_loop())
    server.should_exit = True
    await task
    logs = logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)

    assert not logs
    assert {name: getattr(server.config, name) for name in hosts.SOCKETS} == hosts.SOCKETS


@pytest.mark.parametrize(
    ("fails", "happens"), [(False, [hosts.SPREAD_S, "drained", "ends"]), (True, [hosts.SPREAD_S, "ends"])]
)
async def test_a_replica_ends_once_its_host_has_drained(
    fails: bool, happens: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = cast(Any, importlib.import_module("ray.serve._private.replica"))
    order = list[object]()

    async def shut_down(_: object) -> None:
        order.append("ends")

    assert inspect.iscoroutinefunction(replica.Replica.perform_graceful_shutdown)
    assert "self._replica_impl.perform_graceful_shutdown()" in inspect.getsource(
        replica.ReplicaActor.perform_graceful_shutdown
    )
    monkeypatch.setattr(replica.Replica, "perform_graceful_shutdown", shut_down)
    hosts.drain_early(cast(Any, Draining(order, fails=fails)))
    await replica.Replica.perform_graceful_shutdown(object())

    assert order == happens


def test_haproxy_takes_no_more_connections_than_it_may_open_files() -> None:
    limits = [resource.RLIM_INFINITY, 1_000_000, 20_000, 4_096, 256]

    assert [serve.most_connections(limit) for limit in limits] == [25_000, 25_000, 7_760, 1_398, 100]
