"""What names a crime or danger to life is seen by few, and the audit trail says by whom."""

from typing import Any
from uuid import UUID

import pytest

from api.platform.moderation.case import logic
from cluster.base.ids import OrgId
from cluster.data import read
from cluster.people.calls import client
from cluster.people.notices import NoticeSource
from tests.api.platform.moderation.conftest import HARASSMENT, Court, court, draft, moderator, published, school
from tests.harness import Hub, Person, done, problem

__all__ = ["court", "draft", "published", "school"]
ILLEGAL = "01930000-0000-7000-8000-000000000001"
DANGER = "01930000-0000-7000-8000-000000000004"


async def trusted(hub: Hub, court: Court) -> Person:
    """Let somebody new judge sealed cases."""
    person = await hub.person("trusted")
    grant = {
        "user_id": str(person.id),
        "role": "sealed_moderator",
        "scope": "organization",
        "organization_id": court.org_id,
    }
    done(await court.author.post("/v1/grants", grant), 201)
    return person


async def case_id_of(court: Court) -> str:
    async with read() as db:
        return str(await db.value("SELECT id FROM moderation.cases WHERE thing_id = $1", UUID(court.draft.id)))


async def readings(hub: Hub, case_id: str) -> list[tuple[str, str]]:
    """Return who was shown what of a case, as it waits to be told."""
    told = await hub.events("moderation.sealed_case_read")
    return [(each.payload["read_by"], each.payload["part"]) for each in told if each.subject == case_id]


async def queue(person: Person, court: Court) -> list[str]:
    params = {"organization_id": court.org_id, "decided": True}
    return [each["id"] for each in done(await person.get("/v1/moderation-cases", params=params))["items"]]


async def test_a_report_of_danger_is_hidden_from_other_moderators(hub: Hub, court: Court) -> None:
    judge = await trusted(hub, court)
    await court.report(clause_id=DANGER)
    case_id = await case_id_of(court)
    path = f"/v1/moderation-cases/{case_id}"

    listed = [await queue(person, court) for person in (court.first, judge)]

    assert listed == [[], [case_id]]
    for request in (court.first.get(path), court.first.get(f"{path}/reports"), court.first.post(f"{path}/lease")):
        problem(await request, 404, "case-not-found")
    problem(await court.first.post(f"{path}/release"), 404, "case-not-found")
    decision: Any = {"case_id": case_id, "actions": [], "clause_id": DANGER, "facts": "None."}
    problem(await court.first.post("/v1/moderation-decisions", decision), 404, "case-not-found")
    assert await readings(hub, case_id) == []
    await hub.settle()


async def test_each_reading_of_a_sealed_case_is_told(hub: Hub, court: Court) -> None:
    judge = await trusted(hub, court)
    await court.report(clause_id=ILLEGAL)
    case_id = await case_id_of(court)
    path = f"/v1/moderation-cases/{case_id}"

    assert done(await judge.get(path))["sealed"] is True
    done(await judge.get(f"{path}/reports"))
    done(await judge.post(f"{path}/lease"))
    done(await judge.post(f"{path}/release"))

    by = str(judge.id)
    assert await readings(hub, case_id) == [(by, "file"), (by, "reports"), (by, "file"), (by, "file")]
    await hub.settle()
    trail = done(await court.author.get("/v1/audit-entries", params={"organization_id": court.org_id, "limit": 100}))
    assert [each["action"] for each in trail["items"]].count("moderation.sealed_case_read") == 4


async def test_a_case_is_sealed_by_a_later_report_and_stays_so(hub: Hub, court: Court) -> None:
    await court.report(clause_id=HARASSMENT)
    before = await queue(court.first, court)
    done(await court.first.post(f"/v1/moderation-cases/{before[0]}/lease"))

    await court.report(await hub.person("witness"), clause_id=DANGER)
    await court.report(await hub.person("another"), clause_id=HARASSMENT)

    told = [each.payload for each in await hub.events("moderation.case_opened") if each.subject == before[0]]
    assert [each["sealed"] for each in told] == [False, True]
    assert (len(before), await queue(court.first, court)) == (1, [])
    decision: Any = {"case_id": before[0], "actions": [], "clause_id": HARASSMENT, "facts": "None."}
    problem(await court.first.post("/v1/moderation-decisions", decision), 404, "case-not-found")
    await hub.settle()


async def test_a_case_that_is_sealed_while_it_is_taken_is_not_shown(
    hub: Hub, court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    await court.report(clause_id=HARASSMENT)
    case_id, budget_of = await case_id_of(court), logic.budget_of

    async def seal(org_id: OrgId | None) -> Any:
        await court.report(await hub.person("witness"), clause_id=DANGER)
        return await budget_of(org_id)

    monkeypatch.setattr(logic, "budget_of", seal)

    problem(await court.first.post(f"/v1/moderation-cases/{case_id}/lease"), 404, "case-not-found")

    assert await readings(hub, case_id) == []
    await hub.settle()


async def test_decisions_of_sealed_cases_are_shown_to_author_and_few(hub: Hub, court: Court) -> None:
    judge = await trusted(hub, court)
    writer = await moderator(hub, court.draft.school, "writer")
    await court.report(clause_id=DANGER)
    case_id = await case_id_of(court)
    done(await judge.post(f"/v1/moderation-cases/{case_id}/lease"))
    new = {"case_id": case_id, "actions": ["lock"], "clause_id": DANGER, "facts": "It names an address."}
    decision_id = done(await judge.post("/v1/moderation-decisions", new), 201)["id"]
    async with read() as db:
        # As if somebody without sight of sealed cases had written the thing.
        org_id = UUID(court.org_id)
        await db.run("UPDATE moderation.cases SET user_id = $1 WHERE org_id = $2", writer.id, org_id)
        await db.run("UPDATE moderation.decisions SET user_id = $1 WHERE org_id = $2", writer.id, org_id)
        await db.run("UPDATE moderation.decisions SET wants_review = true WHERE id = $1", UUID(decision_id))
    appeal = {"decision_id": decision_id, "text": "It is my own."}
    appeal_id = done(await writer.post("/v1/appeals", appeal), 201)["id"]
    path, seen = f"/v1/moderation-decisions/{decision_id}", {"organization_id": court.org_id}
    filed = [each for each in await hub.events("moderation.appeal_filed") if each.subject == appeal_id]
    notices = client(NoticeSource, of="moderation")
    told = await notices.recipients("moderation.appeal_filed", filed[0].payload, None, 10)

    assert (filed[0].payload["sealed"], told) == (True, [judge.id])
    problem(await court.first.get(path), 404, "decision-not-found")
    problem(await court.first.get(f"/v1/appeals/{appeal_id}"), 404, "appeal-not-found")
    problem(await court.first.post(f"/v1/appeals/{appeal_id}/hear"), 404, "appeal-not-found")
    problem(await court.first.get("/v1/moderation-decisions/-/second-review"), 404, "nothing-to-review")
    problem(await court.first.post(f"{path}/second-review", {"violates": True}), 404, "decision-not-found")
    for resource in ("moderation-decisions", "appeals"):
        counts = [
            len(done(await person.get(f"/v1/{resource}", params=seen))["items"])
            for person in (court.first, writer, court.author)
        ]
        assert counts == [0, 1, 1]
    assert done(await writer.get(path))["facts"] == "It names an address."
    done(await court.author.get("/v1/moderation-decisions/-/second-review"))
    done(await court.author.get(path))
    by = str(court.author.id)
    assert (await readings(hub, case_id))[-2:] == [(by, "second_review"), (by, "decision")]
    await hub.settle()


async def told_of(case_id: str, court: Court) -> list[UUID]:
    """Return who is told that a sealed case waits."""
    event = {"case_id": case_id, "org_id": court.org_id, "sealed": True}
    return [*await client(NoticeSource, of="moderation").recipients("moderation.case_opened", event, None, 10)]


async def test_author_who_judges_sealed_cases_sees_not_their_own(hub: Hub, court: Court) -> None:
    judge = await trusted(hub, court)
    await court.report(clause_id=DANGER)
    case_id = await case_id_of(court)
    path = f"/v1/moderation-cases/{case_id}"
    done(await judge.post(f"{path}/lease"))
    new: Any = {"case_id": case_id, "actions": [], "clause_id": DANGER, "facts": "None."}
    done(await judge.post("/v1/moderation-decisions", new), 201)
    told = await told_of(case_id, court)
    async with read() as db:
        # As if the judge had written the thing.
        await db.run("UPDATE moderation.cases SET user_id = $1, state = 'open' WHERE id = $2", judge.id, UUID(case_id))

    for request in (judge.get(path), judge.get(f"{path}/reports"), judge.post(f"{path}/lease")):
        problem(await request, 404, "case-not-found")

    waiting = done(await judge.get("/v1/moderation-cases", params={"organization_id": court.org_id}))["items"]
    assert (waiting, await queue(judge, court), await queue(court.author, court)) == ([], [], [case_id])
    assert (told, await told_of(case_id, court)) == ([judge.id], [])
    await hub.settle()


async def test_outsiders_see_no_sealed_case(hub: Hub, court: Court) -> None:
    await court.report(clause_id=DANGER)
    case_id = await case_id_of(court)
    rival = (await hub.school()).owner

    problem(await rival.get(f"/v1/moderation-cases/{case_id}"), 404, "case-not-found")

    assert await queue(rival, court) == []
    await hub.settle()
