"""The main path: a teacher builds a course with a film, a learner finishes it, and the school sees who did what."""

import asyncio
import base64
import hashlib
import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.media.video_streaming import tokens
from api.media.video_streaming.contract import PlaybackId, VideoStreamingCalls
from cluster.base.ids import new_id
from cluster.data import read
from cluster.people.calls import client
from tests.api.analytics.search.searching import Found, searching
from tests.harness import PASSWORD, Hub, Person, done, problem
from tests.main_path import player

TUS = {"Tus-Resumable": "1.0.0"}
TEXT = {"markdown": "# Look\n\nThen *watch*."}


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the teacher made."""

    teacher: Person
    organization_id: str
    course_id: str
    run_id: str
    lesson_id: str
    text_id: str
    film_id: str
    video: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Learning:
    """Who learns it."""

    learner: Person
    enrollment_id: str


@pytest.mark.timeout(400)
async def test_the_main_path(hub: Hub, address: str, film: Path) -> None:
    lesson = await teach(hub, address, film)
    learning = await learn(hub, address, lesson, film)
    await afterwards(hub, lesson, learning)


async def teach(hub: Hub, address: str, film: Path) -> Lesson:
    """Walk steps 1 to 14."""
    # 1 to 3: an account
    teacher, user = await sign_up(hub, "maria")
    assert done(await teacher.get("/v1/users/me")) == user

    # 4: a school, whose owner may do everything in it at once
    slug = f"school-{new_id().hex[-12:]}"
    school = done(await teacher.post("/v1/organizations", {"name": "Maria's school", "slug": slug}), 201)
    assert (school["name"], school["slug"]) == ("Maria's school", slug)

    # 5 to 7: a course
    new = {"organization_id": school["id"], "title": "Seeing", "summary": "A film and a text.", "language": "en"}
    created = await teacher.post("/v1/courses", new)
    course = done(created, 201)
    assert {**course, **new, "published_revision": None} == course
    assert course["default_run_id"]
    assert course["slug"]
    path = f"/v1/courses/{course['id']}"
    problem(await teacher.patch(path, {"title": "Seeing"}), 428)
    mended = await teacher.patch(path, {"title": "Seeing"}, headers={"If-Match": created.headers["etag"]})
    assert done(mended)["title"] == "Seeing"
    problem(await teacher.patch(path, {"title": "Late"}, headers={"If-Match": created.headers["etag"]}), 412)
    second = done(await teacher.post("/v1/courses", {**new, "title": "Hearing"}), 201)
    listed = done(await teacher.get("/v1/courses", params={"organization_id": school["id"]}))
    assert [each["id"] for each in listed["items"]] == [second["id"], course["id"]]
    problem(await hub.guest.get(f"/v1/catalog/{course['id']}"), 404)

    # 8: a module, a lesson, a text; nothing is published before there is something to learn
    module = await add_block(teacher, course["id"], None, "module", 0)
    lesson = await add_block(teacher, course["id"], module, "lesson", 0)
    assert await missing(teacher, path) == ["no-lesson-with-content"]
    text = await add_block(teacher, course["id"], lesson, "text", 0, TEXT)

    # 9 and 10: a film is uploaded, and what it is looked at
    asset_id = await upload(teacher, f"course:{course['id']}", film)
    assert done(await teacher.get(f"/v1/assets/{asset_id}"))["state"] == "checking"
    problem(await teacher.post("/v1/videos", {"asset_id": asset_id}), 409, "asset-not-ready")
    await hub.settle()
    asset = done(await teacher.get(f"/v1/assets/{asset_id}"))
    content = await asyncio.to_thread(film.read_bytes)
    assert (asset["id"], asset["state"], asset["filename"], asset["content_type"]) == (
        asset_id,
        "ready",
        film.name,
        "video/mp4",
    )
    assert (asset["size_bytes"], asset["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())

    # 11 to 13: it is made ready for every screen, told as it happens
    video = done(await teacher.post("/v1/videos", {"asset_id": asset_id}), 201)
    assert (video["state"], video["progress"], video["error"]) == ("queued", 0, None)
    watch = await add_block(teacher, course["id"], lesson, "video", 1, {"video_id": video["id"]})
    assert await missing(teacher, path) == ["film-not-ready"]
    following = asyncio.create_task(follow(teacher, address, f"/v1/videos/{video['id']}/events"))
    await hub.settle()
    told = await asyncio.wait_for(following, 10)
    states = [each["state"] for each in told]
    assert states == sorted(states, key=("queued", "processing", "ready").index)
    assert states[-1] == "ready"
    shares = [each["progress"] for each in told]
    assert shares == sorted(shares)
    video = done(await teacher.get(f"/v1/videos/{video['id']}"))
    assert told[-1] == video
    assert (video["state"], video["progress"], video["error"]) == ("ready", 1, None)
    assert video["duration_s"] == pytest.approx(last_moment(player.show(str(film))), abs=0.1)
    assert len({rendition["height"] for rendition in video["renditions"]}) == len(video["renditions"]) > 0
    assert all(each["bitrate_bps"] > 0 and "avc1" in each["codecs"] for each in video["renditions"])

    # 14
    published = done(await teacher.post(f"{path}/publish"))
    assert (published["published_revision"], published["has_draft_changes"]) == (1, False)
    return Lesson(
        teacher, school["id"], course["id"], course["default_run_id"], lesson["id"], text["id"], watch["id"], video
    )


async def learn(hub: Hub, address: str, lesson: Lesson, film: Path) -> Learning:
    """Walk steps 15 to 23."""
    # 15: it is in the catalogue at once, for everybody; drafts never
    found = done(await hub.guest.get(f"/v1/catalog/{lesson.course_id}"))
    assert (found["title"], found["summary"]) == ("Seeing", "A film and a text.")
    assert [run["id"] for run in found["runs"]] == [lesson.run_id]
    listed = done(await hub.guest.get("/v1/catalog", params={"organization_id": lesson.organization_id}))
    assert [each["id"] for each in listed["items"]] == [lesson.course_id]
    await searching()
    await hub.run_cron("search.keep")
    search = Found(hub)
    await search.settle()
    assert await search.ids(hub.guest, "seing", organization_id=lesson.organization_id) == [lesson.course_id]
    assert await search.ids(hub.guest, "hearing", organization_id=lesson.organization_id) == []

    # 16 to 18: nobody sees the lesson before they enrol
    learner, user = await sign_up(hub, "tariq")
    playback = {"block_id": lesson.film_id, "run_id": lesson.run_id}
    problem(await learner.get(f"/v1/outlines/{lesson.run_id}"), 403)
    problem(await learner.post("/v1/playbacks", playback), 403)
    problem(await learner.post("/v1/enrollments", {"course_id": str(new_id())}), 404)
    enrolled = done(await learner.post("/v1/enrollments", {"course_id": lesson.course_id}), 201)
    assert (enrolled["course_id"], enrolled["run_id"]) == (lesson.course_id, lesson.run_id)
    assert (enrolled["user_id"], enrolled["state"]) == (user["id"], "active")
    assert done(await learner.post("/v1/enrollments", {"run_id": lesson.run_id}), 200) == enrolled
    outline = done(await learner.get(f"/v1/outlines/{lesson.run_id}"))
    assert (outline["course_id"], outline["run_id"], outline["revision"]) == (lesson.course_id, lesson.run_id, 1)
    (module,) = outline["blocks"]
    (shown,) = module["children"]
    assert [(each["id"], each["type"], each["completes"]) for each in shown["children"]] == [
        (lesson.text_id, "text", "marked"),
        (lesson.film_id, "video", "watched"),
    ]
    assert shown["children"][0]["body"] == TEXT
    started = done(await learner.post("/v1/playbacks", playback), 201)
    preview = done(await lesson.teacher.post("/v1/playbacks", {"video_id": lesson.video["id"]}), 201)

    # 19: whoever has the address can play it, and nobody else
    for each in (started, preview):
        assert datetime.fromisoformat(each["expires_at"]) > datetime.now(UTC) + timedelta(hours=1)
    await check_addresses(hub, started)
    await check_film(address + started["playback_url"], film, lesson.video)

    # 20 to 23: what is watched completes the film, as long as it could have been watched
    await hub.settle()
    progress_path = f"/v1/progress/{enrolled['id']}"
    assert await standing(learner, progress_path) == (0, 2, 0)
    claim = {"enrollment_id": enrolled["id"], "block_id": lesson.film_id}
    problem(await learner.post("/v1/completions", claim), 409, "completion-is-measured")
    duration_s = lesson.video["duration_s"]
    beat = {"playback_id": started["id"], "position_s": duration_s, "watched": [[0, duration_s]]}
    if duration_s < 10:
        began = time.monotonic()
        beat["playback_id"] = done(await learner.post("/v1/playbacks", playback), 201)["id"]
        believed = done(await learner.post("/v1/heartbeats", beat), 202)["watched_ratio"] * duration_s
        assert believed <= 0.5 + 2.5 * (time.monotonic() - began) + 0.01
        progress = done(await learner.get(progress_path))
        assert progress["resume"] == {"block_id": lesson.film_id, "position_s": pytest.approx(duration_s, abs=0.01)}
        await asyncio.sleep(0.9 * duration_s / 2.5)
    else:
        await let_pass(started["id"], timedelta(seconds=duration_s / 2))
    assert done(await learner.post("/v1/heartbeats", beat), 202)["watched_ratio"] >= 0.9
    await hub.settle()
    assert await standing(learner, progress_path) == (1, 2, 50)
    assert done(await learner.get(f"/v1/enrollments/{enrolled['id']}"))["state"] == "active"
    for _ in range(2):
        done(await learner.post("/v1/completions", claim | {"block_id": lesson.text_id}))
    assert await standing(learner, progress_path) == (2, 2, 100)
    await hub.settle()
    completed = done(await learner.get(f"/v1/enrollments/{enrolled['id']}"))
    assert completed["state"] == "completed"
    assert datetime.fromisoformat(completed["completed_at"]) <= datetime.now(UTC)
    return Learning(learner, enrolled["id"])


async def afterwards(hub: Hub, lesson: Lesson, learning: Learning) -> None:
    """Walk steps 24 to 26."""
    # 24: one entry for every change, with who did it
    teacher, learner = lesson.teacher, learning.learner
    expected = {
        "organization.created": ("person", str(teacher.id), lesson.organization_id),
        "course.published": ("person", str(teacher.id), lesson.course_id),
        "video.processed": ("platform", None, lesson.video["id"]),
        "enrollment.created": ("person", str(learner.id), learning.enrollment_id),
        "enrollment.completed": ("platform", None, learning.enrollment_id),
    }
    for action, (kind, actor, target) in expected.items():
        (entry,) = await trail(teacher, lesson.organization_id, action)
        assert (entry["action"], entry["target"]["id"]) == (action, target)
        assert (entry["actor"]["kind"], entry["actor"]["id"]) == (kind, actor)
        assert datetime.fromisoformat(entry["at"]) <= datetime.now(UTC)
        assert len(entry["trace_id"]) == 32
    assert lesson.course_id in {
        entry["target"]["id"] for entry in await trail(teacher, lesson.organization_id, "course.created")
    }

    # 25: who leaves sees nothing more, and comes back to what they had
    left = done(await learner.post(f"/v1/enrollments/{learning.enrollment_id}/cancel"))
    assert (left["id"], left["state"]) == (learning.enrollment_id, "cancelled")
    problem(await learner.post("/v1/playbacks", {"block_id": lesson.film_id, "run_id": lesson.run_id}), 403)
    await hub.settle()
    back = done(await learner.post("/v1/enrollments", {"run_id": lesson.run_id}), 200)
    assert (back["id"], back["state"]) == (learning.enrollment_id, "completed")

    # 26: the course grows; who has finished it stays finished
    added = await add_block(teacher, lesson.course_id, {"id": lesson.lesson_id}, "text", 2, {"markdown": "More"})
    published = done(await teacher.post(f"/v1/courses/{lesson.course_id}/publish"))
    assert published["published_revision"] == 2
    await hub.settle()
    outline = done(await learner.get(f"/v1/outlines/{lesson.run_id}"))
    blocks = outline["blocks"][0]["children"][0]["children"]
    assert (outline["revision"], [each["id"] for each in blocks]) == (
        2,
        [lesson.text_id, lesson.film_id, added["id"]],
    )
    still = done(await learner.get(f"/v1/enrollments/{learning.enrollment_id}"))
    assert (still["state"], still["completed_revision"]) == ("completed", 1)
    assert await standing(learner, f"/v1/progress/{learning.enrollment_id}") == (2, 3, 66)
    newcomer, _ = await sign_up(hub, "noor")
    enrolled = done(await newcomer.post("/v1/enrollments", {"run_id": lesson.run_id}), 201)
    assert await standing(newcomer, f"/v1/progress/{enrolled['id']}") == (0, 3, 0)


async def sign_up(hub: Hub, name: str) -> tuple[Person, dict[str, Any]]:
    """Walk steps 1 and 2; return who that is, and how they look."""
    email = f"{name}-{new_id().hex[-12:]}@people.example"
    wanted = {"email": email, "password": PASSWORD, "name": name.title(), "locale": "en"}
    user = done(await hub.guest.post("/v1/users", wanted), 201)
    assert (user["email"], user["name"], user["locale"], user["email_verified"]) == (email, name.title(), "en", False)
    session = done(await hub.guest.post("/v1/sessions", {"email": email, "password": PASSWORD}), 201)
    assert (session["token_type"], bool(session["id"]), bool(session["refresh_token"])) == ("Bearer", True, True)
    assert 0 < session["expires_in"] <= 300
    return hub.signed_in(session["access_token"], UUID(user["id"]), email), user


async def add_block(
    teacher: Person,
    course_id: str,
    parent: dict[str, Any] | None,
    kind: str,
    position: int,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    new = {"course_id": course_id, "parent_id": parent and parent["id"], "type": kind, "title": kind.title()}
    block = done(await teacher.post("/v1/blocks", new if body is None else new | {"body": body}), 201)
    assert (block["type"], block["title"], block["position"]) == (kind, kind.title(), position)
    return block


async def missing(teacher: Person, course_path: str) -> list[str]:
    """Return what publishing a course says is missing."""
    refused = problem(await teacher.post(f"{course_path}/publish"), 409, "not-ready-to-publish")
    return [each["code"] for each in refused["missing"]]


async def upload(teacher: Person, target: str, film: Path) -> str:
    """Upload a file by tus in two steps, the second one with a checksum; return the asset's id."""
    content = await asyncio.to_thread(film.read_bytes)
    fields = {"filename": film.name, "filetype": "video/mp4", "purpose": "course-media", "target": target}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
    creation = TUS | {"Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    given_up = await teacher.post("/v1/uploads", headers=creation)
    assert (await teacher.delete(given_up.headers["location"], headers=TUS)).status_code == 204
    created = await teacher.post("/v1/uploads", headers=creation)
    assert created.status_code == 201, created.text
    assert created.headers["upload-expires"].endswith("GMT")
    where = created.headers["location"]
    asset_id = where.rpartition("/")[2]
    assert done(await teacher.get(f"/v1/assets/{asset_id}"))["state"] == "uploading"
    half = len(content) // 2
    for offset, part in ((0, content[:half]), (half, content[half:])):
        assert (await teacher.client.head(where, headers=TUS)).headers["upload-offset"] == str(offset)
        checksum = base64.b64encode(hashlib.sha256(part).digest()).decode()
        headers = {"Upload-Offset": str(offset), "Upload-Checksum": f"sha256 {checksum}"}
        sent = await teacher.client.patch(
            where, content=part, headers=TUS | headers | {"Content-Type": "application/offset+octet-stream"}
        )
        assert sent.status_code == 204, sent.text
    return asset_id


async def follow(person: Person, address: str, path: str) -> list[dict[str, Any]]:
    """Return what the server told until it had nothing more to tell."""
    authorization = {"Authorization": person.client.headers["authorization"]}
    async with (
        httpx.AsyncClient(base_url=address, headers=authorization, timeout=120, trust_env=False) as http,
        http.stream("GET", path) as events,
    ):
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in events.aiter_lines()]
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]


async def check_addresses(hub: Hub, playback: dict[str, Any]) -> None:
    """A playback's address needs no header and cannot be bent."""
    url = playback["playback_url"]
    prefix, _, token_and_file = url.partition("/-/")
    token, _, file = token_and_file.partition("/")
    master = await hub.guest.get(url)
    assert (master.status_code, master.headers["content-type"]) == (200, "application/vnd.apple.mpegurl")
    part = await hub.guest.get(url, headers={"Range": "bytes=7-17"})
    assert (part.status_code, part.content) == (206, master.content[7:18])
    assert part.headers["content-range"] == f"bytes 7-17/{len(master.content)}"
    changed = token[:-1] + ("A" if token[-1] != "A" else "B")
    known = await client(VideoStreamingCalls).find_playback(PlaybackId(UUID(playback["id"])))
    assert known is not None
    expired = tokens.issue(replace(known, expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    for refused in (changed, expired, ""):
        problem(await hub.guest.get(f"{prefix}/-/{refused}/{file}"), 403)


async def check_film(master_url: str, film: Path, video: dict[str, Any]) -> None:
    """Every rendition shows the pictures of the source at their times, and its sound lasts as long."""
    source = await asyncio.to_thread(player.show, str(film))
    urls = await asyncio.to_thread(player.renditions, master_url)
    assert len(urls) == len(video["renditions"])
    for url in urls:
        shown = await asyncio.to_thread(player.show, url)
        assert shown.times_s == pytest.approx(source.times_s, abs=0.002)
        assert last_moment(shown) == pytest.approx(video["duration_s"], abs=0.1)
        for before, after in zip(source.thumbnails, shown.thumbnails, strict=True):
            assert player.differs(before, after) < 12
    sound = await asyncio.to_thread(player.sound, master_url)
    assert sound is not None
    lasts_s = await asyncio.to_thread(player.sound_s, str(film))
    assert await asyncio.to_thread(player.sound_s, sound) == pytest.approx(lasts_s, abs=0.1)


def last_moment(shown: player.Shown) -> float:
    """Return when the last picture goes."""
    return shown.times_s[-1] + shown.times_s[1]


async def let_pass(playback_id: str, span: timedelta) -> None:
    """Let a playback have begun that much earlier."""
    async with read() as db:
        await db.run(
            "UPDATE video_streaming.playbacks SET created_at = created_at - $2::interval WHERE id = $1",
            UUID(playback_id),
            span,
        )


async def standing(person: Person, path: str) -> tuple[int, int, int]:
    progress = done(await person.get(path))
    return progress["completed_blocks"], progress["total_blocks"], progress["percent"]


async def trail(owner: Person, organization_id: str, action: str) -> list[dict[str, Any]]:
    params = {"organization_id": organization_id, "action": action}
    return done(await owner.get("/v1/audit-entries", params=params))["items"]
