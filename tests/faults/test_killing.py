"""kill -9 of one process after another under people who work: nothing acknowledged is lost, nothing happens twice."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from api.media.video_processing.film.sample import Recipe, make_film
from cluster.base.ids import new_id
from tests.faults.people import Someone, Trouble
from tests.faults.stack import Stack
from tests.main_path import player

KILLED = (
    *("web host", "worker host", "transcoding worker", "ingress", "Ray's core"),
    *("postgres", "valkey", "kafka", "s3"),
)
GOAL_S = 30
_LIMIT_S = 150.0
_SETTLE_LIMIT_S = 240.0
_WRITERS = 3
_FILM = Recipe(width=480, height=270, rate="24", duration_s=24, video=("-c:v", "libx264", "-preset", "ultrafast"))


@dataclass(slots=True)
class Acknowledged:
    """What people were told is done."""

    courses: dict[str, str] = field(default_factory=dict[str, str])
    """Titles by id."""
    blocks: set[str] = field(default_factory=set[str])
    published: set[str] = field(default_factory=set[str])
    enrolments: dict[str, Someone] = field(default_factory=dict[str, Someone])
    films: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class School:
    """The people, and what they were told."""

    owner: Someone
    id: str
    course_id: str
    told: Acknowledged
    leaving: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds from a kill until its consequences were over."""

    killed: str
    again_s: float
    write_s: float
    event_s: float

    @property
    def row(self) -> str:
        return f"| {self.killed} | {self.again_s:.1f} | {self.write_s:.1f} | {self.event_s:.1f} |"


@pytest.mark.timeout(900)
async def test_nothing_acknowledged_is_lost_and_nothing_happens_twice(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await make_film(tmp_path / "film.mp4", _FILM)
    trouble = Trouble()
    school = await found_school(stack, trouble)
    work = [asyncio.create_task(teach_and_learn(stack, school, trouble)) for _ in range(_WRITERS)]
    work.append(asyncio.create_task(make_films(school, (tmp_path / "film.mp4").read_bytes())))
    recoveries = [await kill(stack, school, what, work) for what in KILLED]
    school.leaving.set()
    await asyncio.gather(*work)
    await settled(stack)
    report(capsys, recoveries, school.told, trouble)
    await check_writes(school)
    await check_trail(school)
    await check_films(stack, school, tmp_path / "film.mp4")
    assert max(each.event_s for each in recoveries) < _LIMIT_S


async def found_school(stack: Stack, trouble: Trouble) -> School:
    owner = await Someone(stack.url, trouble).sign_up("Maria")
    slug = f"school-{new_id().hex[-12:]}"
    school = await owner.ask("POST", "/v1/organizations", {"name": "Maria's school", "slug": slug})
    told = Acknowledged()
    course = await new_course(owner, school["id"], told)
    return School(owner, school["id"], course["id"], told)


async def new_course(owner: Someone, organization_id: str, told: Acknowledged) -> dict[str, Any]:
    title = f"Course {new_id().hex}"
    new = {"organization_id": organization_id, "title": title, "summary": "", "language": "en"}
    course: dict[str, Any] = await owner.ask("POST", "/v1/courses", new)
    told.courses[course["id"]] = title
    return course


async def teach_and_learn(stack: Stack, school: School, trouble: Trouble) -> None:
    """Make courses, publish them, and finish them, one after another."""
    told, owner = school.told, school.owner
    learner = await Someone(stack.url, trouble).sign_up("Tariq")
    while not school.leaving.is_set():
        course = await new_course(owner, school.id, told)
        parent = None
        for kind, body in (("module", None), ("lesson", None), ("text", {"markdown": "# Read"})):
            new = {"course_id": course["id"], "parent_id": parent, "type": kind, "title": kind, "body": body}
            parent = (await owner.ask("POST", "/v1/blocks", new))["id"]
            told.blocks.add(parent)
        published = await owner.ask("POST", f"/v1/courses/{course['id']}/publish")
        assert published["published_revision"] == 1
        told.published.add(course["id"])
        enrolled = await learner.ask("POST", "/v1/enrollments", {"run_id": course["default_run_id"]})
        told.enrolments[enrolled["id"]] = learner
        await complete(learner, enrolled, parent)
        await asyncio.sleep(0.2)


async def complete(learner: Someone, enrolled: dict[str, Any], block_id: Any) -> None:
    """Mark the text as read, as soon as the publication has reached content."""
    claim = {"enrollment_id": enrolled["id"], "block_id": block_id}
    async with asyncio.timeout(_LIMIT_S):
        while await learner.http_status("GET", f"/v1/outlines/{enrolled['run_id']}") != 200:
            await asyncio.sleep(0.2)
    await learner.ask("POST", "/v1/completions", claim)


async def make_films(school: School, content: bytes) -> None:
    """Upload and process films, so that at every moment one is on its way."""
    while not school.leaving.is_set():
        asset_id = await school.owner.upload(school.course_id, content, step=len(content) // 20 + 1, pause_s=0.1)
        await school.owner.until(f"/v1/assets/{asset_id}", "ready")
        video = await school.owner.ask("POST", "/v1/videos", {"asset_id": asset_id})
        school.told.films.append(video["id"])
        while not school.leaving.is_set() and video["state"] not in ("ready", "failed"):
            await asyncio.sleep(0.5)
            video = await school.owner.ask("GET", f"/v1/videos/{video['id']}")


async def kill(stack: Stack, school: School, what: str, work: list[asyncio.Task[None]]) -> Recovery:
    """Kill a process while people work, and wait until everything goes its way again."""
    victims: list[Any] = []
    async with asyncio.timeout(_LIMIT_S):
        while not (victims := await asyncio.to_thread(stack.find, what)):
            await asyncio.sleep(0.1)
    count = 1 if what == "transcoding worker" else len(victims)
    before = {each.pid for each in victims}
    began = time.monotonic()
    victims[0].kill()

    async def another() -> None:
        while True:
            found = {each.pid for each in await asyncio.to_thread(stack.find, what)}
            if len(found - {victims[0].pid}) >= count and found != before:
                return
            await asyncio.sleep(0.2)

    async def a_write() -> str:
        title = f"After {what} {new_id().hex}"
        new = {"organization_id": school.id, "title": title, "summary": "", "language": "en"}
        key = str(new_id())
        while True:
            course_id = await school.owner.attempt("POST", "/v1/courses", new, key)
            if course_id is not None:
                school.told.courses[course_id] = title
                return course_id
            await asyncio.sleep(0.1)

    async def an_event(course_id: str) -> None:
        query = {"organization_id": school.id, "action": "course.created", "target_id": course_id}
        while not (await school.owner.ask("GET", "/v1/audit-entries", **query))["items"]:
            await asyncio.sleep(0.1)

    async def a_write_and_its_event() -> tuple[float, float]:
        course_id, write_s = await within(began, a_write)
        _, event_s = await within(began, lambda: an_event(course_id))
        return write_s, event_s

    if what == "Ray's core":
        # Its hosts serve on for a moment, and then all start again: only what comes afterwards counts.
        _, again_s = await within(began, another)
        write_s, event_s = await a_write_and_its_event()
    else:
        (_, again_s), (write_s, event_s) = await asyncio.gather(within(began, another), a_write_and_its_event())
    for each in work:
        if each.done():
            each.result()
    return Recovery(what, again_s, write_s, event_s)


async def within(began: float, wait: Callable[[], Awaitable[Any]]) -> tuple[Any, float]:
    async with asyncio.timeout(_LIMIT_S):
        found = await wait()
    return found, time.monotonic() - began


async def settled(stack: Stack) -> None:
    """Wait until everything that was begun has come to its end, and nothing stands in the way of anything."""
    waiting: list[dict[str, Any]] = []
    async with asyncio.timeout(_SETTLE_LIMIT_S):
        while waiting := await stack.rows(
            """SELECT 'event' AS what, count(*) AS number FROM hub.outbox HAVING count(*) > 0
               UNION ALL SELECT 'parked key', count(*) FROM hub.parked_keys HAVING count(*) > 0
               UNION ALL SELECT 'job ' || kind || ' ' || state, count(*) FROM hub.jobs
               WHERE state = 'running' OR (state = 'queued' AND due_at < now() + interval '1 minute')
               GROUP BY kind, state"""
        ):
            await asyncio.sleep(0.5)
    assert waiting == []
    assert await stack.rows("SELECT kind, last_error FROM hub.jobs WHERE state = 'dead'") == []


async def check_writes(school: School) -> None:
    """Everything that was acknowledged is there, once."""
    owner, told = school.owner, school.told
    courses = await owner.all("/v1/courses", organization_id=school.id)
    titles = Counter(each["title"] for each in courses)
    assert [title for title, number in titles.items() if number > 1] == []
    assert {each["id"]: each["title"] for each in courses}.items() >= told.courses.items()
    for course_id in told.published:
        blocks = await owner.all("/v1/blocks", course_id=course_id)
        assert len(blocks) == 3
        assert {each["id"] for each in blocks} <= told.blocks
    for enrolment_id, learner in told.enrolments.items():
        await learner.until(f"/v1/enrollments/{enrolment_id}", "completed", limit_s=30)


async def check_trail(school: School) -> None:
    """Each write has exactly one entry in the trail."""
    told = school.told
    for action, targets in (
        ("course.created", set(told.courses)),
        ("block.created", told.blocks),
        ("course.published", told.published),
        ("enrollment.created", set(told.enrolments)),
        ("progress.completed", set(told.enrolments)),
        ("enrollment.completed", set(told.enrolments)),
        ("video.created", set(told.films)),
        ("video.processed", set(told.films)),
    ):
        entries = await school.owner.all("/v1/audit-entries", organization_id=school.id, action=action)
        found = Counter(entry["target"]["id"] for entry in entries)
        assert {target: number for target, number in found.items() if number > 1} == {}, action
        assert targets - set(found) == set(), action


async def check_films(stack: Stack, school: School, film: Path) -> None:
    """Each film is ready, and the one that suffered most plays whole."""
    source = await asyncio.to_thread(player.show, str(film))
    for video_id in school.told.films:
        video = await school.owner.until(f"/v1/videos/{video_id}", "ready", "failed")
        assert (video["state"], video["error"]) == ("ready", None)
    for video_id in school.told.films[:2]:
        playback = await school.owner.ask("POST", "/v1/playbacks", {"video_id": video_id})
        for url in await asyncio.to_thread(player.renditions, stack.url + playback["playback_url"]):
            shown = await asyncio.to_thread(player.show, url)
            assert shown.times_s == pytest.approx(source.times_s, abs=0.002)


def report(
    capsys: pytest.CaptureFixture[str], recoveries: list[Recovery], told: Acknowledged, trouble: Trouble
) -> None:
    """Print what was measured, as a table for a note."""
    lines = [
        "",
        "| killed | runs again after s | first new write after s | its event everywhere after s |",
        "|---|---|---|---|",
        *(each.row for each in recoveries),
        "",
        f"Acknowledged and found again, each once: {len(told.courses)} courses, {len(told.blocks)} blocks, "
        f"{len(told.published)} publications, {len(told.enrolments)} enrolments with their completions, "
        f"{len(told.films)} films. Clients repeated: "
        + (", ".join(f"{number} x {what}" for what, number in sorted(trouble.seen.items())) or "nothing"),
    ]
    slow = [each.killed for each in recoveries if max(each.again_s, each.event_s) > GOAL_S]
    lines.append(f"Slower than {GOAL_S} s: {', '.join(slow) or 'none'}")
    with capsys.disabled():
        print("\n".join(lines))
