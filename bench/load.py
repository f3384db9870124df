"""Ask one address as fast as it answers, from a process of its own, over connections that stay open: GET, or POST with a body.

`wrk` when it is installed, else a small client of our own. That one takes about as much CPU as a fast server, so its
figures are lower; a measurement and its peers always meet the same client.
"""

import asyncio
import json
import re
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from typing import cast
from urllib.parse import urlsplit

from cluster.base.settings import REPOSITORY

CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Load:
    """What came back: answers per second, and how much failed."""

    per_s: float
    failed: int
    """Answers other than 200 and 201, and connections that the server closed."""
    why: str = ""
    """The first line of one of those answers, as far as the client tells."""


async def load(url: str, *, seconds: float, token: str = "", body: str = "") -> Load:
    """Ask for `url` with CONNECTIONS connections and return how often it was answered. With a JSON `body` it is a POST.

    Raises:
        RuntimeError: the client failed.
    """
    wrk = None if body else shutil.which("wrk")
    if wrk:
        argv = [
            wrk,
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{max(1, round(seconds))}s",
            "-H",
            f"Authorization: Bearer {token}",
            url,
        ]
    else:
        argv = [sys.executable, "-m", "bench.load", url, str(seconds), token, body]
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await process.communicate())[0].decode()
    if process.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed: {output[-2000:]}")
    return of_wrk(output) if wrk else Load(**json.loads(output))


def of_wrk(output: str) -> Load:
    per_s = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert per_s is not None, output
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    failed = int(refused[1]) if refused else 0
    return Load(float(per_s[1]), failed + (sum(map(int, broken.groups())) if broken else 0))


class _Connection(asyncio.Protocol):
    """One request after the other. Answers must carry Content-Length."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self.answered = 0
        self.failed = 0
        self.why = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        if length is None or len(body) < int(length[1]):
            return
        self.answered += 1
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            self.failed += 1
            self.why = head.partition(b"\r\n")[0].decode("latin-1")
        self._received = b""
        if self._transport is not None:
            self._transport.write(self._request)

    @property
    def open(self) -> bool:
        return self._transport is not None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _load(url: str, seconds: float, token: str, body: str) -> Load:
    to = urlsplit(url)
    host, port = to.hostname or "127.0.0.1", to.port or 80
    lines = [f"{'POST' if body else 'GET'} {to.path} HTTP/1.1", f"Host: {to.netloc}", f"Authorization: Bearer {token}"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    request = "\r\n".join([*lines, "", body]).encode()
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    connections = [
        (await loop.create_connection(lambda: _Connection(request), host, port))[1] for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds)
    took_s = time.perf_counter() - begun
    broken = sum(not connection.open for connection in connections)
    answered = sum(connection.answered for connection in connections)
    failed = sum(connection.failed for connection in connections)
    why = next((connection.why for connection in connections if connection.why), "closed" if broken else "")
    for connection in connections:
        connection.close()
    return Load(answered / took_s, failed + broken, why)


if __name__ == "__main__":
    import uvloop

    print(json.dumps(asdict(uvloop.run(_load(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4])))))
