"""One message to thousands of WebSockets on two web hosts: memory, delivery, statements, and coming back after kill -9.

The hosts are two processes on uvicorn with the limits that replicas of Ray Serve have; HAProxy does not stand between. The message
is the change of a course's title, from its request on. The peer is `websockets.broadcast` in as many processes, with the same
clients. All clients live in this process: their share of the time is measured, too.
"""

import asyncio
import resource
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import psutil
import uvloop

from bench.figures import Figure, hand_over, progress, quick, typical
from bench.live_swarm import Swarm
from bench.stack import Stack, furnish, running_process
from cluster.data.migrations import migrate
from cluster.people.tickets import SOCKET
from cluster.servers.home import free_port

HOSTS = 2
_SPARE = 500
_MESSAGES = 3 if quick() else 7
_LIMIT_S = 60
_BODY = (
    '{"topic":"course:01980f4e-7a0c-7c3e-9d53-0c2b7d0f4a11","seq":%s,"kind":"course",'
    '"at":"2031-05-04T00:00:00.000000Z","data":{"version":%s}}'
)


def _connections() -> int:
    """Return how many connections to try: what this process may open, 10,000 at most."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    return 500 if quick() else min(10_000, limit[1] - _SPARE)


async def run() -> list[Figure]:
    count = _connections()
    await migrate()
    peer, peer_share = await _ask_peer(count)
    async with _hosts("hub") as ports, httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[1]}", timeout=30) as http:
        stack = await furnish(http, str(http.base_url), published=False)
        return await _measure(count, ports, http, stack, peer, peer_share)


async def _measure(
    count: int, ports: list[int], http: httpx.AsyncClient, stack: Stack, peer: float, peer_share: float
) -> list[Figure]:
    hosts = [_listening(port) for port in ports]
    path = f"/v1/courses/{stack.course_id}"
    sent = 0

    async def change() -> None:
        nonlocal sent
        sent += 1
        found = await http.get(path)
        answer = await http.patch(path, json={"title": f"Algebra {sent}"}, headers={"If-Match": found.headers["etag"]})
        answer.raise_for_status()

    swarm = Swarm(SOCKET, stack.token, f'{{"subscribe":{{"course:{stack.course_id}":%s}}}}')
    await swarm.connect(ports, 2 * HOSTS)
    await _deliver(swarm, change, 2)
    few = await _statements(ports, lambda: _deliver(swarm, change, 1))
    before = [host.memory_info().rss for host in hosts]
    begun, used_s = time.perf_counter(), _used(hosts)
    await swarm.connect(ports, count - 2 * HOSTS)
    connected_s = time.perf_counter() - begun
    progress(f"{count} follow after {connected_s:.1f} s, of which the hosts worked {_used(hosts) - used_s:.1f} s")
    await _deliver(swarm, change, 1)
    grown = [host.memory_info().rss - was for host, was in zip(hosts, before, strict=True)]
    many = await _statements(ports, lambda: _deliver(swarm, change, 1))
    used_s = _used(hosts)
    times_s, share = await _deliver(swarm, change, _MESSAGES)
    used_s = _used(hosts) - used_s
    _say_work("the hosts", used_s, count)
    progress(f"clients used {share:.0%} of a core while messages were delivered, {peer_share:.0%} with the peer")
    longest_s = max(times_s)

    begun = time.perf_counter()
    swarm.ports = ports[1:]
    lost = sum(client.opened for client in swarm.clients) // HOSTS
    hosts[0].kill()
    swarm.expect(_newest(swarm) + 1)
    await change()
    await asyncio.wait_for(swarm.heard(), _LIMIT_S)
    await asyncio.wait_for(swarm.follow(), _LIMIT_S)
    back_s = time.perf_counter() - begun
    progress(f"about {lost} came back; {swarm.refused} were refused meanwhile")
    swarm.close()
    return [
        Figure(name="connections on two hosts", value=count, unit=""),
        Figure(name="memory of a connection", value=sum(grown) / count / 1024, unit="KiB", goal=64, better="less"),
        Figure(name="a change until the last has heard it", value=typical(times_s), unit="s", goal=1.0, better="less"),
        Figure(name="the slowest of these", value=longest_s, unit="s"),
        Figure(
            name="messages delivered, against websockets.broadcast",
            value=count / typical(times_s),
            unit="1/s",
            peer=count / peer,
            goal=0.5,
        ),
        Figure(name=f"statements of a message to {2 * HOSTS}", value=few, unit=""),
        Figure(name=f"statements of a message to {count}", value=many, unit="", goal=few, better="less"),
        Figure(name="kill -9 of a host until all are back", value=back_s, unit="s", goal=10.0, better="less"),
    ]


async def _ask_peer(count: int) -> tuple[float, float]:
    """Return how long a message takes to all connections of the peer, and the share of a core that the clients used."""
    async with _hosts("peer") as ports:
        swarm, tellers = Swarm("/", "", ""), Swarm("/", "", "")
        await swarm.connect(ports, count)
        await tellers.connect(ports, HOSTS)

        async def tell() -> None:
            for teller in tellers.clients:
                teller.send(_BODY % (_newest(swarm) + 1, "7"))

        await _deliver(swarm, tell, 1)
        hosts = [_listening(port) for port in ports]
        used_s = _used(hosts)
        times_s, share = await _deliver(swarm, tell, _MESSAGES)
        _say_work("the peer", _used(hosts) - used_s, count)
        swarm.close()
        tellers.close()
    return typical(times_s), share


async def _deliver(swarm: Swarm, change: Callable[[], Awaitable[None]], times: int) -> tuple[list[float], float]:
    """Let something change so many times, and return how long each took to the last, and the clients' share of a core."""
    found: list[float] = []
    used_s = time.process_time()
    for _ in range(times):
        swarm.expect(_newest(swarm) + 1)
        begun = time.perf_counter()
        await change()
        await asyncio.wait_for(swarm.heard(), _LIMIT_S)
        found.append(time.perf_counter() - begun)
    return found, (time.process_time() - used_s) / sum(found)


def _newest(swarm: Swarm) -> int:
    return max(client.number for client in swarm.clients)


async def _statements(ports: list[int], work: Callable[[], Awaitable[object]]) -> int:
    """Return how many statements this work costs for followers, on all hosts."""
    async with httpx.AsyncClient(trust_env=False) as client:

        async def asked() -> int:
            return sum([int((await client.get(f"http://127.0.0.1:{port}/asked")).text) for port in ports])

        before = await asked()
        await work()
        return await asked() - before


@asynccontextmanager
async def _hosts(what: str) -> AsyncGenerator[list[int]]:
    ports: list[int] = []
    for _ in range(HOSTS):
        ports.append(free_port(ports))
    first, second = ports
    async with (
        running_process("bench.live_host", f"http://127.0.0.1:{first}/readyz", what, str(first)),
        running_process("bench.live_host", f"http://127.0.0.1:{second}/readyz", what, str(second)),
    ):
        yield ports


def _say_work(who: str, used_s: float, count: int) -> None:
    progress(f"{who} worked {used_s / count / _MESSAGES * 1e6:.0f} µs for a message to one connection")


def _used(hosts: list[psutil.Process]) -> float:
    """Return the seconds of CPU that processes have used."""
    return sum(times.user + times.system for times in (host.cpu_times() for host in hosts))


def _listening(port: int) -> psutil.Process:
    """Return the child of this process that listens there."""
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if any(each.laddr.port == port and each.status == "LISTEN" for each in process.net_connections("tcp")):
                return process
    raise LookupError(f"nobody listens on port {port}")


if __name__ == "__main__":
    hand_over(uvloop.run(run()))
