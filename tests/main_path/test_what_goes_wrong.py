"""What goes wrong on the main path, and what it gets: tokens, other people's things, bodies, repetitions."""

import asyncio
import base64
import json
from collections import Counter
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster.base.ids import new_id
from tests.harness import Hub, Person, School, done, problem
from tests.main_path.conftest import Classroom
from tests.main_path.test_main_path import add_block

NOBODY = "00000000-0000-7000-8000-000000000000"


def steps(room: Classroom) -> list[tuple[str, str, Any]]:
    """Every step of the main path that needs an account, as somebody would send it."""
    lesson, learning = room.lesson, room.one
    course, block = f"/v1/courses/{lesson.course_id}", {"course_id": lesson.course_id, "type": "module", "title": "New"}
    new_course = {"organization_id": lesson.organization_id, "title": "New", "summary": "", "language": "en"}
    return [
        ("GET", "/v1/users/me", None),
        ("POST", "/v1/organizations", {"name": "New", "slug": f"new-{new_id().hex[-12:]}"}),
        ("POST", "/v1/courses", new_course),
        ("GET", course, None),
        ("PATCH", course, {"title": "New"}),
        ("POST", "/v1/blocks", block | {"parent_id": None}),
        ("POST", f"/v1/uploads?target=course:{lesson.course_id}", None),
        ("GET", f"/v1/assets/{lesson.video['asset_id']}", None),
        ("POST", "/v1/videos", {"asset_id": lesson.video["asset_id"]}),
        ("GET", f"/v1/videos/{lesson.video['id']}", None),
        ("GET", f"/v1/videos/{lesson.video['id']}/events", None),
        ("POST", f"{course}/publish", None),
        ("POST", "/v1/enrollments", {"run_id": lesson.run_id}),
        ("GET", f"/v1/outlines/{lesson.run_id}", None),
        ("POST", "/v1/playbacks", {"block_id": lesson.film_id, "run_id": lesson.run_id}),
        ("POST", "/v1/heartbeats", {"playback_id": NOBODY, "position_s": 0, "watched": []}),
        ("POST", "/v1/completions", {"enrollment_id": learning.enrollment_id, "block_id": lesson.text_id}),
        ("GET", f"/v1/progress/{learning.enrollment_id}", None),
        ("GET", f"/v1/enrollments/{learning.enrollment_id}", None),
        ("POST", f"/v1/enrollments/{learning.enrollment_id}/cancel", None),
        ("GET", f"/v1/audit-entries?organization_id={lesson.organization_id}", None),
    ]


async def send(person: Person, method: str, path: str, body: Any, **headers: str) -> httpx.Response:
    if path.startswith("/v1/uploads"):
        path, _, target = path.partition("?target=")
        fields = {"filename": "a.mp4", "filetype": "video/mp4", "purpose": "course-media", "target": target}
        metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
        headers |= {"Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Metadata": metadata}
    if method == "PATCH":
        headers |= {"If-Match": '"1"'}
    return await person.client.request(method, path, json=body, headers=headers)


def bad_tokens(good: str) -> dict[str, str]:
    """Tokens that name somebody who exists, and do not count."""
    claims = jwt.decode(good, options={"verify_signature": False})
    head, payload, _ = good.split(".")
    ours = jwt.get_unverified_header(good)["kid"]
    forged = jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": ours})
    return {
        "nonsense": "nonsense",
        "unsigned": jwt.encode(claims, "", algorithm="none", headers={"kid": ours}),
        "another signature": f"{head}.{payload}.{forged.split('.')[2]}",
        "another key": forged,
        "a secret everybody knows": jwt.encode(claims, "x" * 32, algorithm="HS256", headers={"kid": ours}),
        "changed": f"{head}.{payload[:-2]}AA.{good.split('.')[2]}",
    }


async def test_no_or_a_bad_token_is_401_with_a_challenge(hub: Hub, classroom: Classroom) -> None:
    token = classroom.one.learner.client.headers["authorization"].removeprefix("Bearer ")
    for method, path, body in steps(classroom):
        refused = await send(hub.guest, method, path, body)
        assert refused.status_code == 401, f"{method} {path}: {refused.status_code}"
        assert refused.headers["www-authenticate"].startswith("Bearer")
    for name, bad in bad_tokens(token).items():
        for method, path, body in steps(classroom):
            refused = await send(hub.guest, method, path, body, Authorization=f"Bearer {bad}")
            assert refused.status_code == 401, f"{name}: {method} {path}: {refused.status_code}"
            assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_an_ended_session_is_over(hub: Hub) -> None:
    person = await hub.person()
    (session,) = done(await person.get("/v1/sessions"))["items"]
    done(await person.post(f"/v1/sessions/{session['id']}/end"))
    await hub.broadcasts_arrived()
    problem(await person.get("/v1/users/me"), 401)


MAY = {"/v1/users/me", "/v1/organizations", "/v1/enrollments"}
"""What anybody with an account may do, whatever school it is."""


async def test_what_belongs_to_others_is_not_there(hub: Hub, classroom: Classroom) -> None:
    stranger = classroom.elsewhere.owner
    # That there is this course is public: it is in the catalogue.
    course = f"/v1/courses/{classroom.lesson.course_id}"
    public = {course, f"{course}/publish", f"/v1/outlines/{classroom.lesson.run_id}", "/v1/playbacks", "/v1/blocks"}
    for method, path, body in steps(classroom):
        if path not in MAY:
            answer = await send(stranger, method, path, body)
            assert answer.status_code == (403 if path in public else 404), f"{method} {path}: {answer.text}"
    listed = {
        "/v1/courses": {"organization_id": classroom.lesson.organization_id},
        "/v1/videos": {"course_id": classroom.lesson.course_id},
        "/v1/enrollments": {"course_id": classroom.lesson.course_id},
        "/v1/progress": {"run_id": classroom.lesson.run_id},
        "/v1/assets": {"target": f"course:{classroom.lesson.course_id}"},
    }
    for path, params in listed.items():
        found = await stranger.get(path, params=params)
        assert found.status_code in (403, 404) or done(found)["items"] == [], path


async def test_a_learner_only_learns(hub: Hub, classroom: Classroom) -> None:
    lesson, other, learner = classroom.lesson, classroom.other, classroom.one.learner
    course = f"/v1/courses/{lesson.course_id}"
    block = {"course_id": lesson.course_id, "parent_id": None, "type": "module", "title": "Mine"}
    refused: list[tuple[int, str, str, Any]] = [
        (403, "POST", f"{course}/publish", None),
        (403, "PATCH", course, {"title": "Mine"}),
        (403, "POST", "/v1/blocks", block),
        (403, "PATCH", f"/v1/blocks/{lesson.text_id}", {"title": "Mine"}),
        (403, "GET", f"/v1/progress/{other.enrollment_id}", None),
        (403, "POST", "/v1/completions", {"enrollment_id": other.enrollment_id, "block_id": lesson.text_id}),
        (404, "GET", f"/v1/enrollments/{other.enrollment_id}", None),
        (404, "POST", f"/v1/enrollments/{other.enrollment_id}/cancel", None),
        (404, "POST", f"/v1/uploads?target=course:{lesson.course_id}", None),
        (404, "GET", f"/v1/assets/{lesson.video['asset_id']}", None),
        (404, "GET", f"/v1/videos/{lesson.video['id']}", None),
        (404, "POST", f"/v1/videos/{lesson.video['id']}/cancel", None),
        (404, "POST", "/v1/playbacks", {"video_id": lesson.video["id"]}),
        (404, "GET", f"/v1/audit-entries?organization_id={lesson.organization_id}", None),
    ]
    found = [(await send(learner, method, path, body)).status_code for _, method, path, body in refused]
    assert [(status, *row[1:3]) for status, row in zip(found, refused, strict=True)] == [row[:3] for row in refused]
    playback = {"block_id": lesson.film_id, "run_id": lesson.run_id}
    theirs = done(await other.learner.post("/v1/playbacks", playback), 201)
    problem(await learner.get(f"/v1/playbacks/{theirs['id']}"), 404)
    beat = {"playback_id": theirs["id"], "position_s": 1, "watched": [[0, 1]]}
    problem(await learner.post("/v1/heartbeats", beat), 404)
    await hub.settle()
    assert done(await other.learner.get(f"/v1/progress/{other.enrollment_id}"))["resume"] is None


def hostile_bodies() -> dict[str, bytes]:
    return {
        "nothing": b"",
        "not JSON": b"{'title': True}",
        "cut off": b'{"title": "',
        "not UTF-8": b'{"title": "\xff\xfe"}',
        "a list": b"[]",
        "a number": b"1e400",
        "an unknown field": b'{"no_such_field": 1}',
        "nested deep": b"[" * 10_000 + b"]" * 10_000,
        "nested deep in a field": b'{"title":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
        "20 MB": b'{"title": "' + b"x" * 20_000_000 + b'"}',
    }


@pytest.mark.parametrize("kind", hostile_bodies())
async def test_a_body_that_cannot_be_taken_is_refused_by_every_route(hub: Hub, classroom: Classroom, kind: str) -> None:
    document = done(await hub.guest.get("/openapi.json"))
    teacher = classroom.lesson.teacher
    headers = {"Content-Type": "application/json", "If-Match": '"1"'}
    found: Counter[int] = Counter()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" not in operation or "application/json" not in operation["requestBody"]["content"]:
                continue
            optional = kind == "nothing" and not operation["requestBody"].get("required", False)
            for parameter in operation.get("parameters", []):
                path = path.replace("{" + parameter["name"] + "}", NOBODY)
            body = hostile_bodies()[kind]
            answer = await teacher.client.request(method.upper(), path, content=body, headers=headers)
            assert answer.status_code < 500, f"{method} {path}: {answer.text}"
            # A standard's path has its own errors, and takes what it does not know: tests of the service ask for them.
            if not optional and path.startswith("/v1/"):
                assert answer.status_code in (400, 413, 422), f"{method} {path}: {answer.status_code} {answer.text}"
                problem(answer, answer.status_code)
            found[answer.status_code] += 1
    assert found.total() > 20


async def repeated(person: Person, method: str, path: str, body: Any, other: Any) -> dict[str, Any]:
    """Send a request twice under one key, and then another one under it; return what the first answered."""
    key = {"Idempotency-Key": str(new_id())}
    first, second = [await person.client.request(method, path, json=body, headers=key) for _ in range(2)]
    assert first.is_success, first.text
    assert (second.status_code, second.json()["id"]) == (first.status_code, first.json()["id"]), path
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    if other is not None:
        problem(await person.client.request(method, path, json=other, headers=key), 422, "key-reused")
    return first.json()


async def test_a_request_sent_twice_has_its_effect_once(hub: Hub, classroom: Classroom) -> None:
    lesson = classroom.lesson
    teacher, learner = lesson.teacher, await hub.person("twice")
    slug = f"twice-{new_id().hex[-12:]}"
    organization = {"name": "Twice", "slug": slug}
    school = await repeated(teacher, "POST", "/v1/organizations", organization, organization | {"name": "Else"})
    new = {"organization_id": school["id"], "title": "Twice", "summary": "", "language": "en"}
    course = await repeated(teacher, "POST", "/v1/courses", new, new | {"title": "Else"})
    module = {"course_id": course["id"], "parent_id": None, "type": "module", "title": "One"}
    block = await repeated(teacher, "POST", "/v1/blocks", module, module | {"title": "Two"})
    listed = done(await teacher.get("/v1/blocks", params={"course_id": course["id"]}))["items"]
    assert [each["id"] for each in listed] == [block["id"]]
    inner = await add_block(teacher, course["id"], block, "lesson", 0)
    await add_block(teacher, course["id"], inner, "text", 0, {"markdown": "Once"})
    path = f"/v1/courses/{course['id']}/publish"
    published = await repeated(teacher, "POST", path, {"note": "first"}, {"note": "second"})
    assert published["published_revision"] == 1
    await hub.settle()
    enrol = {"run_id": course["default_run_id"]}
    enrolled = await repeated(learner, "POST", "/v1/enrollments", enrol, {"run_id": lesson.run_id})
    there = done(await learner.post("/v1/enrollments", {"run_id": lesson.run_id}), 201)
    play = {"block_id": lesson.film_id, "run_id": lesson.run_id}
    await repeated(learner, "POST", "/v1/playbacks", play, play | {"block_id": lesson.text_id})
    await repeated(learner, "POST", f"/v1/enrollments/{there['id']}/cancel", None, None)
    left = await repeated(learner, "POST", f"/v1/enrollments/{enrolled['id']}/cancel", None, None)
    assert left["state"] == "cancelled"
    await hub.settle()
    for action, target in (
        ("course.created", course["id"]),
        ("course.published", course["id"]),
        ("block.created", block["id"]),
        ("enrollment.created", enrolled["id"]),
        ("enrollment.cancelled", enrolled["id"]),
    ):
        params = {"organization_id": school["id"], "action": action, "target_id": target}
        assert len(done(await teacher.get("/v1/audit-entries", params=params))["items"]) == 1, action


async def test_the_same_request_many_times_at_once_has_its_effect_once(hub: Hub) -> None:
    school: School = await hub.school()
    new = {"organization_id": str(school.org_id), "title": "Race", "summary": "", "language": "en"}
    key = {"Idempotency-Key": str(new_id())}
    answers = await asyncio.gather(*(school.owner.post("/v1/courses", new, headers=key) for _ in range(8)))
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    listed = done(await school.owner.get("/v1/courses", params={"organization_id": str(school.org_id)}))["items"]
    assert {each["id"] for each in listed} == made
    again = await school.owner.post("/v1/courses", new, headers=key)
    assert json.loads(again.content)["id"] in made
