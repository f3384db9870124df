"""Titles of runs are judged: refused, hidden from all but those who manage runs, and shown again."""

from typing import Any
from uuid import UUID

from api.platform.moderation.contract import Decided
from cluster.base.ids import new_id
from cluster.data import read
from tests.api.learning.course.conftest import Draft, draft, published, school
from tests.api.platform.moderation.conftest import HARASSMENT, moderator, new_rule
from tests.harness import Hub, Person, done, problem

__all__ = ["draft", "published", "school"]
RUDE = "For numbskulls"


async def new_run(draft: Draft, title: str = RUDE) -> dict[str, Any]:
    return done(await draft.owner.post("/v1/runs", {"course_id": draft.id, "title": title}), 201)


async def removed(hub: Hub, draft: Draft, run_id: str) -> dict[str, Any]:
    """Have the title of a run reported and removed; return the decision."""
    reporter, judge = await hub.person("reporter"), await moderator(hub, draft.school)
    report = {"kind": "run", "thing_id": run_id, "clause_id": HARASSMENT}
    done(await reporter.post("/v1/moderation-reports", report), 201)
    params = {"organization_id": str(draft.school.org_id)}
    [case] = done(await judge.get("/v1/moderation-cases", params=params))["items"]
    done(await judge.post(f"/v1/moderation-cases/{case['id']}/lease"))
    new = {"case_id": case["id"], "actions": ["remove"], "clause_id": HARASSMENT, "facts": "It insults learners."}
    decision = done(await judge.post("/v1/moderation-decisions", new), 201)
    await hub.settle()
    return decision


async def titles(hub: Hub, person: Person, draft: Draft) -> set[str]:
    """Return the titles of the further run in a list and in the catalogue."""
    listed = done(await person.get("/v1/runs", params={"course_id": draft.id}))["items"]
    shown = done(await person.get(f"/v1/catalog/{draft.id}"))["runs"]
    return {each["title"] for each in (*listed, *shown) if not each["is_default"]}


async def test_a_run_with_a_forbidden_title_is_refused(hub: Hub, published: Draft) -> None:
    run = await new_run(published, "Spring")
    await new_rule(published.school, "numbskulls")
    etag = {"If-Match": (await published.owner.get(f"/v1/runs/{run['id']}")).headers["etag"]}

    created = await published.owner.post("/v1/runs", {"course_id": published.id, "title": RUDE})
    changed = await published.owner.patch(f"/v1/runs/{run['id']}", {"title": RUDE}, headers=etag)

    for refused in (created, changed):
        assert problem(refused, 422, "text-refused")["errors"][0]["pointer"] == "/title"
    done(await published.owner.patch(f"/v1/runs/{run['id']}", {"seats": 3}, headers=etag))
    await hub.settle()


async def test_a_removed_title_is_shown_to_those_alone_who_manage_runs(hub: Hub, published: Draft) -> None:
    run = await new_run(published)
    await hub.settle()
    stranger = await hub.person("stranger")

    await removed(hub, published, run["id"])

    assert await titles(hub, stranger, published) == {"Run"}
    assert done(await stranger.get(f"/v1/runs/{run['id']}"))["title"] == "Run"
    assert done(await hub.guest.get(f"/v1/runs/{run['id']}"))["moderation_state"] == "removed"
    assert done(await published.owner.get(f"/v1/runs/{run['id']}"))["title"] == RUDE


async def test_a_removed_title_stays_while_dates_change(hub: Hub, published: Draft) -> None:
    run = await new_run(published)
    await hub.settle()
    await removed(hub, published, run["id"])
    path = f"/v1/runs/{run['id']}"
    etag = {"If-Match": (await published.owner.get(path)).headers["etag"]}

    renamed = await published.owner.patch(path, {"title": "Kind"}, headers=etag)
    changed = await published.owner.patch(path, {"title": RUDE, "seats": 3}, headers=etag)

    problem(renamed, 409, "run-moderated")
    assert (done(changed)["seats"], done(changed)["moderation_state"]) == (3, "removed")
    await hub.settle()


async def test_a_reversal_shows_a_title_again(hub: Hub, published: Draft) -> None:
    run = await new_run(published)
    await hub.settle()
    decision = await removed(hub, published, run["id"])
    appellate = await moderator(hub, published.school, "appellate")
    appeal = {"decision_id": decision["id"], "text": "It is the name of a book."}
    appeal_id = done(await published.owner.post("/v1/appeals", appeal), 201)["id"]
    done(await appellate.post(f"/v1/appeals/{appeal_id}/hear"))

    done(await appellate.post(f"/v1/appeals/{appeal_id}/answer", {"outcome": "reversed", "answer": "It is."}))
    await hub.settle()

    assert await titles(hub, appellate, published) == {RUDE}


async def test_a_late_decision_does_not_hide_a_reversed_title(hub: Hub, published: Draft) -> None:
    run = await new_run(published)
    await hub.settle()

    def news(*in_force: str) -> Decided:
        return Decided(
            case_id=new_id(),  # pyright: ignore[reportArgumentType]
            decision_id=new_id(),  # pyright: ignore[reportArgumentType]
            org_id=published.school.org_id,
            kind="run",
            thing_id=UUID(run["id"]),
            user_id=None,
            actions=("remove",),
            in_force=in_force,  # pyright: ignore[reportArgumentType]
        )

    await hub.old_news(news(), 4)
    await hub.old_news(news("remove"), 3)

    assert done(await hub.guest.get(f"/v1/runs/{run['id']}"))["title"] == RUDE


async def test_course_forgets_who_wrote_the_title_of_a_run(hub: Hub, published: Draft) -> None:
    run = await new_run(published)
    async with read() as db:
        by = "SELECT written_by FROM course.runs WHERE id = $1"
        before = await db.value(by, UUID(run["id"]))

    await hub.erased(published.owner.id, "course")

    async with read() as db:
        after = await db.value(by, UUID(run["id"]))
    assert (before, after) == (published.owner.id, UUID(int=0))
    await hub.settle()
