"""An address ends soon after the right that it was given for, and costs no question to the database while it stands."""

from collections.abc import Awaitable, Callable
from time import monotonic
from urllib.parse import urljoin

import pytest

from api.media.video_streaming import standing
from api.media.video_streaming.contract import PlaybackId
from cluster.base.ids import UserId
from cluster.signals import kept
from cluster.signals.kept import Kept
from tests.api.core.rbac.test_bounds import join
from tests.api.media.video_streaming.conftest import Cinema
from tests.harness import Hub, Person, done, problem


async def _enrolled(cinema: Cinema, person: Person) -> str:
    return done(await person.post("/v1/enrollments", {"run_id": cinema.run_id}), 201)["id"]


async def _leave(cinema: Cinema, person: Person) -> Callable[[], Awaitable[None]]:
    id = await _enrolled(cinema, person)

    async def end() -> None:
        done(await person.post(f"/v1/enrollments/{id}/cancel"))

    return end


async def _be_suspended_in_the_run(cinema: Cinema, person: Person) -> Callable[[], Awaitable[None]]:
    id = await _enrolled(cinema, person)

    async def end() -> None:
        done(await cinema.owner.post(f"/v1/enrollments/{id}/suspend"))

    return end


async def _be_removed(cinema: Cinema, person: Person) -> Callable[[], Awaitable[None]]:
    member_id = await join(cinema.teacher.school, person)
    await _enrolled(cinema, person)

    async def end() -> None:
        done(await cinema.owner.post(f"/v1/members/{member_id}/remove"))

    return end


async def _be_suspended(cinema: Cinema, person: Person) -> Callable[[], Awaitable[None]]:
    member_id = await join(cinema.teacher.school, person)
    await _enrolled(cinema, person)

    async def end() -> None:
        done(await cinema.owner.post(f"/v1/members/{member_id}/suspend"))

    return end


async def _be_dismissed(cinema: Cinema, person: Person) -> Callable[[], Awaitable[None]]:
    staff = f"/v1/courses/{cinema.teacher.course_id}/staff/{person.id}"
    done(await cinema.owner.put(staff, {"role": "assistant"}))

    async def end() -> None:
        done(await cinema.owner.delete(staff), 204)

    return end


ENDS = [_leave, _be_suspended_in_the_run, _be_removed, _be_suspended, _be_dismissed]


@pytest.mark.parametrize("begin", ENDS, ids=lambda begin: begin.__name__.strip("_"))
async def test_playback_ends_with_its_right(
    hub: Hub, cinema: Cinema, begin: Callable[[Cinema, Person], Awaitable[Callable[[], Awaitable[None]]]]
) -> None:
    person = await hub.person("viewer")
    end = await begin(cinema, person)
    await hub.settle()
    playback = await cinema.watch(person)
    master = await hub.guest.get(playback["playback_url"])
    assert master.status_code == 200
    media = urljoin(playback["playback_url"], master.text.split()[-1])
    beat = {"playback_id": playback["id"], "position_s": 0.1, "watched": [[0, 0.1]]}
    assert (await person.post("/v1/heartbeats", beat)).is_success

    await end()
    await hub.settle()
    await hub.broadcasts_arrived()

    for url in (playback["playback_url"], media):
        problem(await hub.guest.get(url), 403, "playback-refused")
    assert (await person.post("/v1/heartbeats", beat)).status_code in (403, 404) or begin is _be_dismissed


async def test_preview_ends_with_the_right_to_edit(hub: Hub, cinema: Cinema) -> None:
    teacher = await hub.person("teacher")
    staff = f"/v1/courses/{cinema.teacher.course_id}/staff/{teacher.id}"
    done(await cinema.owner.put(staff, {"role": "instructor"}))
    await hub.settle()
    playback = done(await teacher.post("/v1/playbacks", {"video_id": cinema.video_id}), 201)
    assert (await hub.guest.get(playback["playback_url"])).status_code == 200

    done(await cinema.owner.delete(staff), 204)
    await hub.settle()
    await hub.broadcasts_arrived()

    problem(await hub.guest.get(playback["playback_url"]), 403, "playback-refused")


class _Deaf(Kept[UserId, set[PlaybackId]]):
    """Forgets nothing, as if no broadcast arrived."""

    def forget(self, key: UserId | None = None) -> None: ...


async def test_playback_ends_although_no_broadcast_arrives(
    hub: Hub, cinema: Cinema, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = monotonic()
    clock = [began]
    monkeypatch.setattr(kept, "monotonic", lambda: clock[0])
    monkeypatch.setattr(standing, "_standing", _Deaf("test.standing", size=10, ttl_s=standing.RECHECK_S))
    viewer = await cinema.learner()
    url = (await cinema.watch(viewer.person))["playback_url"]
    assert (await hub.guest.get(url)).status_code == 200
    done(await viewer.person.post(f"/v1/enrollments/{viewer.enrollment_id}/cancel"))
    await hub.broadcasts_arrived()

    clock[0] = began + standing.RECHECK_S - 0.1
    before = await hub.guest.get(url)
    clock[0] = began + standing.RECHECK_S
    after = await hub.guest.get(url)

    assert before.status_code == 200, "the broadcast was swallowed"
    problem(after, 403, "playback-refused")
    assert standing.RECHECK_S < 10


async def test_playback_that_stands_asks_the_database_nothing(hub: Hub, cinema: Cinema) -> None:
    viewer = await cinema.learner()
    url = (await cinema.watch(viewer.person))["playback_url"]
    assert (await hub.guest.get(url)).status_code == 200

    with hub.statements() as counted:
        for _ in range(5):
            assert (await hub.guest.get(url)).status_code == 200

    assert counted.sql == []
