"""What a laptop's `deployments.serve` promises: processes, ports, limits and failures, on the real Ray and HAProxy."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect

from deployments.serve import REPOSITORY, sweep, temporary_folder
from tests.deployments.conftest import Checkout

pytestmark = pytest.mark.timeout(300)


def family(checkout: Checkout) -> list[psutil.Process]:
    """List the processes of a checkout: what its process started, by any number of steps."""
    return psutil.Process(checkout.process.pid).children(recursive=True)


def test_web_and_worker_hosts_have_the_services_of_the_placement(client: httpx.Client, checkout: Checkout) -> None:
    assert client.get("/v1/x").json()["services"] == ["course", "media"]
    assert [line.split()[0:2] + line.split()[3:] for line in checkout.happened[:1]] == [
        ["worker", "started", "course,media"]
    ]


def test_the_address_is_the_peer_whatever_the_client_claims(client: httpx.Client) -> None:
    claims = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6",
        "X-Hub-Principal": "root",
        "X-Request-Disconnect-Disabled": "?0",
        "X-Request-Timeout-Seconds": "0.001",
    }
    seen = client.get("/v1/x", headers=claims).json()
    headers = [tuple(pair) for pair in seen["headers"] if pair[0].startswith(("x-", "forwarded"))]
    assert seen["client"] == "127.0.0.1"
    assert [pair for pair in headers if pair[0] != "x-request-id"] == [
        ("x-request-disconnect-disabled", "?1"),
        ("x-forwarded-for", "127.0.0.1"),
    ]


def test_a_body_over_1_mib_is_refused_except_uploads(client: httpx.Client) -> None:
    body = bytes(1024 * 1024 + 1)
    refused = client.post("/v1/courses", content=body, headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    assert (refused.status_code, refused.headers["content-type"]) == (413, "application/problem+json")
    assert refused.json() == {
        "type": "/problems/too-large",
        "title": "The request is too large",
        "status": 413,
        "detail": "a body has at most 1 MiB; files go to /v1/uploads",
        "trace_id": "a" * 32,
        "errors": [],
    }
    assert client.post("/v1/courses", content=body[1:]).json()["received"] == len(body) - 1
    assert client.patch("/v1/uploads/1", content=body).json()["received"] == len(body)
    assert client.post("/v1/uploads-of-mine", content=body).status_code == 413


def test_headers_over_12_kib_are_refused(client: httpx.Client) -> None:
    refused = client.get("/v1/x", headers={"x-long": "a" * 13_000})
    assert (refused.status_code, refused.json()["type"]) == (431, "/problems/headers-too-large")


async def test_a_slow_reader_holds_the_sender_back(checkout: Checkout) -> None:
    """240 MB into an application that reads 50 MB/s: no replica may hold more than a fraction of it."""
    replicas = [p for p in family(checkout) if "ServeReplica:web" in " ".join(p.cmdline())]
    before = sum(p.memory_info().rss for p in replicas)
    peak = before

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal peak
        for number in range(240):
            yield bytes(1_000_000)
            if number % 8 == 0:
                peak = max(peak, sum(p.memory_info().rss for p in replicas))

    async with httpx.AsyncClient(base_url=checkout.url, timeout=120) as client:
        answer = await client.patch("/v1/uploads/slow", content=chunks())
    assert answer.json()["received"] == 240_000_000
    assert len(replicas) == 2
    assert peak - before < 60_000_000


async def test_a_slow_head_dies_and_a_slow_body_lives(checkout: Checkout) -> None:
    async def trickle(start: bytes, tail: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", checkout.port)
        writer.write(start)
        answer = asyncio.create_task(reader.read(200))
        for byte in tail:
            await asyncio.wait((answer,), timeout=1)
            if answer.done():
                break
            writer.write(bytes((byte,)))
        result = await asyncio.wait_for(answer, 20)
        writer.close()
        return result

    head, body = await asyncio.gather(
        trickle(b"GET /v1/x HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"a" * 30),
        trickle(b"PATCH /v1/uploads/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n", b"b" * 13),
    )
    assert head.startswith(b"HTTP/1.1 408") or head == b""
    assert body.startswith(b"HTTP/1.1 200")


async def test_a_replica_killed_under_requests_fails_none(checkout: Checkout) -> None:
    async with httpx.AsyncClient(base_url=checkout.url, timeout=60) as client:
        victim = (await client.get("/v1/x")).json()["pid"]
        seen: list[tuple[int, int]] = []

        async def ask(times: int) -> None:
            for _ in range(times):
                answer = await client.get("/v1/nap")
                seen.append((answer.status_code, answer.json()["pid"]))
                if len(seen) == 60:
                    os.kill(victim, signal.SIGKILL)

        await asyncio.gather(*(ask(40) for _ in range(8)))
        assert len(seen) == 320
        assert {status for status, _ in seen} == {200}
        # Serve puts another one in its place.
        for _ in range(600):
            pids = {(await client.get("/v1/x")).json()["pid"] for _ in range(6)}
            if len(pids) == 2 and victim not in pids:
                break
            await asyncio.sleep(0.2)
        else:
            pytest.fail(f"no new replica came: {checkout.log[-2000:]}")


def test_a_request_that_kills_its_replica_is_not_repeated(client: httpx.Client, checkout: Checkout) -> None:
    """HAProxy answers 503, or on a reused connection closes it without a word, as HTTP/1.1 lets a server do."""
    try:
        answer = client.post("/v1/die")
    except httpx.RemoteProtocolError:
        pass
    else:
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert client.get("/v1/x").status_code == 200
    assert checkout.happened.count("died of a request") == 1


def test_an_answer_of_the_application_passes_unchanged(client: httpx.Client) -> None:
    answer = client.get("/v1/missing")
    assert (answer.status_code, answer.json()) == (404, {"status": 404})


def test_nothing_listens_beyond_loopback(checkout: Checkout) -> None:
    listening = {
        connection.laddr.ip
        for process in family(checkout)
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}


def test_no_other_user_reaches_the_sockets_of_ray_and_haproxy(checkout: Checkout) -> None:
    folder = temporary_folder(checkout.home)
    sockets = [path for path in folder.rglob("*") if path.is_socket()]

    assert {path.name for path in sockets} >= {"admin", "plasma_store"}
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("victim", ["HAProxyManager", "haproxy", "ServeController"])
def test_the_front_door_comes_back_after_kill_9(checkout: Checkout, victim: str) -> None:
    killed = [p for p in family(checkout) if victim in p.name() or (p.cmdline() and victim in p.cmdline()[0])]
    assert killed
    for process in killed:
        process.kill()
    psutil.wait_procs(killed, timeout=10)
    for _ in range(240):
        with contextlib.suppress(httpx.TransportError), httpx.Client(base_url=checkout.url, timeout=10) as client:
            if client.get("/v1/x").status_code == 200 and living(checkout, victim):
                break
        time.sleep(0.5)
    else:
        pytest.fail(f"{victim} did not come back: {checkout.log[-2000:]}")


def living(checkout: Checkout, name: str) -> bool:
    return any(name in p.name() or name in p.cmdline()[0] for p in family(checkout) if p.is_running() and p.cmdline())


def test_a_second_start_for_the_same_home_is_refused(checkout: Checkout) -> None:
    second = subprocess.run(checkout.command, cwd=REPOSITORY, capture_output=True, timeout=60, check=False)
    assert (second.returncode, b"another process serves" in second.stderr) == (1, True)


@pytest.fixture
def bystander(neighbour: Checkout) -> Iterator[subprocess.Popen[bytes]]:
    """A process that merely reads a log of the neighbour, as `tail -f` does."""
    log = temporary_folder(neighbour.home) / "ray" / "session_latest" / "logs" / "raylet.out"
    with subprocess.Popen(["tail", "-f", str(log)], stdout=subprocess.DEVNULL) as process:
        yield process
        process.terminate()


def test_two_checkouts_live_side_by_side_and_one_comes_back_after_kill_9(
    checkout: Checkout, neighbour: Checkout, client: httpx.Client, bystander: subprocess.Popen[bytes]
) -> None:
    assert temporary_folder(checkout.home) != temporary_folder(neighbour.home)
    assert httpx.get(f"{neighbour.url}/v1/x").json()["pid"] != client.get("/v1/x").json()["pid"]
    remains = [process for process in family(neighbour) if process.is_running()]
    neighbour.kill()
    neighbour.start()
    assert [process for process in remains if process.is_running()] == []
    assert httpx.get(f"{neighbour.url}/v1/x").status_code == 200
    neighbour.stop()
    assert neighbour.process.returncode == 0
    assert neighbour.happened[-3:].count("worker stopped") == 1
    assert sweep(neighbour.home) == []
    assert client.get("/v1/x").status_code == 200
    assert bystander.poll() is None


async def test_who_is_connected_hears_of_the_end_before_the_door_is_gone(neighbour: Checkout) -> None:
    address = f"127.0.0.1:{neighbour.port}/v1/held"
    async with AsyncExitStack() as opened:
        sockets = [
            await opened.enter_async_context(connect(f"ws://{address}", compression=None, proxy=None)) for _ in range(8)
        ]
        http = await opened.enter_async_context(httpx.AsyncClient(timeout=60, trust_env=False))
        stream = await opened.enter_async_context(http.stream("GET", f"http://{address}"))
        chunks = stream.aiter_text()
        begun = await anext(chunks)

        stopping = asyncio.create_task(asyncio.to_thread(neighbour.stop))
        rest = [text async for text in chunks]
        await asyncio.gather(*(socket.wait_closed() for socket in sockets))
        await stopping

    assert [(socket.close_code, socket.close_reason) for socket in sockets] == [(1012, "drained")] * 8
    assert (begun, rest) == ("held;", ["drained"])
    assert neighbour.process.returncode == 0


def test_the_sweep_finds_a_process_that_writes_into_the_folder(tmp_path: Path) -> None:
    folder = temporary_folder(tmp_path)
    folder.mkdir()
    try:
        with (folder / "log").open("w") as log:
            writer = subprocess.Popen(["/bin/sleep", "60"], env={}, pass_fds=(log.fileno(),))
        assert sweep(tmp_path) == [writer.pid]
        assert not psutil.pid_exists(writer.pid)
    finally:
        shutil.rmtree(folder)


def test_serve_ends_with_1_when_rays_core_dies(neighbour: Checkout) -> None:
    (raylet,) = [process for process in family(neighbour) if process.name() == "raylet"]
    raylet.kill()
    assert neighbour.process.wait(60) == 1
    assert sweep(neighbour.home) == []
