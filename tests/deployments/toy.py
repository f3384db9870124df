"""Stand in for the real hosts with the same shape, so that the ingress is tested without databases."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ToyHost:
    """Answer with what arrived; `/v1/uploads/slow` reads its body at 50 MB/s."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self.services = services
        self.started = False
        self.draining = asyncio.Event()
        self.held = 0

    async def start(self) -> None:
        await asyncio.sleep(0)
        self.started = True

    async def stop(self) -> None:
        note("web stopped")

    def load(self) -> dict[str, float]:
        return {"short": 0, "streams": self.held}

    async def drain(self, within_s: float) -> None:
        """End what is held open, and return when that has ended."""
        note(f"drained {self.held}")
        self.draining.set()
        async with asyncio.timeout(within_s):
            while self.held:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def healthy(self) -> None:
        if not self.started:
            raise RuntimeError("not started")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await self.start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] == "/v1/held":
            await self._hold(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            message = await receive()
            await send({"type": "websocket.send", "text": f"echo {message['text']}"})
            await send({"type": "websocket.close", "code": 1000})
            return
        path: str = scope["path"]
        if path == "/v1/empty":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
            return
        if path == "/v1/missing":
            await answer(send, 404, {"status": 404})
            return
        if path == "/v1/die":
            note("died of a request")
            os._exit(1)
        if path == "/v1/nap":
            await asyncio.sleep(0.05)
        received = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                note("client left")
                return
            received += len(message.get("body", b""))
            if path == "/v1/uploads/slow":
                await asyncio.sleep(len(message.get("body", b"")) / 50e6)
            if not message.get("more_body", False):
                break
        headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
        await answer(
            send,
            200,
            {
                "pid": os.getpid(),
                "services": self.services,
                "received": received,
                "headers": headers,
                "client": scope["client"][0],
            },
        )

    async def _hold(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Keep a connection open until this host drains."""
        self.held += 1
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await self.draining.wait()
            await send({"type": "websocket.close", "code": 1012, "reason": "drained"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"held;", "more_body": True})
            await self.draining.wait()
            await send({"type": "http.response.body", "body": b"drained"})
        self.held -= 1


class ToyWorker:
    """Note that it started and stopped."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self.services = services

    async def start(self) -> None:
        await asyncio.sleep(0)
        note(f"worker started {os.getpid()} {','.join(self.services)}")

    async def stop(self) -> None:
        note("worker stopped")

    async def healthy(self) -> None:
        await asyncio.sleep(0)


async def answer(send: Send, status: int, document: dict[str, Any]) -> None:
    body = orjson.dumps(document)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def note(text: str) -> None:
    """Append to the home's list of what happened; a line is one write."""
    with (Path(os.environ["HUB_HOME"]) / "happened").open("a") as happened:
        happened.write(text + "\n")
