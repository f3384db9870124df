"""Those who judge are shown so much of what may harm them in a day; then what is harmless."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from api.platform.moderation.exposure.rules import break_until, end_of_day, severest
from cluster.data import read
from tests.api.platform.moderation.conftest import (
    HARASSMENT,
    SPAM,
    Court,
    court,
    draft,
    new_course,
    published,
    school,
)
from tests.api.platform.moderation.test_sealing import DANGER, trusted
from tests.harness import Hub, Person, done, problem
from tests.org_settings import change, settings_of

__all__ = ["court", "draft", "published", "school"]
EXPOSURE = "/v1/moderation-cases/-/exposure"
NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)


async def cases(hub: Hub, court: Court, *clauses: str) -> list[str]:
    """Have courses reported, each by a clause, and return their cases."""
    found: list[str] = []
    for clause_id in clauses:
        course = await new_course(court.draft.school)
        new = {"kind": "course", "thing_id": course["id"], "clause_id": clause_id}
        done(await court.author.post("/v1/moderation-reports", new), 201)
        async with read() as db:
            case_id = await db.value("SELECT id FROM moderation.cases WHERE thing_id = $1", UUID(course["id"]))
        found.append(str(case_id))
    return found


async def budget(court: Court, points: int) -> None:
    done(await change(court.author, settings_of(court.org_id), {"moderation.exposure_points": points}))


async def take(person: Person, case_id: str) -> Any:
    return await person.post(f"/v1/moderation-cases/{case_id}/lease")


async def queue(person: Person, court: Court) -> set[str]:
    params = {"organization_id": court.org_id}
    return {each["id"] for each in done(await person.get("/v1/moderation-cases", params=params))["items"]}


async def exposure(person: Person, court: Court) -> dict[str, Any]:
    return done(await person.get(EXPOSURE, params={"organization_id": court.org_id}))


def test_what_is_left_decides_what_is_offered() -> None:
    assert [severest(left) for left in (-3, 0, 1, 2, 3, 6, 9, 10, 99)] == [1, 1, 2, 2, 3, 4, 4, 5, 5]
    assert end_of_day(NOON) == datetime(2031, 5, 5, tzinfo=UTC)


def test_a_break_is_asked_for_after_a_time_without_a_pause() -> None:
    busy = [NOON + timedelta(minutes=minutes) for minutes in range(0, 56, 5)]
    paused = [NOON, *(NOON + timedelta(minutes=minutes) for minutes in (30, 38, 46, 54))]
    now, after = NOON + timedelta(minutes=56), timedelta(minutes=50)

    assert break_until(busy, now, after) == NOON + timedelta(minutes=65)
    assert break_until(busy, NOON + timedelta(minutes=65), after) is None
    assert break_until(paused, now, after) is None
    assert break_until([], now, after) is None


async def test_a_used_up_budget_leaves_what_is_harmless(hub: Hub, court: Court) -> None:
    first, second, harmless = await cases(hub, court, HARASSMENT, HARASSMENT, SPAM)
    await budget(court, 4)
    before = await exposure(court.first, court)

    done(await take(court.first, first))
    refused = problem(await take(court.first, second), 409, "exposure-used-up")
    done(await take(court.first, harmless))

    after = await exposure(court.first, court)
    assert (before["used"], before["severest"], before["break_until"]) == (0, 3, None)
    assert (after["budget"], after["used"], after["severest"]) == (4, 3, 2)
    assert datetime.fromisoformat(refused["until"]) == datetime.fromisoformat(after["until_at"])
    assert await queue(court.first, court) == {first, harmless}
    assert await queue(court.second, court) == {first, second, harmless}
    async with read() as db:
        leased = await db.value("SELECT leased_by FROM moderation.cases WHERE id = $1", UUID(second))
    assert leased is None
    await hub.settle()


async def test_a_case_that_is_taken_again_counts_once(hub: Hub, court: Court) -> None:
    [case_id] = await cases(hub, court, HARASSMENT)
    await budget(court, 3)

    for _ in range(2):
        done(await take(court.first, case_id))
        done(await court.first.post(f"/v1/moderation-cases/{case_id}/release"))
    done(await take(court.first, case_id))

    assert (await exposure(court.first, court))["used"] == 3
    await hub.settle()


async def test_cases_that_are_taken_at_once_do_not_pass_the_budget(hub: Hub, court: Court) -> None:
    ids = await cases(hub, court, HARASSMENT, HARASSMENT, HARASSMENT)
    await budget(court, 6)

    answers = await hub.at_once(*(take(court.first, case_id) for case_id in ids))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 409]
    assert (await exposure(court.first, court))["used"] == 6
    await hub.settle()


async def test_sealed_cases_and_second_reviews_count_too(hub: Hub, court: Court) -> None:
    await court.report(clause_id=HARASSMENT)
    decision = await court.decide("lock")
    async with read() as db:
        await db.run("UPDATE moderation.decisions SET wants_review = true WHERE id = $1", UUID(decision["id"]))
    reviewer, review = court.second, "/v1/moderation-decisions/-/second-review"
    done(await reviewer.get(review))
    reviewed = (await exposure(reviewer, court))["used"]
    done(await reviewer.get(review))
    judge = await trusted(hub, court)
    [case_id] = await cases(hub, court, DANGER)

    done(await take(judge, case_id))

    assert (reviewed, (await exposure(reviewer, court))["used"]) == (3, 3)
    assert (await exposure(judge, court))["used"] == 10
    await hub.settle()


async def test_a_second_review_waits_for_a_day_with_room(hub: Hub, court: Court) -> None:
    await court.report()
    decision = await court.decide("lock")
    async with read() as db:
        await db.run("UPDATE moderation.decisions SET wants_review = true WHERE id = $1", UUID(decision["id"]))
    await budget(court, 2)

    refused = await court.second.get("/v1/moderation-decisions/-/second-review")

    problem(refused, 409, "exposure-used-up")
    await hub.settle()


async def test_exposures_are_exported_forgotten_and_purged(hub: Hub, court: Court) -> None:
    [case_id] = await cases(hub, court, HARASSMENT)
    for person in (court.first, court.second):
        done(await take(person, case_id))
        done(await person.post(f"/v1/moderation-cases/{case_id}/release"))
    exported = await hub.exported(court.first.id, "moderation")
    async with read() as db:
        await db.run("UPDATE moderation.exposures SET day = '2001-01-01' WHERE user_id = $1", court.second.id)

    await hub.erased(court.first.id, "moderation")
    await hub.run_cron("moderation.purge")

    assert [row["points"] for row in exported.rows["moderation.exposures"]] == [3]
    async with read() as db:
        people = [court.first.id, court.second.id]
        left = await db.value("SELECT count(*) FROM moderation.exposures WHERE user_id = ANY($1::uuid[])", people)
    assert left == 0
    await hub.settle()
