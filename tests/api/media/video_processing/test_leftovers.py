"""What attempts leave behind: neither taken for finished work by the next one, nor kept for ever."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from api.media.video_processing import logic
from api.media.video_processing.contract import VideoCalls
from api.media.video_processing.rules import take_prefix
from api.media.video_processing.transcode.pieces import Piece
from api.media.video_streaming.rules import file_names
from cluster.base.ids import new_id
from cluster.data import read
from cluster.data.objects import bucket
from cluster.people.calls import client
from tests.api.media.video_processing.conftest import Counting, FilmMaker, Teacher, video_id_of, work
from tests.harness import Hub, done


async def keys_below(prefix: str) -> set[str]:
    return {each.key async for each in bucket(logic.BUCKET).list(prefix)}


async def is_whole(video_id: str) -> bool:
    """Tell whether everything is there that the film's playlists name."""
    stream = await client(VideoCalls).find_stream(logic.VideoId(UUID(video_id)))
    assert stream is not None
    wanted = {f"{stream.key_prefix}{name}" for name in file_names(stream.playlists)} | {stream.poster_key}
    return wanted <= await keys_below(f"{video_id}/")


async def test_a_retried_film_starts_from_nothing(
    hub: Hub, teacher: Teacher, executor: Counting, film: FilmMaker
) -> None:
    video = await teacher.new_video(await film(duration_s=4))
    video_id = video_id_of(video)

    async def die_after_one(piece: Piece) -> None:
        if executor.ended.total():
            raise OSError(28, "No space left on device")

    executor.one_at_a_time, executor.before = True, die_after_one
    await work()
    async with read() as db:
        await db.run("DELETE FROM hub.jobs WHERE kind = 'video_processing.transcode'")
        await db.run(
            "UPDATE video_processing.videos SET state = 'processing', rescues = 2, seen_alive_at = now() - interval '1 h' "
            "WHERE id = $1",
            video_id,
        )
    assert await logic.rescue(datetime.now(UTC)) == 1
    failed = await teacher.video(video["id"])
    assert (failed["state"], failed["error"]["retryable"], failed["poster_url"]) == ("failed", True, None)
    await hub.due_now(take_prefix(video_id, 1))
    executor.before = None
    done(await teacher.person.post(f"/v1/videos/{video['id']}/retry"))
    await work()
    assert (await teacher.video(video["id"]))["state"] == "ready"
    assert await is_whole(video["id"])


async def test_the_sweep_deletes_takes_that_do_not_count_and_no_others(
    teacher: Teacher, executor: Counting, film: FilmMaker
) -> None:
    async def beat() -> None: ...

    content = await film(duration_s=1)
    ready, queued, cancelled = [await teacher.new_video(content + bytes(number)) for number in range(3)]
    done(await teacher.person.post(f"/v1/videos/{cancelled['id']}/cancel"))
    films = bucket(logic.BUCKET)
    done(await teacher.person.post(f"/v1/videos/{queued['id']}/cancel"))
    await work()
    done(await teacher.person.post(f"/v1/videos/{queued['id']}/retry"))
    keys = {
        f"{queued['id']}/1/hls/180p/late.m4s": False,
        f"{queued['id']}/2/hls/180p/now.m4s": True,
        f"{cancelled['id']}/1/hls/180p/late.m4s": False,
        f"{new_id()}/1/poster.jpg": False,
        "!not-ours.txt": True,
    }
    for key in keys:
        await films.put(key, b"x")
    now = datetime.now(UTC)
    await logic.remove_stale_takes(now - timedelta(hours=1), beat=beat)
    assert {key: bool(await films.head(key)) for key in keys} == dict.fromkeys(keys, True)
    await logic.remove_stale_takes(now + timedelta(hours=1), beat=beat)
    assert {key: bool(await films.head(key)) for key in keys} == keys
    assert await is_whole(ready["id"])
    await films.delete(["!not-ours.txt"])
