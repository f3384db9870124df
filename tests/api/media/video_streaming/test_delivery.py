"""The films themselves: every file of a real one, ranges, and what happens when something is wrong."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import av
import httpx
import pytest

from api.media.video_streaming import delivery, films, rules
from cluster.base.problems import Unavailable
from cluster.data.objects import Bucket
from cluster.http.edge import Edge
from tests.api.media.video_streaming.conftest import Cinema
from tests.harness import Hub, problem


@pytest.fixture
async def master(cinema: Cinema) -> str:
    """The address of the film for a new learner."""
    viewer = await cinema.learner()
    return (await cinema.watch(viewer.person))["playback_url"]


async def _files(hub: Hub, master: str) -> dict[str, httpx.Response]:
    """Fetch everything that a player finds, by following relative names alone."""
    fetched: dict[str, httpx.Response] = {}
    waiting = [master]
    while waiting:
        url = waiting.pop()
        if url in fetched:
            continue
        fetched[url] = response = await hub.guest.get(url)
        assert response.status_code == 200, url
        if url.endswith(".m3u8"):
            names = rules.file_names({"x.m3u8": response.text}) - {"x.m3u8"}
            waiting += [urljoin(url, name) for name in names]
    return fetched


async def _segment(hub: Hub, master: str) -> str:
    return next(url for url in sorted(await _files(hub, master)) if url.endswith(".m4s"))


async def test_a_player_finds_everything_without_a_header(hub: Hub, master: str, tmp_path: Path) -> None:
    files = await _files(hub, master)
    base = master.rpartition("/")[0] + "/"
    kinds = {url.rpartition(".")[2]: response.headers["content-type"] for url, response in files.items()}
    assert kinds == {
        "m3u8": "application/vnd.apple.mpegurl",
        "mp4": "video/mp4",
        "m4s": "video/iso.segment",
    }
    for url, response in files.items():
        path = tmp_path / url.removeprefix(base)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(response.content)
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["accept-ranges"] == "bytes"
        fresh = "max-age=60" if url.endswith(".m3u8") else "max-age=86400, immutable"
        assert response.headers["cache-control"] == f"private, {fresh}"
        assert master.split("/")[4] not in response.text if url.endswith(".m3u8") else True
    with av.open(str(tmp_path / "master.m3u8")) as playing:
        assert sum(1 for _ in playing.decode(video=0)) == 250
    with av.open(str(tmp_path / "audio" / "index.m3u8")) as playing:
        assert sum(frame.samples for frame in playing.decode(audio=0)) > 9.5 * 48_000


async def test_ranges_are_exactly_the_bytes_asked_for(hub: Hub, master: str) -> None:
    for url in (master, await _segment(hub, master)):
        whole = (await hub.guest.get(url)).content
        size = len(whole)
        for asked, start, end in (
            ("bytes=0-0", 0, 1),
            ("bytes=10-19", 10, 20),
            ("bytes=5-", 5, size),
            ("bytes=-7", size - 7, size),
            (f"bytes=-{size + 5}", 0, size),
            (f"bytes=3-{size * 9}", 3, size),
        ):
            part = await hub.guest.get(url, headers={"Range": asked})
            assert (part.status_code, part.content) == (206, whole[start:end]), asked
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
            assert part.headers["content-length"] == str(end - start)
        for asked in (f"bytes={size}-", f"bytes={size + 9}-{size + 10}", "bytes=-0"):
            refused = await hub.guest.get(url, headers={"Range": asked})
            problem(refused, 416, "range-not-satisfiable")
            assert refused.headers["content-range"] == f"bytes */{size}"
        for asked in ("bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "bytes=-", "bytes=a-b"):
            answer = await hub.guest.get(url, headers={"Range": asked})
            assert (answer.status_code, answer.content) == (200, whole), asked


async def test_conditions_and_head(hub: Hub, master: str) -> None:
    for url in (master, await _segment(hub, master)):
        whole = await hub.guest.get(url)
        etag = whole.headers["etag"]
        kept = await hub.guest.get(url, headers={"If-None-Match": f'"other", {etag}'})
        assert (kept.status_code, kept.content) == (304, b"")
        same = await hub.guest.get(url, headers={"Range": "bytes=0-3", "If-Range": etag})
        assert (same.status_code, same.content) == (206, whole.content[:4])
        changed = await hub.guest.get(url, headers={"Range": "bytes=0-3", "If-Range": '"older"'})
        assert (changed.status_code, changed.content) == (200, whole.content)
        head = await hub.guest.client.head(url, headers={"Range": "bytes=0-3"})
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "content-type", "etag", "cache-control"):
            assert head.headers[name] == whole.headers[name]
        problem(await hub.guest.post(url), 405)


async def test_a_changed_missing_or_expired_token_is_refused_everywhere(
    hub: Hub, cinema: Cinema, master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = await _segment(hub, master)
    token = master.split("/")[4]
    changed = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]
    for url in (master, segment):
        problem(await hub.guest.get(url.replace(token, changed)), 403, "playback-refused")
        problem(await hub.guest.get(url.replace(token, "")), 403, "playback-refused")
        problem(await hub.guest.get(url.replace(token, token[:-1])), 403, "playback-refused")
    monkeypatch.setattr(rules, "expiry", _expired)
    viewer = await cinema.learner()
    problem(await hub.guest.get((await cinema.watch(viewer.person))["playback_url"]), 403, "playback-refused")


def _expired(now: datetime, duration_s: float, min_lifetime: timedelta) -> datetime:
    return now


async def test_no_path_leads_out_of_the_film(hub: Hub, cinema: Cinema, master: str) -> None:
    base = master.removesuffix("master.m3u8")
    for name in (
        "",
        "master.m3u8/",
        "%2e%2e/poster.jpg",
        "..%2Fposter.jpg",
        "x/..%2Fmaster.m3u8",
        "%2Fetc/passwd",
        "180p/%2e%2e/master.m3u8",
        "nothing.m4s",
    ):
        problem(await hub.guest.get(base + name), 404, "film-not-found")


@pytest.mark.parametrize(
    ("playlist", "names"),
    [
        ("#EXTM3U\nseg-0.m4s\n", {"v/index.m3u8", "v/seg-0.m4s"}),
        ('#EXT-X-MAP:URI="init.mp4"\n', {"v/index.m3u8", "v/init.mp4"}),
        ("../../secret\n", {"v/index.m3u8"}),
        ("/etc/passwd\n", {"v/index.m3u8"}),
        ("https://elsewhere.example/seg.m4s\n", {"v/index.m3u8"}),
    ],
)
def test_names_come_from_playlists_and_stay_below_the_film(playlist: str, names: set[str]) -> None:
    assert rules.file_names({"v/index.m3u8": playlist}) == names


async def test_an_absent_store_is_said_with_retry_after_and_playlists_stay(
    hub: Hub, master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = await _segment(hub, master)
    films.forget()

    async def away(bucket: Bucket, key: str) -> None:
        raise Unavailable(f"{bucket.name} is away")

    monkeypatch.setattr(Bucket, "head", away)
    refused = await hub.guest.get(segment)
    problem(refused, 503)
    assert int(refused.headers["retry-after"]) > 0
    assert (await hub.guest.get(master)).status_code == 200


async def test_a_client_that_leaves_ends_the_reading_of_the_store(
    hub: Hub, master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = await _segment(hub, master)
    closed = asyncio.Event()
    read: list[int] = []

    async def endless(bucket: Bucket, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                read.append(1)
                yield b"x" * 1024
        finally:
            closed.set()

    monkeypatch.setattr(Bucket, "get", endless)
    sent: list[Any] = []
    full = asyncio.Event()
    left = asyncio.Event()

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 4:
            full.set()
            await asyncio.Event().wait()

    async def receive() -> Any:
        await left.wait()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": segment, "query_string": b"", "headers": []}
    serving = asyncio.create_task(hub.host(scope, receive, send))
    await full.wait()
    assert len(read) == 3, "a client that does not take it is not read ahead for"
    assert not closed.is_set()
    left.set()
    await asyncio.wait_for(serving, 5)
    assert closed.is_set()


async def test_tokens_reach_no_log(hub: Hub, master: str, capfd: pytest.CaptureFixture[str]) -> None:
    token = master.split("/")[4]
    edge = hub.host._edge  # pyright: ignore[reportPrivateUsage]
    assert isinstance(edge, Edge)
    log = edge._log  # pyright: ignore[reportPrivateUsage]
    logging.getLogger("hub.access").setLevel(logging.INFO)
    log.flush()
    capfd.readouterr()
    try:
        await hub.guest.get(master)
        await hub.guest.get(master.replace("master.m3u8", "nothing"))
        log.flush()
    finally:
        logging.getLogger("hub.access").setLevel(logging.NOTSET)
    written = capfd.readouterr()
    assert written.err.count('"route":"/v1/playbacks/-/*"') == 2
    assert token not in written.err + written.out
    metrics = (await hub.guest.get("/metrics", headers={"Host": "localhost"})).text
    assert "/v1/playbacks/-/*" in metrics
    assert token not in metrics


async def test_a_client_that_stops_reading_is_let_go(hub: Hub, master: str, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = await _segment(hub, master)
    closed = asyncio.Event()

    async def endless(bucket: Bucket, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"x" * 1024
        finally:
            closed.set()

    monkeypatch.setattr(Bucket, "get", endless)
    monkeypatch.setattr(delivery, "MAX_STALL_S", 0.05)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 4:
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": segment, "query_string": b"", "headers": []}
    await asyncio.wait_for(hub.host(scope, receive, send), 20)
    assert closed.is_set()
    assert sent[-1]["more_body"], "a film that was broken off must not look whole"
