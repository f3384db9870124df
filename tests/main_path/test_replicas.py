"""Uploads that change replicas, and replicas whose servers are away."""

import base64
import hashlib
import random
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from cluster.base.ids import new_id
from cluster.servers.home import free_port
from tests.harness import Hub, Person, done, problem
from tests.main_path.conftest import Classroom, at, replica
from tests.main_path.test_main_path import add_block

TUS = {"Tus-Resumable": "1.0.0"}


async def begin(http: httpx.AsyncClient, course_id: str, size: int) -> str:
    fields = {"filename": "a.mp4", "filetype": "video/mp4", "purpose": "course-media", "target": f"course:{course_id}"}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
    begun = await http.post("/v1/uploads", headers=TUS | {"Upload-Length": str(size), "Upload-Metadata": metadata})
    assert begun.status_code == 201, begun.text
    return httpx.URL(begun.headers["location"]).path


def append(offset: int) -> dict[str, str]:
    return TUS | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}


async def break_off(address: str, where: str, person: Person, content: bytes, offset: int, cut: int) -> None:
    """Promise all that is missing, send it up to `cut`, and vanish."""
    place = urlsplit(address)
    headers = append(offset) | {
        "Host": place.netloc,
        "Content-Length": str(len(content) - offset),
        "Authorization": person.client.headers["authorization"],
    }
    head = "\r\n".join([f"PATCH {where} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""])
    async with await anyio.connect_tcp(place.hostname or "", place.port or 0) as connection:
        await connection.send(head.encode() + content[offset:cut])
        # What arrives together with the end of a connection is dropped by the web server: let it be read before.
        await anyio.sleep(0.3)


async def stands(http: httpx.AsyncClient, where: str, expected: int) -> int:
    """Return where an upload stands, after a moment in which the server may notice that its client is gone."""
    offset = -1
    with anyio.move_on_after(5):
        while offset < expected:
            offset = int((await http.head(where, headers=TUS)).headers["upload-offset"])
            await anyio.sleep(0.05)
    return offset


async def test_an_upload_broken_off_anywhere_goes_on_at_another_replica(
    hub: Hub, address: str, classroom: Classroom, upright_film: Path
) -> None:
    teacher = classroom.lesson.teacher
    content = await anyio.Path(upright_film).read_bytes()
    cuts = sorted({1, len(content) - 1, *(random.randrange(1, len(content)) for _ in range(6))})
    async with replica() as other, at(address, teacher) as here, at(other, teacher) as there:
        where = await begin(here, classroom.lesson.course_id, len(content))
        offset, kept = 0, 0
        for turn, cut in enumerate(cuts):
            await break_off((address, other)[turn % 2], where, teacher, content, offset, cut)
            before, offset = offset, await stands((there, here)[turn % 2], where, cut)
            assert before <= offset <= cut
            kept += offset == cut
        assert kept > len(cuts) / 2
        last = await there.patch(where, content=content[offset:], headers=append(offset))
        assert last.status_code == 204, last.text
    await hub.settle()
    asset = done(await teacher.get(where.replace("uploads", "assets")))
    assert (asset["state"], asset["sha256"]) == ("ready", hashlib.sha256(content).hexdigest())


async def test_without_redis_everything_goes_on(hub: Hub, classroom: Classroom) -> None:
    async with replica(HUB_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0") as address:
        await walk_without(hub, address, classroom)


async def test_without_s3_all_but_files_goes_on_and_uploads_wait(
    hub: Hub, classroom: Classroom, upright_film: Path
) -> None:
    lesson, learner = classroom.lesson, classroom.one.learner
    content = await anyio.Path(upright_film).read_bytes()
    started = done(await learner.post("/v1/playbacks", {"block_id": lesson.film_id, "run_id": lesson.run_id}), 201)
    async with replica(HUB_S3_ENDPOINT=f"http://127.0.0.1:{free_port()}") as address:
        await walk_without(hub, address, classroom)
        async with at(address, lesson.teacher) as http:
            where = await begin(http, lesson.course_id, len(content))
            refused = await http.patch(where, content=content, headers=append(0))
            assert refused.status_code == 503, refused.text
            assert int(refused.headers["retry-after"]) > 0
            assert (await http.head(where, headers=TUS)).headers["upload-offset"] == "0"
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as player:
            master = await player.get(started["playback_url"])
            assert master.status_code == 200
            rendition = httpx.URL(started["playback_url"]).join(master.text.split()[-1])
            playlist = (await player.get(rendition)).raise_for_status()
            segment = rendition.join(playlist.text.split()[-2])
            away = await player.get(segment)
            problem(away, 503)
            assert int(away.headers["retry-after"]) > 0
    assert (await hub.guest.get(str(segment))).status_code == 200
    sent = await lesson.teacher.client.patch(where, content=content, headers=append(0))
    assert sent.status_code == 204, sent.text
    await hub.settle()
    assert done(await lesson.teacher.get(where.replace("uploads", "assets")))["state"] == "ready"


async def walk_without(hub: Hub, address: str, classroom: Classroom) -> None:
    """Walk what of the main path needs no film, at a replica that lacks a server; nothing of it is lost."""
    async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as guest:
        email, password = f"{new_id().hex}@people.example", "a long enough sentence"
        account = {"email": email, "password": password, "name": "Ada"}
        user = done(await guest.post("/v1/users", json=account), 201)
        session = done(await guest.post("/v1/sessions", json={"email": email, "password": password}), 201)
    person = hub.signed_in(session["access_token"], user["id"], email)
    async with at(address, person) as http:
        there = Person(http, user["id"], email)
        school = done(
            await there.post("/v1/organizations", {"name": "Away", "slug": f"away-{new_id().hex[-12:]}"}), 201
        )
        new = {"organization_id": school["id"], "title": "Away", "summary": "", "language": "en"}
        course = done(await there.post("/v1/courses", new), 201)
        module = await add_block(there, course["id"], None, "module", 0)
        lesson = await add_block(there, course["id"], module, "lesson", 0)
        text = await add_block(there, course["id"], lesson, "text", 0, {"markdown": "# Read"})
        assert done(await there.post(f"/v1/courses/{course['id']}/publish"))["published_revision"] == 1
        assert done(await there.get(f"/v1/catalog/{course['id']}"))["title"] == "Away"
        enrolled = done(await there.post("/v1/enrollments", {"course_id": course["id"]}), 201)
        await hub.settle()
        done(await there.post("/v1/completions", {"enrollment_id": enrolled["id"], "block_id": text["id"]}))
        film = {"block_id": classroom.lesson.film_id, "run_id": classroom.lesson.run_id}
        mine = done(await there.post("/v1/enrollments", {"run_id": classroom.lesson.run_id}), 201)
        playback = done(await there.post("/v1/playbacks", film), 201)
        beat = {"playback_id": playback["id"], "position_s": 0.2, "watched": [[0, 0.2]]}
        assert done(await there.post("/v1/heartbeats", beat), 202)["watched_ratio"] == pytest.approx(0.05, abs=0.01)
        await hub.settle()
        assert done(await there.get(f"/v1/enrollments/{enrolled['id']}"))["state"] == "completed"
        resume = done(await person.get(f"/v1/progress/{mine['id']}"))["resume"]
        assert resume == {"block_id": classroom.lesson.film_id, "position_s": 0.2}
    trail = done(await person.get("/v1/audit-entries", params={"organization_id": school["id"], "limit": 100}))
    told = [entry["action"] for entry in trail["items"]]
    for action in ("course.created", "course.published", "enrollment.created", "enrollment.completed"):
        assert told.count(action) == 1, action
