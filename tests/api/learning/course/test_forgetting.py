"""A superseded revision is forgotten: its films can be deleted, and nothing that is still shown loses one."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.learning.content.contract import ContentCalls, Frozen
from api.learning.course.contract import CourseId
from api.learning.course.forgetting import logic
from api.learning.course.publication import logic as publication
from cluster.base.principal import PLATFORM
from cluster.base.problems import Unavailable
from cluster.base.settings import REPOSITORY
from cluster.data import read, uses, write
from cluster.data.postgres import pool
from cluster.data.uses import Ref
from cluster.people.calls import client
from tests.api.learning.content.conftest import Author, Films, new_author
from tests.harness import Hub, School, done, problem

_AGE_REVISIONS = """
UPDATE course.revisions SET published_at = published_at - $2::interval, unpinned_at = unpinned_at - $2::interval
WHERE course_id = $1
"""


class Filmed:
    """A course whose first revision shows a film that later ones do not."""

    def __init__(self, author: Author, video_id: str, block_id: str) -> None:
        self.author, self.video_id, self.block_id = author, video_id, block_id
        self.person, self.path = author.person, f"/v1/courses/{author.course_id}"

    async def forget(self, number: int = 1, status: int = 200, slug: str | None = None) -> dict[str, Any]:
        response = await self.person.post(f"{self.path}/revisions/{number}/forget")
        return done(response) if status == 200 else problem(response, status, slug)

    async def in_use(self) -> bool:
        ref = Ref("video", UUID(self.video_id))
        async with read() as db:
            return (await uses.states(db, [ref]))[ref].in_use

    async def forgotten(self) -> list[int]:
        """Return the numbers of the revisions that are forgotten."""
        listed = done(await self.person.get(f"{self.path}/revisions?limit=100"))["items"]
        return [each["revision"] for each in listed if each["forgotten_at"] is not None]

    async def publish(self) -> int:
        return done(await self.person.post(f"{self.path}/publish"))["published_revision"]

    async def pinning(self, number: int) -> str:
        """Open a run that pins a revision, and return its id."""
        new = {"course_id": self.author.course_id, "title": "Pinned", "pinned_revision": number}
        return done(await self.person.post("/v1/runs", new), 201)["id"]

    async def aged(self, days: int) -> None:
        """Let so many days pass since all that happened to the course's revisions and runs."""
        async with write(PLATFORM) as tx:
            course_id, by = UUID(self.author.course_id), timedelta(days=days)
            await tx.run(_AGE_REVISIONS, course_id, by)
            await tx.run(
                "UPDATE course.runs SET ended_at = ended_at - $2::interval WHERE course_id = $1", course_id, by
            )


async def film_course(school: School) -> Filmed:
    author, films = await new_author(school), Films()
    lesson = await author.lesson()
    await author.text(lesson)
    video_id = await films.add(author)
    block_id = await author.add(lesson, "video", body={"video_id": video_id})
    course = Filmed(author, video_id, block_id)
    await course.publish()
    done(await author.person.delete(f"/v1/blocks/{block_id}"), 204)
    await course.publish()
    return course


@pytest.fixture
async def filmed(hub: Hub, school: School) -> Filmed:
    return await film_course(school)


async def test_forgetting_a_revision_lets_its_film_be_deleted(hub: Hub, filmed: Filmed) -> None:
    before = await filmed.in_use()

    forgotten = await filmed.forget()

    assert (before, await filmed.in_use(), forgotten["revision"]) == (True, False, 1)
    assert forgotten["forgotten_at"] is not None
    await Films().remove(filmed.video_id)
    assert await filmed.forget() == forgotten
    assert await filmed.forgotten() == [1]


async def test_a_forgotten_revision_is_gone_but_keeps_its_number(hub: Hub, filmed: Filmed) -> None:
    shown = done(await filmed.person.get(f"{filmed.path}/revisions/1"))

    await filmed.forget()

    gone = problem(await filmed.person.get(f"{filmed.path}/revisions/1"), 410, "revision-forgotten")
    problem(await filmed.person.post(f"{filmed.path}/revisions/1/restore"), 410, "revision-forgotten")
    new = {"course_id": filmed.author.course_id, "title": "Late", "pinned_revision": 1}
    unknown = problem(await filmed.person.post("/v1/runs", new), 422, "revision-unknown")
    assert (shown["revision"], shown["forgotten_at"]) == (1, None)
    assert gone["forgotten_at"] is not None
    assert unknown["errors"][0]["pointer"] == "/pinned_revision"
    problem(await filmed.person.get(f"{filmed.path}/revisions/3"), 404, "revision-not-found")


async def test_forget_rejects_the_newest_revision_and_unknown_ones(hub: Hub, filmed: Filmed) -> None:
    refused = await filmed.forget(2, 409, "revision-in-use")

    assert ("publish another" in refused["detail"], refused["run_ids"]) == (True, [])
    assert "1 to 2" in (await filmed.forget(3, 404, "revision-not-found"))["detail"]
    assert await filmed.in_use()


async def test_forget_rejects_a_revision_that_an_open_run_pins(hub: Hub, filmed: Filmed) -> None:
    run_id = await filmed.pinning(1)

    refused = await filmed.forget(1, 409, "revision-in-use")

    assert refused["run_ids"] == [run_id]
    assert await filmed.in_use()
    done(await filmed.person.post(f"/v1/runs/{run_id}/end"))
    await filmed.forget()
    assert not await filmed.in_use()


async def test_forget_asks_for_the_right_to_publish(hub: Hub, filmed: Filmed) -> None:
    assistant = await filmed.author.staff(hub, "assistant")

    refused = await assistant.post(f"{filmed.path}/revisions/1/forget")

    problem(refused, 403, "forbidden")
    assert await filmed.in_use()


async def test_forgetting_is_told_and_makes_no_edit_stale(hub: Hub, filmed: Filmed) -> None:
    etag = (await filmed.person.get(filmed.path)).headers["etag"]

    await filmed.forget()

    [told] = [each for each in await hub.events("course.revision_forgotten") if each.subject == filmed.author.course_id]
    assert told.payload["revision"] == 1
    assert (await filmed.person.get(filmed.path)).headers["etag"] == etag
    await hub.settle()


async def test_an_outline_of_two_revisions_is_let_go_with_the_last(hub: Hub, filmed: Filmed) -> None:
    done(await filmed.person.post(f"{filmed.path}/revisions/1/restore"))

    await filmed.forget()
    still_in_use = await filmed.in_use()

    assert still_in_use
    done(await filmed.person.post(f"{filmed.path}/revisions/2/restore"))
    await filmed.forget(3)
    assert not await filmed.in_use()


async def test_the_same_outline_is_frozen_anew_after_it_was_forgotten(hub: Hub, filmed: Filmed) -> None:
    await filmed.forget()

    done(await filmed.person.post(f"/v1/blocks/{filmed.block_id}/restore"))
    number = await filmed.publish()

    assert (number, await filmed.in_use()) == (3, True)
    done(await filmed.person.delete(f"/v1/blocks/{filmed.block_id}"), 204)
    assert await filmed.in_use()


async def test_publishing_before_content_let_go_freezes_anew(
    hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> None:
        raise Unavailable("content does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(logic, "let_go", away)
        await filmed.forget()
    done(await filmed.person.post(f"/v1/blocks/{filmed.block_id}/restore"))
    await filmed.publish()
    done(await filmed.person.delete(f"/v1/blocks/{filmed.block_id}"), 204)
    await hub.settle()

    assert await filmed.in_use(), "the job, late, let go of the first outline alone"
    async with read() as db:
        sql = "SELECT count(DISTINCT frozen_id), count(*) FROM course.revisions WHERE course_id = $1"
        assert tuple((await db.rows(sql, UUID(filmed.author.course_id)))[0]) == (3, 3)


async def test_a_run_cannot_pin_what_is_forgotten_in_the_same_moment(hub: Hub, school: School) -> None:
    seen: set[str] = set()
    filmed = await film_course(school)
    text = await filmed.author.text()
    for number in range(2, 22):
        await filmed.author.change(text, {"body": {"markdown": str(number)}})
        await filmed.publish()
        new = {"course_id": filmed.author.course_id, "title": "Race", "pinned_revision": number}

        pinned, forgotten = await asyncio.gather(
            filmed.person.post("/v1/runs", new),
            filmed.person.post(f"{filmed.path}/revisions/{number}/forget"),
        )

        seen.add(f"{pinned.status_code} {forgotten.status_code}")
    assert seen <= {"201 409", "422 200"}, seen


async def test_pinning_and_forgetting_wait_for_each_other(hub: Hub, filmed: Filmed) -> None:
    new = {"course_id": filmed.author.course_id, "title": "Waits", "pinned_revision": 1}
    course_id = UUID(filmed.author.course_id)
    mark = "UPDATE course.revisions SET forgotten_at = $2 WHERE course_id = $1 AND revision = 1"

    async with pool().acquire() as raw, raw.transaction():
        await raw.execute(mark, course_id, datetime.now(UTC))
        pinning = asyncio.create_task(filmed.person.post("/v1/runs", new))
        await _waits_for_a_lock(raw, pinning)
    problem(await pinning, 422, "revision-unknown")

    async with pool().acquire() as raw, raw.transaction():
        await raw.execute(mark, course_id, None)
        await raw.execute("UPDATE course.runs SET pinned_revision = 1 WHERE course_id = $1", course_id)
        forgetting = asyncio.create_task(filmed.person.post(f"{filmed.path}/revisions/1/forget"))
        await _waits_for_a_lock(raw, forgetting)
    problem(await forgetting, 409, "revision-in-use")


async def _waits_for_a_lock(raw: Any, request: "asyncio.Task[Any]") -> None:
    """Return when the request waits for a lock that this connection holds."""
    async with asyncio.timeout(20):
        while not await raw.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        ):
            assert not request.done(), "it did not wait"
            await asyncio.sleep(0.02)


async def test_an_outline_that_is_forgotten_while_it_is_published_is_refused(
    hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(await filmed.person.post(f"/v1/blocks/{filmed.block_id}/restore"))
    freeze = publication._freeze  # pyright: ignore[reportPrivateUsage]

    async def freeze_then_forget(course_id: CourseId) -> Frozen:
        frozen = await freeze(course_id)
        await filmed.forget()
        return frozen

    with monkeypatch.context() as patched:
        patched.setattr(publication, "_freeze", freeze_then_forget)
        problem(await filmed.person.post(f"{filmed.path}/publish"), 503, "unavailable")

    assert await filmed.publish() == 3
    done(await filmed.person.delete(f"/v1/blocks/{filmed.block_id}"), 204)
    assert await filmed.in_use()


_DOOMED = """
import asyncio, sys
from uuid import UUID

from api.learning.content.frozen import logic as content
from api.learning.course.forgetting import logic, store
from cluster.base.principal import PLATFORM
from cluster.base.services import table
from cluster.host import ServiceHost

async def stop(*args, **kwargs):
    print("reached", flush=True)
    await asyncio.sleep(60)

let_go = logic.let_go

async def let_go_then_stop(frozen_id):
    await let_go(frozen_id)
    await stop()

async def main():
    await ServiceHost(tuple(table())).start()
    match sys.argv[2]:
        case "before course commits":
            store.find_is_let_go = stop
        case "before content is asked":
            logic.let_go = stop
        case "before content commits":
            content.uses.use = stop
        case "after content committed":
            logic.let_go = let_go_then_stop
    await logic.forget(PLATFORM, UUID(sys.argv[1]), 1)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("moment", "forgotten", "in_use"),
    [
        ("before course commits", [], True),
        ("before content is asked", [1], True),
        ("before content commits", [1], True),
        ("after content committed", [1], False),
    ],
)
async def test_forgetting_that_is_killed_is_done_wholly_or_not(
    hub: Hub, filmed: Filmed, moment: str, forgotten: list[int], in_use: bool
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _DOOMED, filmed.author.course_id, moment),
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert process.stdout is not None
    while (line := await process.stdout.readline()) != b"reached\n":
        assert line, "it ended by itself"
    process.send_signal(signal.SIGKILL)
    await process.wait()

    assert (await filmed.forgotten(), await filmed.in_use()) == (forgotten, in_use)
    await hub.settle()
    assert await filmed.in_use() == (forgotten == []), "the job does what the process could not"
    await filmed.forget()
    assert (await filmed.forgotten(), await filmed.in_use()) == ([1], False)


async def test_cron_forgets_what_nobody_could_reach_for_180_days(
    hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logic, "KEPT_REVISIONS", 1)
    await filmed.aged(179)
    await hub.run_cron("course.forget")
    too_early = await filmed.forgotten()

    await filmed.aged(2)
    await hub.run_cron("course.forget")
    await hub.settle()

    assert (too_early, await filmed.forgotten(), await filmed.in_use()) == ([], [1], False)


async def test_cron_keeps_the_newest_ten_and_what_was_superseded_lately(hub: Hub, filmed: Filmed) -> None:
    text = await filmed.author.text()
    for number in range(3, 12):
        await filmed.author.change(text, {"body": {"markdown": str(number)}})
        await filmed.publish()
    await filmed.aged(200)
    await filmed.author.change(text, {"body": {"markdown": "last"}})
    await filmed.publish()

    await hub.run_cron("course.forget")

    assert await filmed.forgotten() == [2, 1]


async def test_cron_keeps_what_was_superseded_lately(hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logic, "KEPT_REVISIONS", 1)
    async with write(PLATFORM) as tx:
        await tx.run(
            "UPDATE course.revisions SET published_at = now() - interval '1 year' WHERE course_id = $1 AND revision = 1",
            UUID(filmed.author.course_id),
        )

    await hub.run_cron("course.forget")

    assert await filmed.forgotten() == []


async def test_cron_keeps_what_a_run_pins_or_pinned_lately(
    hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logic, "KEPT_REVISIONS", 1)
    run_id = await filmed.pinning(1)
    await filmed.aged(400)
    await hub.run_cron("course.forget")
    pinned = await filmed.forgotten()

    run = await filmed.person.get(f"/v1/runs/{run_id}")
    headers = {"If-Match": run.headers["etag"]}
    done(await filmed.person.patch(f"/v1/runs/{run_id}", {"pinned_revision": None}, headers=headers))
    await hub.run_cron("course.forget")
    lately = await filmed.forgotten()
    await filmed.aged(181)
    await hub.run_cron("course.forget")

    assert (pinned, lately, await filmed.forgotten()) == ([], [], [1])


async def test_cron_keeps_what_a_run_showed_to_its_end(
    hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logic, "KEPT_REVISIONS", 1)
    run_id = await filmed.pinning(1)
    await filmed.aged(400)
    done(await filmed.person.post(f"/v1/runs/{run_id}/end"))

    await hub.run_cron("course.forget")
    lately = await filmed.forgotten()
    await filmed.aged(181)
    await hub.run_cron("course.forget")

    assert (lately, await filmed.forgotten()) == ([], [1])


async def test_learners_of_an_ended_run_keep_its_forgotten_outline(hub: Hub, filmed: Filmed) -> None:
    run_id = await filmed.pinning(1)
    await hub.settle()
    learner = await hub.person("learner")
    done(await learner.post("/v1/enrollments", {"run_id": run_id}), 201)
    await hub.settle()
    before = done(await learner.get(f"/v1/outlines/{run_id}"))
    done(await filmed.person.post(f"/v1/runs/{run_id}/end"))

    await filmed.forget()
    await hub.settle()

    assert done(await learner.get(f"/v1/outlines/{run_id}")) == before


async def test_letting_go_twice_is_the_same_as_once(hub: Hub, filmed: Filmed) -> None:
    async with read() as db:
        sql = "SELECT frozen_id FROM course.revisions WHERE course_id = $1 AND revision = 1"
        frozen_id = await db.value(sql, UUID(filmed.author.course_id))
    await client(ContentCalls).let_go(frozen_id)

    await client(ContentCalls).let_go(frozen_id)

    assert not await filmed.in_use()
    assert (await client(ContentCalls).outline_of(frozen_id)).id == frozen_id
