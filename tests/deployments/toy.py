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

    async def start(self) -> None:
        await asyncio.sleep(0)
        self.started = True

    async def stop(self) -> None:
        note("web stopped")

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
