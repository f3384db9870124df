import asyncio
import json
from typing import Any

import pytest

from api.media.video_processing import live
from api.media.video_processing.transcode.pieces import Piece
from cluster.people import live as live_hub
from cluster.people.live import Reader
from tests.api.media.video_processing.conftest import Counting, FilmMaker, Teacher, work
from tests.harness import Hub, done


async def until_followed() -> set[Reader]:
    """Wait until the stream has begun to follow."""
    async with asyncio.timeout(10):
        while not any(reader.links for reader in live_hub.current().readers):  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)
    return live_hub.current().readers


def parse(text: str) -> list[tuple[int, dict[str, Any]]]:
    """Return id and document of each event of a stream."""
    found: list[tuple[int, dict[str, Any]]] = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in lines:
            assert lines["event"] == "video"
            found.append((int(lines["id"]), json.loads(lines["data"])))
    return found


async def test_the_stream_tells_every_state_and_ends_with_the_last(
    hub: Hub, teacher: Teacher, executor: Counting, film: FilmMaker
) -> None:
    video = await teacher.new_video(await film(duration_s=3))
    path = f"/v1/videos/{video['id']}/events"
    executor.one_at_a_time = True

    async def take_a_while(piece: Piece) -> None:
        await asyncio.sleep(0.6)

    executor.before = take_a_while
    watching = asyncio.create_task(teacher.person.get(path))
    async with asyncio.timeout(10):
        while not any(room.links and not room.lagging for room in live_hub.current().rooms.values()):  # noqa: ASYNC110 (a room tells nobody)
            await asyncio.sleep(0.01)
    await work()
    answer = await asyncio.wait_for(watching, 10)
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = parse(answer.text)
    ids, states = [id for id, _ in told], [document["state"] for _, document in told]
    assert ids == sorted(set(ids))
    assert list(dict.fromkeys(states)) == ["queued", "processing", "ready"]
    progress = [document["progress"] for _, document in told]
    assert progress == sorted(progress)
    assert any(0 < each < 1 for each in progress)
    assert told[-1][1] == await teacher.video(video["id"])

    seen_all = await teacher.person.get(path, headers={"Last-Event-ID": str(ids[-1])})
    assert (seen_all.status_code, seen_all.content) == (204, b"")
    for id in ("0", str(ids[1]), "nonsense"):
        missed = parse((await teacher.person.get(path, headers={"Last-Event-ID": id})).text)
        assert missed == told[-1:]


async def test_resuming_tells_what_is_new_and_pings_meanwhile(hub: Hub, teacher: Teacher, film: FilmMaker) -> None:
    video = await teacher.new_video(await film(duration_s=2))
    path = f"/v1/videos/{video['id']}"
    watching = asyncio.create_task(teacher.person.get(f"{path}/events", headers={"Last-Event-ID": "1"}))
    (reader,) = await until_followed()
    reader.ping()
    assert not watching.done()
    done(await teacher.person.post(f"{path}/cancel"))
    answer = await asyncio.wait_for(watching, 10)
    assert ": ping\n\n" in answer.text
    assert [(id, document["state"]) for id, document in parse(answer.text)] == [(2, "cancelled")]


async def test_the_stream_ends_with_the_film_and_with_the_right_to_see_it(
    hub: Hub, teacher: Teacher, film: FilmMaker
) -> None:
    video = await teacher.new_video(await film(duration_s=2))
    path = f"/v1/videos/{video['id']}"
    watching = asyncio.create_task(teacher.person.get(f"{path}/events"))
    await until_followed()

    done(await teacher.person.delete(path), 204)
    told = parse((await asyncio.wait_for(watching, 10)).text)

    assert [document["state"] for _, document in told] == ["queued"]
    assert live_hub.current().rooms == {}


@pytest.mark.parametrize(("said", "seen"), [("7", 7), ("", 0), ("٣", 0), ("-1", 0), ("9" * 5000, 0)])
def test_any_last_event_id_is_a_version_or_none(said: str, seen: int) -> None:
    assert live.seen_version(said) == seen
