"""The demo school's film: made here, uploaded and processed like any other, and ready when this returns."""

import asyncio
import base64
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from api.media.video_processing.film.sample import make_demo_film
from cluster.seed import School, made

AFTER = ("course", "media")
PROCESSING_LIMIT_S = 300.0
_POLL_INTERVAL_S = 0.5


async def seed(school: School) -> None:
    client = school.teacher.client
    course_id = school.made["course"]
    videos = await made(await client.get("/v1/videos", params={"course_id": course_id}))
    video = next((video for video in videos["items"] if video["state"] not in ("failed", "cancelled")), None)
    if video is None:
        asset_id = await _upload(client, course_id, await _demo_film())
        await _until(lambda: _read(client, f"/v1/assets/{asset_id}"))
        video = await made(await client.post("/v1/videos", json={"asset_id": asset_id}))
    await _until(lambda: _read(client, f"/v1/videos/{video['id']}"))
    school.made["video"] = video["id"]


async def _demo_film() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "demo.mp4"
        await make_demo_film(path)
        return await asyncio.to_thread(path.read_bytes)


async def _upload(client: httpx.AsyncClient, course_id: str, film: bytes) -> str:
    about = {
        "filename": "how-films-are-made.mp4",
        "filetype": "video/mp4",
        "purpose": "course-media",
        "target": f"course:{course_id}",
    }
    metadata = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in about.items())
    tus = {"Tus-Resumable": "1.0.0"}
    begun = await client.post(
        "/v1/uploads", headers=tus | {"Upload-Length": str(len(film)), "Upload-Metadata": metadata}
    )
    if not begun.is_success:
        await made(begun)
    where = begun.headers["Location"]
    sent = await client.patch(
        where,
        content=film,
        headers=tus | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
    )
    if not sent.is_success:
        await made(sent)
    return where.rpartition("/")[2]


async def _read(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    return await made(await client.get(path))


async def _until(read: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    """Wait until something is ready.

    Raises:
        RuntimeError: it never will be.
        TimeoutError: no worker processes it.
    """
    async with asyncio.timeout(PROCESSING_LIMIT_S):
        while (found := await read())["state"] != "ready":
            if found["state"] in ("rejected", "failed", "cancelled"):
                raise RuntimeError(f"the demo film is {found['state']}: {found.get('error') or found.get('reason')}")
            await asyncio.sleep(_POLL_INTERVAL_S)
