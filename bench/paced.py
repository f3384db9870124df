"""Ask one address at a given rate, whether answers come or not, from a process of its own: what overload looks like."""

import asyncio
import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import cast
from urllib.parse import urlsplit

from cluster.base.settings import REPOSITORY

_CONNECTIONS = 400
_STEP_S = 0.005
_WARM_S = 2.0
"""So long a process may take to see that it has too much to do: what came back before is not counted."""


@dataclass(frozen=True, slots=True)
class Paced:
    """What came back: answers by kind, and how long those took that were admitted."""

    admitted: int
    refused: int
    failed: int
    """Neither 200 nor 503."""
    unsent: int
    """Every connection waited for an answer."""
    p50_ms: float
    p99_ms: float


async def paced(url: str, *, per_s: float, seconds: float, token: str) -> Paced:
    """Ask for `url` at a rate.

    Raises:
        RuntimeError: the client failed.
    """
    argv = [sys.executable, "-m", "bench.paced", url, str(per_s), str(seconds), token]
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await process.communicate())[0].decode()
    if process.returncode != 0:
        raise RuntimeError(f"the client failed: {output[-2000:]}")
    return Paced(**json.loads(output))


class _Connection(asyncio.Protocol):
    def __init__(self, client: "_Client") -> None:
        self._client = client
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._client.idle.append(self)

    def ask(self, request: bytes) -> None:
        self._sent_at = time.perf_counter()
        if self._transport is not None:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if not lengths or len(body) < int(lengths[0].partition(b":")[2]):
            return
        self._received = b""
        self._client.took(head[9:12], self._sent_at)
        self._client.idle.append(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Client:
    def __init__(self) -> None:
        self.idle: deque[_Connection] = deque()
        self.counts_from = float("inf")
        self.took_s: list[float] = []
        self.refused = 0
        self.failed = 0

    def took(self, status: bytes, sent_at: float) -> None:
        if sent_at < self.counts_from:
            return
        seconds = time.perf_counter() - sent_at
        if status == b"200":
            self.took_s.append(seconds)
        elif status == b"503":
            self.refused += 1
        else:
            self.failed += 1


async def _paced(url: str, per_s: float, seconds: float, token: str) -> Paced:
    to = urlsplit(url)
    lines = [f"GET {to.path} HTTP/1.1", f"Host: {to.netloc}", f"Authorization: Bearer {token}"]
    request = "\r\n".join([*lines, "", ""]).encode()
    loop, client = asyncio.get_running_loop(), _Client()
    connections = [
        (await loop.create_connection(lambda: _Connection(client), to.hostname or "127.0.0.1", to.port or 80))[1]
        for _ in range(_CONNECTIONS)
    ]
    begun, sent, unsent = time.perf_counter(), 0, 0
    client.counts_from = begun + _WARM_S
    while (passed := time.perf_counter() - begun) < _WARM_S + seconds:
        for _ in range(int(passed * per_s) - sent - unsent):
            if client.idle:
                client.idle.popleft().ask(request)
                sent += 1
            else:
                unsent += 1
        await asyncio.sleep(_STEP_S)
    await asyncio.sleep(1.0)
    for connection in connections:
        connection.close()
    took = sorted(client.took_s) or [0.0]
    return Paced(
        admitted=len(client.took_s),
        refused=client.refused,
        failed=client.failed,
        unsent=unsent,
        p50_ms=took[len(took) // 2] * 1000,
        p99_ms=took[int(len(took) * 0.99)] * 1000,
    )


if __name__ == "__main__":
    import uvloop

    address, rate, duration, bearer = sys.argv[1:5]
    print(json.dumps(asdict(uvloop.run(_paced(address, float(rate), float(duration), bearer)))))
