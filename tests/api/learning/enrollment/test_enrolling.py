import asyncio
from typing import Any

import pytest

from api.learning.enrollment import store
from api.learning.enrollment.contract import Enrollment
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.data import postgres, write
from tests.api.learning.course.conftest import Draft, add_lesson, draft, new_course, published, school
from tests.harness import Hub, Person, done, problem

__all__ = ["draft", "published", "school"]


async def _run(published: Draft, **fields: object) -> str:
    body = {"course_id": published.id, "title": "Further", **fields}
    return done(await published.owner.post("/v1/runs", body), 201)["id"]


async def test_enrolling_twice_answers_the_same_enrolment(hub: Hub, published: Draft) -> None:
    learner = await hub.person("learner")
    body = {"run_id": published.course["default_run_id"]}
    first = done(await learner.post("/v1/enrollments", body), 201)
    assert (first["state"], first["user_id"], first["course_id"]) == ("active", str(learner.id), published.id)
    assert done(await learner.post("/v1/enrollments", body), 200) == first
    assert done(await learner.get(f"/v1/enrollments/{first['id']}")) == first


async def test_enrol_by_course_takes_the_only_open_run_or_asks_for_one(hub: Hub, published: Draft) -> None:
    one, two = await hub.person("one"), await hub.person("two")
    enrolled = done(await one.post("/v1/enrollments", {"course_id": published.id}), 201)
    assert enrolled["run_id"] == published.course["default_run_id"]
    further = await _run(published)
    refused = problem(await two.post("/v1/enrollments", {"course_id": published.id}), 409, "run-choice-needed")
    assert refused["runs"] == [published.course["default_run_id"], further]
    assert done(await one.post("/v1/enrollments", {"course_id": published.id}), 200)["id"] == enrolled["id"]


async def test_drafts_and_unknown_runs_are_not_found_and_guests_sign_in_first(hub: Hub, draft: Draft) -> None:
    learner = await hub.person("learner")
    for body in ({"course_id": draft.id}, {"run_id": draft.course["default_run_id"]}, {"run_id": str(new_id())}):
        problem(await learner.post("/v1/enrollments", body), 404, "not-enrollable")
    problem(await hub.guest.post("/v1/enrollments", {"course_id": draft.id}), 401)
    problem(await learner.post("/v1/enrollments", {}), 422)


async def test_racing_twins_make_one_enrolment(hub: Hub, published: Draft) -> None:
    learner = await hub.person("learner")
    body = {"run_id": published.course["default_run_id"]}
    answers = await hub.at_once(*(learner.post("/v1/enrollments", body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_the_last_seat_goes_to_one_and_a_seat_that_is_given_back_is_free(hub: Hub, published: Draft) -> None:
    run_id = await _run(published, seats=1)
    people = [await hub.person(f"p{n}") for n in range(4)]
    answers = await hub.at_once(*(person.post("/v1/enrollments", {"run_id": run_id}) for person in people))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    winner = next(i for i, answer in enumerate(answers) if answer.status_code == 201)
    done(await people[winner].post(f"/v1/enrollments/{answers[winner].json()['id']}/cancel"))
    done(await people[winner - 1].post("/v1/enrollments", {"run_id": run_id}), 201)
    problem(await people[winner].post("/v1/enrollments", {"run_id": run_id}), 409, "run-full")


async def test_leaving_and_coming_back_moves_the_same_enrolment(hub: Hub, published: Draft) -> None:
    learner = await hub.person("learner")
    body = {"run_id": published.course["default_run_id"]}
    enrolled = done(await learner.post("/v1/enrollments", body), 201)
    path = f"/v1/enrollments/{enrolled['id']}"
    for _ in range(2):
        assert done(await learner.post(f"{path}/cancel"))["state"] == "cancelled"
    back = done(await learner.post("/v1/enrollments", body), 200)
    assert (back["id"], back["state"]) == (enrolled["id"], "active")
    await hub.settle()
    assert done(await hub.guest.get(f"/v1/catalog/{published.id}"))["learners"] == 1


async def test_a_closed_run_takes_nobody_but_keeps_who_is_in(hub: Hub, published: Draft) -> None:
    run_id = await _run(published)
    early, late = await hub.person("early"), await hub.person("late")
    enrolled = done(await early.post("/v1/enrollments", {"run_id": run_id}), 201)
    done(await published.owner.post(f"/v1/runs/{run_id}/end"))
    problem(await late.post("/v1/enrollments", {"run_id": run_id}), 409, "run-not-open")
    assert done(await early.post("/v1/enrollments", {"run_id": run_id}), 200)["id"] == enrolled["id"]


async def test_a_course_for_members_takes_members_only(hub: Hub, published: Draft) -> None:
    course = await new_course(published.school, visibility="organization")
    await add_lesson(published.owner, course["id"], "# Text")
    done(await published.owner.post(f"/v1/courses/{course['id']}/publish"))
    stranger = await hub.person("stranger")
    problem(await stranger.post("/v1/enrollments", {"run_id": course["default_run_id"]}), 404)
    done(await published.owner.post("/v1/enrollments", {"run_id": course["default_run_id"]}), 201)


async def test_a_suspended_learner_cannot_open_the_outline_until_resumed(hub: Hub, published: Draft) -> None:
    learner = await hub.person("learner")
    run_id = published.course["default_run_id"]
    enrolled = done(await learner.post("/v1/enrollments", {"run_id": run_id}), 201)
    path = f"/v1/enrollments/{enrolled['id']}"
    problem(await learner.post(f"{path}/suspend"), 403)
    done(await learner.get(f"/v1/outlines/{run_id}"))
    assert done(await published.owner.post(f"{path}/suspend"))["state"] == "suspended"
    await hub.broadcasts_arrived()
    problem(await learner.get(f"/v1/outlines/{run_id}"), 403)
    assert done(await published.owner.post(f"{path}/resume"))["state"] == "active"
    problem(await published.owner.post(f"{path}/resume"), 409, "not-in-that-state")
    done(await learner.get(f"/v1/outlines/{run_id}"))


async def test_an_enrolment_is_seen_by_its_learner_and_its_staff_alone(hub: Hub, published: Draft) -> None:
    learner, other = await hub.person("learner"), await hub.person("other")
    run = {"run_id": published.course["default_run_id"]}
    enrolled = done(await learner.post("/v1/enrollments", run), 201)
    done(await other.post("/v1/enrollments", run), 201)
    stranger = (await hub.school()).owner
    path = f"/v1/enrollments/{enrolled['id']}"
    for outsider in (other, stranger):
        problem(await outsider.get(path), 404)
        problem(await outsider.post(f"{path}/cancel"), 404)
    done(await published.owner.get(path))

    async def listed(person: Person) -> list[str]:
        return [e["id"] for e in done(await person.get("/v1/enrollments", params=run))["items"]]

    assert await listed(learner) == [enrolled["id"]]
    assert len(await listed(published.owner)) == 2
    assert await listed(stranger) == []


async def test_who_learns_where_is_read_from_an_index(hub: Hub) -> None:
    async with write(PLATFORM) as tx:
        await tx.run("SET LOCAL enable_seqscan = off")
        rows = await tx.rows(
            """EXPLAIN SELECT EXISTS (SELECT 1 FROM enrollment.enrollments
               WHERE user_id = $1 AND run_id = $2 AND state = ANY($3::text[]))""",
            new_id(),
            new_id(),
            ["active"],
        )
    plan = "\n".join(row[0] for row in rows)
    # Which of the indexes depends on how full the table is just now; without one it would be a scan.
    assert "Index" in plan
    assert "Seq Scan" not in plan


async def test_strangers_do_not_learn_that_a_course_for_members_exists(hub: Hub, published: Draft) -> None:
    course = await new_course(published.school, visibility="organization")
    await add_lesson(published.owner, course["id"], "# Text")
    done(await published.owner.post(f"/v1/courses/{course['id']}/publish"))
    await hub.settle()
    stranger = await hub.person("stranger")
    problem(await stranger.get(f"/v1/outlines/{course['default_run_id']}"), 404)
    problem(await stranger.get(f"/v1/outlines/{published.course['default_run_id']}"), 403)


async def test_enrol_rejects_a_suspended_learner_who_left_and_comes_back(hub: Hub, published: Draft) -> None:
    learner = await hub.person("learner")
    run = {"run_id": published.course["default_run_id"]}
    path = f"/v1/enrollments/{done(await learner.post('/v1/enrollments', run), 201)['id']}"
    done(await published.owner.post(f"{path}/suspend"))
    assert done(await learner.post(f"{path}/cancel"))["state"] == "cancelled"
    problem(await published.owner.post(f"{path}/resume"), 409, "not-in-that-state")
    assert done(await learner.post("/v1/enrollments", run))["state"] == "suspended"
    await hub.settle()
    await hub.broadcasts_arrived()
    problem(await learner.get(f"/v1/outlines/{run['run_id']}"), 403)
    assert done(await published.owner.post(f"{path}/resume"))["state"] == "active"
    done(await learner.post(f"{path}/cancel"))
    assert done(await learner.post("/v1/enrollments", run))["state"] == "active", "it was lifted"
    await hub.settle()


async def test_a_course_whose_runs_are_closed_is_there_but_takes_nobody(hub: Hub, published: Draft) -> None:
    early, late = await hub.person("early"), await hub.person("late")
    enrolled = done(await early.post("/v1/enrollments", {"course_id": published.id}), 201)
    done(await published.owner.post(f"/v1/runs/{published.course['default_run_id']}/end"))
    problem(await late.post("/v1/enrollments", {"course_id": published.id}), 409, "run-not-open")
    assert done(await early.post("/v1/enrollments", {"course_id": published.id}))["id"] == enrolled["id"]
    done(await published.owner.post(f"{published.path}/archive"))
    problem(await late.post("/v1/enrollments", {"course_id": published.id}), 404, "not-enrollable")
    for body in ({"course_id": published.id}, {"run_id": published.course["default_run_id"]}):
        assert done(await early.post("/v1/enrollments", body))["id"] == enrolled["id"]


async def test_strangers_are_not_told_of_the_runs_of_a_course_for_members(hub: Hub, published: Draft) -> None:
    course = await new_course(published.school, visibility="organization")
    await add_lesson(published.owner, course["id"], "# Text")
    done(await published.owner.post(f"/v1/courses/{course['id']}/publish"))
    further = {"course_id": course["id"], "title": "Further"}
    run = done(await published.owner.post("/v1/runs", further), 201)["id"]
    stranger = await hub.person("stranger")
    problem(await stranger.post("/v1/enrollments", {"course_id": course["id"]}), 404, "not-enrollable")
    problem(await published.owner.post("/v1/enrollments", {"course_id": course["id"]}), 409, "run-choice-needed")
    done(await published.owner.post(f"/v1/runs/{run}/end"))
    problem(await stranger.post("/v1/enrollments", {"run_id": run}), 404, "not-enrollable")
    problem(await published.owner.post("/v1/enrollments", {"run_id": run}), 409, "run-not-open")


async def test_a_key_that_lost_a_race_answers_the_enrolment_of_the_other(
    hub: Hub, published: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = await hub.person("learner")
    body = {"run_id": published.course["default_run_id"]}
    insert = store.insert_enrollment

    async def twin() -> None:
        token = postgres._holds_connection.set(False)  # pyright: ignore[reportPrivateUsage]
        done(await learner.post("/v1/enrollments", body), 201)
        postgres._holds_connection.reset(token)  # pyright: ignore[reportPrivateUsage]

    async def insert_late(*args: Any, **fields: Any) -> Enrollment | None:
        monkeypatch.setattr(store, "insert_enrollment", insert)
        await asyncio.create_task(twin())
        return await insert(*args, **fields)

    monkeypatch.setattr(store, "insert_enrollment", insert_late)
    headers = {"Idempotency-Key": new_id().hex}
    first = done(await learner.post("/v1/enrollments", body, headers=headers))
    assert done(await learner.post("/v1/enrollments", body, headers=headers)) == first
    assert done(await learner.get(f"/v1/enrollments/{first['id']}")) == first
    await hub.settle()
