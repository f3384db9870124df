"""Projections: each can be filled from a snapshot, ends there as it would have by events, and ignores old news."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from actors import resync
from cluster import events
from cluster.base.ids import OrgId
from cluster.base.registry import load
from cluster.base.services import table
from cluster.data import Connection, read
from cluster.data.postgres import pool
from cluster.events import Snapshots, snapshots
from cluster.events.subscriptions import delete_subscriptions, subscriptions
from cluster.people.calls import answerers
from tests.api.learning.course.conftest import Draft, draft, published, school
from tests.harness import Hub, done
from tests.platform.projections import copied, forget, old_news

__all__ = ["draft", "published", "school"]


async def projected(org_id: OrgId) -> dict[str, list[tuple[Any, ...]]]:
    async with read() as db:
        return {
            name: sorted(tuple(map(str, row)) for row in await db.rows(sql, org_id)) for name, sql in copied().items()
        }


@pytest.fixture
async def life(hub: Hub, published: Draft) -> Draft:
    """A school whose courses and learners have been through everything that a projection shows."""
    owner, run_id = published.owner, published.course["default_run_id"]
    run = await owner.get(f"/v1/runs/{run_id}")
    pin = {"pinned_revision": 1, "starts_at": "2031-05-04T00:00:00Z"}
    done(await owner.patch(f"/v1/runs/{run_id}", pin, headers={"If-Match": run.headers["ETag"]}))
    for fate in ("stays", "leaves", "is kept out"):
        learner = await hub.person("learner")
        enrolled = done(await learner.post("/v1/enrollments", {"course_id": published.id}), 201)
        if fate == "leaves":
            done(await learner.post(f"/v1/enrollments/{enrolled['id']}/cancel"))
        elif fate == "is kept out":
            done(await owner.post(f"/v1/enrollments/{enrolled['id']}/suspend"))
    body = {"organization_id": str(published.school.org_id), "title": "Old", "summary": "Gone.", "language": "en"}
    archived = done(await owner.post("/v1/courses", body), 201)
    done(await owner.post(f"/v1/courses/{archived['id']}/archive"))
    await hub.settle()
    return published


def test_every_projected_type_is_in_the_snapshot_of_its_source(hub: Hub) -> None:
    load(table(), "handlers", "snapshots")

    wanted = {each.type for each in subscriptions(table())}

    assert "course.changed" in wanted
    assert wanted - snapshots.told_types() == set()
    for type in wanted:
        declared = events.event_type(type)
        assert declared is not None
        assert declared.service in answerers(Snapshots)


def test_every_projection_is_declared(hub: Hub) -> None:
    load(table(), "handlers", "snapshots")

    projecting = {each.consumer for each in subscriptions(table())}
    wanted = {each.type for each in subscriptions(table())}

    assert {name.split()[0] for name in copied()} == projecting, "say in tests/api/.../projections.py what is copied"
    assert {events.type_of(event).name for event in old_news()} == wanted, "OLD_NEWS in projections.py of the source"


async def test_a_service_that_joins_late_ends_equal_to_one_from_the_start(
    hub: Hub, life: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync, "PAGE", 2)
    org_id = life.school.org_id
    from_the_start = await projected(org_id)
    async with pool().acquire() as raw:
        for sql in forget():
            await Connection(raw).run(sql, org_id)
        for service in table():
            await delete_subscriptions(Connection(raw), service, None)
    forgotten = await projected(org_id)

    added = await resync.subscribe(tuple(table()))
    await hub.settle()

    assert {each.consumer for each in added} == {name.split()[0] for name in copied()}
    assert all(from_the_start.values())
    assert forgotten != from_the_start
    assert await projected(org_id) == from_the_start


async def test_old_news_changes_no_projection(hub: Hub, life: Draft) -> None:
    """The news says something else than the present state, so that a projection that believes it is found out."""
    org_id = life.school.org_id
    before = await projected(org_id)
    told: Counter[type] = Counter()

    for event_class, otherwise in old_news().items():
        async for present in _present(event_class, org_id):
            told[event_class] += 1
            await hub.old_news(otherwise(present), 1)

    assert told.keys() == old_news().keys()
    assert await projected(org_id) == before


async def _present(event_class: type, org_id: OrgId) -> AsyncIterator[object]:
    """Yield the state events of this class that the snapshot tells of an organization."""
    kind, after = events.type_of(event_class), UUID(int=0)
    while True:
        page = await snapshots.page(kind.name, after, 100)
        for envelope in page.envelopes:
            if envelope.org_id == org_id:
                yield kind.decode(envelope)
        if page.next is None:
            return
        after = page.next
