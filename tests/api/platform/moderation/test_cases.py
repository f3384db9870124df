"""Reports become one case, which one moderator at a time looks at and decides."""

import asyncio
from uuid import UUID

from cluster.base.ids import new_id
from cluster.data import read
from tests.api.learning.course.conftest import Draft
from tests.api.platform.moderation.conftest import HARASSMENT, SPAM, Court, new_course
from tests.harness import Hub, Person, done, problem


async def test_a_thousand_reports_are_one_case(hub: Hub, court: Court) -> None:
    reporters = [await hub.person(f"crowd{number}") for number in range(8)]

    answers = await hub.at_once(
        *(
            person.post("/v1/moderation-reports", {"kind": "course", "thing_id": court.draft.id, "clause_id": SPAM})
            for person in reporters
        )
    )

    assert [answer.status_code for answer in answers] == [201] * 8
    async with read() as db:
        crowd = """INSERT INTO moderation.reports
                (id, case_id, kind, thing_id, clause_id, reported_by, text, weight, state, created_at)
            SELECT gen_random_uuid(), c.id, c.kind, c.thing_id, $2, gen_random_uuid(), '', 1, 'open', now()
            FROM moderation.cases c, generate_series(1, 992) WHERE c.thing_id = $1"""
        await db.run(crowd, UUID(court.draft.id), UUID(SPAM))
        cases = await db.value("SELECT count(*) FROM moderation.cases WHERE thing_id = $1", UUID(court.draft.id))
    assert cases == 1
    told = [each for each in await hub.events("moderation.case_opened") if each.payload["thing_id"] == court.draft.id]
    assert len(told) == 1
    await court.decide()
    async with read() as db:
        count = "SELECT state, count(*) FROM moderation.reports WHERE thing_id = $1 GROUP BY state"
        states = {row[0]: row[1] for row in await db.rows(count, UUID(court.draft.id))}
    assert states == {"kept": 1000}


async def test_brigading_weighs_less_than_one_step_of_severity(hub: Hub, court: Court) -> None:
    await court.report(clause_id=SPAM)
    async with read() as db:
        await db.run("UPDATE moderation.cases SET weight = 10000 WHERE thing_id = $1", UUID(court.draft.id))
    course = await new_course(court.draft.school, title="Two")
    new = {"kind": "course", "thing_id": course["id"], "clause_id": HARASSMENT}
    done(await court.author.post("/v1/moderation-reports", new), 201)

    first = done(await court.first.get("/v1/moderation-cases", params={"limit": 1}))
    rest = done(await court.first.get("/v1/moderation-cases", params={"limit": 1, "cursor": first["next_cursor"]}))

    assert [each["items"][0]["thing_id"] for each in (first, rest)] == [course["id"], court.draft.id]
    assert rest["next_cursor"] is None
    await hub.settle()


async def test_a_person_reports_a_thing_once_and_is_told_the_answer(hub: Hub, court: Court) -> None:
    reporter = await hub.person("reporter")
    report = await court.report(reporter)
    again = {"kind": "course", "thing_id": court.draft.id, "clause_id": SPAM}

    twice = problem(await reporter.post("/v1/moderation-reports", again), 409, "already-reported")
    await court.decide("remove")
    answered = done(await reporter.get(f"/v1/moderation-reports/{report['id']}"))

    assert twice["report_id"] == report["id"]
    assert (answered["state"], answered["answered_at"] is not None) == ("acted", True)
    notices = done(await reporter.get("/v1/notifications"))["items"]
    assert [(each["title"], each["body"]) for each in notices] == [
        ("Your report was looked at", "Something was done about it.")
    ]
    problem(await court.second.get(f"/v1/moderation-reports/{report['id']}"), 404, "report-not-found")


async def test_reports_name_only_what_one_may_see(hub: Hub, draft: Draft) -> None:
    eve = await hub.person("eve")
    new = {"kind": "course", "thing_id": draft.id, "clause_id": HARASSMENT}

    hidden = problem(await eve.post("/v1/moderation-reports", new), 422, "thing-unknown")
    nothing = problem(await eve.post("/v1/moderation-reports", {**new, "thing_id": str(new_id())}), 422)

    assert hidden["errors"] == nothing["errors"]
    problem(await eve.post("/v1/moderation-reports", {**new, "kind": "planet"}), 422, "thing-unknown")
    problem(await eve.post("/v1/moderation-reports", {**new, "clause_id": str(new_id())}), 422, "thing-unknown")
    person = {"kind": "user", "thing_id": str(draft.owner.id), "clause_id": HARASSMENT}
    there = done(await eve.post("/v1/moderation-reports", person), 201)
    nowhere = done(await eve.post("/v1/moderation-reports", {**person, "thing_id": str(new_id())}), 201)
    assert there["state"] == nowhere["state"] == "open"
    problem(
        await draft.owner.post("/v1/moderation-reports", {**new, "clause_id": str(new_id())}), 422, "clause-unknown"
    )
    problem(await hub.guest.post("/v1/moderation-reports", person), 401)


async def test_two_moderators_have_one_lease(hub: Hub, court: Court) -> None:
    await court.report()
    path = f"/v1/moderation-cases/{await court.case_id()}"

    answers = await hub.at_once(court.first.post(f"{path}/lease"), court.second.post(f"{path}/lease"))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    winner, loser = (court.first, court.second) if answers[0].status_code == 200 else (court.second, court.first)
    assert problem(await loser.post(f"{path}/lease"), 409, "case-leased")["leased_until"]
    new = {"case_id": path[-36:], "actions": [], "clause_id": HARASSMENT, "facts": "Nothing."}
    problem(await loser.post("/v1/moderation-decisions", new), 409, "lease-needed")
    done(await winner.post(f"{path}/lease"))
    done(await loser.post(f"{path}/release"))
    assert done(await winner.get(path))["leased_by"] == str(winner.id)
    async with read() as db:
        await db.run("UPDATE moderation.cases SET leased_until = now() WHERE id = $1", UUID(path[-36:]))
    problem(await winner.post("/v1/moderation-decisions", new), 409, "lease-needed")
    done(await loser.post(f"{path}/lease"))
    done(await loser.post("/v1/moderation-decisions", new), 201)
    problem(await winner.post(f"{path}/lease"), 409, "case-decided")


async def test_two_decisions_at_once_leave_one(hub: Hub, court: Court) -> None:
    await court.report()
    case_id = await court.case_id()
    done(await court.first.post(f"/v1/moderation-cases/{case_id}/lease"))
    new = {"case_id": case_id, "actions": ["lock"], "clause_id": HARASSMENT, "facts": "It insults."}

    answers = await hub.at_once(*(court.first.post("/v1/moderation-decisions", new) for _ in range(3)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    await hub.settle()


async def test_content_edited_after_a_report_is_shown_twice(hub: Hub, court: Court) -> None:
    await court.report()
    course = await court.author.get(court.draft.path)
    patch = {"summary": "Kind words."}
    done(await court.author.patch(court.draft.path, patch, headers={"If-Match": course.headers["ETag"]}))

    file = done(await court.first.get(f"/v1/moderation-cases/{await court.case_id()}"))

    assert file["edited"]
    assert file["contents"][0]["texts"]["/summary"] == "Letters."
    assert file["present"]["/summary"] == "Kind words."
    assert file["present"]["/published/summary"] == "Letters."


async def test_only_what_is_new_reopens_a_case(hub: Hub, court: Court) -> None:
    await court.report()
    await court.decide()

    late = await court.report()
    assert (late["state"], late["answered_at"] is not None) == ("kept", True)
    assert done(await court.first.get("/v1/moderation-cases"))["items"] == []
    course = await court.author.get(court.draft.path)
    patch = {"summary": "Now it is worse."}
    done(await court.author.patch(court.draft.path, patch, headers={"If-Match": course.headers["ETag"]}))
    await court.report()

    [case] = done(await court.first.get("/v1/moderation-cases"))["items"]
    assert (case["state"], case["reports"]) == ("reopened", 1)
    await hub.settle()


async def test_nobody_judges_their_own_matter(hub: Hub, court: Court) -> None:
    await court.report(court.first)
    path = f"/v1/moderation-cases/{await court.case_id()}/lease"

    problem(await court.author.post(path), 403, "own-matter")
    problem(await court.first.post(path), 403, "own-matter")
    done(await court.second.post(path))


async def test_moderators_of_another_school_see_nothing(hub: Hub, court: Court) -> None:
    report = await court.report()
    decision = await court.decide("lock")
    appeal_id = await court.appeal(decision["id"])
    rival: Person = (await hub.school()).owner
    case_id = await court.case_id()

    lists = await asyncio.gather(
        *(
            rival.get(path, params={"organization_id": court.org_id})
            for path in ("/v1/moderation-cases", "/v1/moderation-decisions", "/v1/appeals", "/v1/moderation-rules")
        )
    )

    assert [done(each)["items"] for each in lists] == [[], [], [], []]
    for path in (
        f"/v1/moderation-cases/{case_id}",
        f"/v1/moderation-cases/{case_id}/reports",
        f"/v1/moderation-decisions/{decision['id']}",
        f"/v1/moderation-reports/{report['id']}",
        f"/v1/appeals/{appeal_id}",
        f"/v1/appeals/{appeal_id}/messages",
    ):
        problem(await rival.get(path), 404)
    for path in (f"/v1/moderation-cases/{case_id}/lease", f"/v1/appeals/{appeal_id}/hear"):
        problem(await rival.post(path), 404)
    await hub.settle()
