"""What is graded in a run, and who may say so."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from api.learning.progress.contract import ProgressCalls, PutLineItem, RunUnknown, ScoreMaximumInvalid
from api.learning.progress.line_item import rules
from cluster.base.ids import new_id
from cluster.people.calls import client
from tests.api.learning.course.conftest import Draft
from tests.api.learning.progress.conftest import learner_in
from tests.harness import Hub, Person, done, problem


def _new(draft: Draft, **fields: Any) -> dict[str, Any]:
    return {"run_id": draft.course["default_run_id"], "label": "Essay", "score_maximum": 20, **fields}


async def _make(draft: Draft, **fields: Any) -> dict[str, Any]:
    return done(await draft.owner.post("/v1/line-items", _new(draft, **fields)), 201)


def _put(draft: Draft, **fields: Any) -> PutLineItem:
    wanted: dict[str, Any] = {
        "course_id": UUID(draft.id),
        "run_id": UUID(draft.course["default_run_id"]),
        "service": "assessment",
        "resource_id": new_id(),
        "label": "Quiz",
        "score_maximum": Decimal(10),
    }
    return PutLineItem(**wanted | fields)


async def _assistant(hub: Hub, draft: Draft) -> Person:
    assistant = await hub.person("assistant")
    done(await draft.owner.put(f"{draft.path}/staff/{assistant.id}", {"role": "assistant"}))
    await hub.settle()
    await hub.broadcasts_arrived()
    return assistant


async def test_staff_make_change_list_and_delete_line_items(hub: Hub, draft: Draft) -> None:
    made = await _make(draft, score_maximum=12.34565, due_at="2030-01-01T12:00:00Z")
    second = await _make(draft, label="Talk")
    path, run_id = f"/v1/line-items/{made['id']}", made["run_id"]

    changed = done(await draft.owner.patch(path, {"released": True, "due_at": None}, headers={"If-Match": '"1"'}))
    listed = await draft.owner.all("/v1/line-items", run_id=run_id, limit=1)
    problem(await draft.owner.patch(path, {"label": "x"}, headers={"If-Match": '"1"'}), 412, "stale")
    problem(await draft.owner.patch(path, {"label": "x"}), 428)
    assert (await draft.owner.delete(path)).status_code == 204

    assert (made["score_maximum"], made["released"], made["service"]) == (12.3457, False, None)
    assert (changed["released"], changed["due_at"], changed["label"]) == (True, None, "Essay")
    assert listed == [changed, second]
    problem(await draft.owner.get(path), 404, "line-item-not-found")
    told = await hub.events("line_item.created", "line_item.updated", "line_item.deleted")
    assert [(each.type, each.version) for each in told if each.subject == made["id"]] == [
        ("line_item.created", 1),
        ("line_item.updated", 2),
        ("line_item.deleted", 3),
    ]
    await hub.settle()


async def test_line_items_are_for_staff_and_changed_by_teachers_alone(hub: Hub, published: Draft) -> None:
    viewer, assistant = await learner_in(hub, published.course["default_run_id"]), await _assistant(hub, published)
    rival = (await hub.school()).owner
    made = await _make(published)
    path = f"/v1/line-items/{made['id']}"

    for outsider in (viewer.person, rival):
        problem(await outsider.get(path), 404, "line-item-not-found")
        problem(await outsider.delete(path), 404, "line-item-not-found")
        problem(await outsider.post("/v1/line-items", _new(published)), 404, "run-unknown")
        assert await outsider.all("/v1/line-items", run_id=made["run_id"]) == []
    done(await assistant.get(path))
    problem(await assistant.delete(path), 403)
    problem(await assistant.post("/v1/line-items", _new(published)), 403)
    problem(await hub.guest.get(path), 401)
    problem(await published.owner.post("/v1/line-items", _new(published, run_id=str(new_id()))), 404, "run-unknown")


@pytest.mark.parametrize("maximum", [0, -1, 0.00001, 10_000_000, "NaN", "Infinity", "x", None])
async def test_a_line_item_rejects_a_maximum_that_is_none(hub: Hub, draft: Draft, maximum: object) -> None:
    refused = await draft.owner.post("/v1/line-items", _new(draft, score_maximum=maximum))

    assert [each["pointer"] for each in problem(refused, 422)["errors"]] == ["/score_maximum"]


async def test_a_run_has_so_many_line_items_at_most(hub: Hub, draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST_LINE_ITEMS", 2)

    answers = await hub.at_once(*(draft.owner.post("/v1/line-items", _new(draft)) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]


async def test_a_service_puts_one_line_item_however_often(hub: Hub, draft: Draft) -> None:
    wanted = _put(draft)
    calls = client(ProgressCalls)

    made = await asyncio.gather(*(calls.put_line_item(wanted) for _ in range(5)))
    same = await calls.put_line_item(wanted)
    later = await calls.put_line_item(
        _put(draft, resource_id=wanted.resource_id, label="Exam", score_maximum=Decimal("7.5"), released=True)
    )

    assert len({each.id for each in made}) == 1
    assert (same.version, later.version, later.id) == (1, 2, same.id)
    assert (later.label, later.score_maximum, later.released) == ("Exam", Decimal("7.5"), False)
    listed = await draft.owner.all("/v1/line-items", run_id=draft.course["default_run_id"])
    assert [(each["service"], each["resource_id"]) for each in listed] == [("assessment", str(wanted.resource_id))]
    [told] = [each for each in await hub.events("line_item.created") if each.subject == str(same.id)]
    assert (told.actor.kind, told.payload["run_id"]) == ("platform", draft.course["default_run_id"])
    await hub.settle()


async def test_a_service_puts_nothing_where_no_run_is(hub: Hub, draft: Draft) -> None:
    calls = client(ProgressCalls)

    with pytest.raises(RunUnknown):
        await calls.put_line_item(_put(draft, run_id=new_id()))
    with pytest.raises(ScoreMaximumInvalid):
        await calls.put_line_item(_put(draft, score_maximum=Decimal("NaN")))


async def test_a_deleted_line_item_leaves_room_for_its_thing_again(hub: Hub, draft: Draft) -> None:
    wanted = _put(draft)
    first = await client(ProgressCalls).put_line_item(wanted)
    assert (await draft.owner.delete(f"/v1/line-items/{first.id}")).status_code == 204

    second = await client(ProgressCalls).put_line_item(wanted)

    assert second.id != first.id
    await hub.settle()
