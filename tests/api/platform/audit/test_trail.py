import asyncio
import dataclasses
from contextvars import Context
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from api.platform.audit import logic
from api.platform.audit.rules import SealedEntry
from cluster.base.ids import new_id
from cluster.data import Connection, postgres, write
from cluster.data.postgres import pool
from cluster.events import event_types
from tests.api.learning.course.conftest import Draft, draft, published, school
from tests.harness import Hub, School, done, problem

__all__ = ["draft", "published", "school"]


async def _entries(school: School, **filters: str) -> list[dict[str, Any]]:
    params = {"organization_id": str(school.org_id), "limit": "100", **filters}
    return done(await school.owner.get("/v1/audit-entries", params=params))["items"]


async def test_every_change_is_in_the_trail_with_who_and_what(hub: Hub, published: Draft) -> None:
    entries = await _entries(published.school)
    actions = {entry["action"] for entry in entries}
    assert {"organization.created", "course.created", "block.created", "course.published"} <= actions
    (publication,) = await _entries(published.school, action="course.published")
    assert publication["actor"] == {
        "kind": "person",
        "id": str(published.owner.id),
        "acting_for": None,
        "service": None,
    }
    assert publication["target"] == {"type": "course", "id": published.id}
    assert publication["details"]["revision"] == 1
    by_owner = await _entries(published.school, actor_id=str(published.owner.id))
    assert {entry["id"] for entry in by_owner} <= {entry["id"] for entry in entries}


async def test_the_trail_is_for_those_who_answer_for_the_organization(hub: Hub, published: Draft) -> None:
    params = {"organization_id": str(published.school.org_id)}
    stranger = (await hub.school()).owner
    problem(await stranger.get("/v1/audit-entries", params=params), 404)
    problem(await hub.guest.get("/v1/audit-entries", params=params), 401)


async def test_the_chain_holds_and_a_change_is_found(hub: Hub, published: Draft) -> None:
    holding, broken = await logic.verify(lambda _: None)
    assert holding > 0
    assert [fault for fault in broken if fault.chain == published.school.org_id] == []
    admin = await _admin()
    try:
        await admin.execute("ALTER TABLE audit.entries DISABLE TRIGGER entries_append_only")
        await admin.execute(
            "UPDATE audit.entries SET action = 'course.deleted' WHERE chain = $1 AND seq = 3", published.school.org_id
        )
        _, broken = await logic.verify(lambda _: None)
        assert [fault.seq for fault in broken if fault.chain == published.school.org_id] == [3]
        await admin.execute("DELETE FROM audit.entries WHERE chain = $1 AND seq = 3", published.school.org_id)
        _, broken = await logic.verify(lambda _: None)
        assert [fault.seq for fault in broken if fault.chain == published.school.org_id] == [3]
    finally:
        await admin.execute("DELETE FROM audit.chains WHERE chain = $1", published.school.org_id)
        await admin.execute("DELETE FROM audit.entries WHERE chain = $1", published.school.org_id)
        await admin.execute("ALTER TABLE audit.entries ENABLE TRIGGER entries_append_only")
        await admin.close()


async def test_entries_are_never_changed_or_deleted(hub: Hub, published: Draft) -> None:
    async with pool().acquire() as raw:
        for sql in (
            "DELETE FROM audit.entries WHERE chain = $1",
            "UPDATE audit.entries SET action = '' WHERE chain = $1",
        ):
            with pytest.raises(Exception, match="never changed"):
                await Connection(raw).run(sql, published.school.org_id)


async def test_erasing_a_person_leaves_the_chain_whole(hub: Hub, published: Draft) -> None:
    async with pool().acquire() as raw:
        await Connection(raw).run("DELETE FROM audit.people WHERE user_id = $1", published.owner.id)
    (publication,) = await _entries(published.school, action="course.published")
    assert publication["actor"]["id"] is None
    _, broken = await logic.verify(lambda _: None)
    assert [fault for fault in broken if fault.chain == published.school.org_id] == []


@limits(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(order=st.permutations(range(6)), cuts=st.lists(st.integers(1, 5), max_size=3))
async def test_whatever_the_order_of_arrival_the_chain_is_dense_and_holds(
    hub: Hub, order: list[int], cuts: list[int]
) -> None:
    from api.platform.audit import rules, store
    from api.platform.audit.contract import shard_of
    from cluster.base.ids import OrgId
    from cluster.base.principal import PLATFORM
    from cluster.events import Actor, Envelope

    org_id = OrgId(new_id())
    envelopes = [
        Envelope(
            id=new_id(),
            type="thing.happened",
            source="course",
            subject=str(number),
            version=1,
            org_id=org_id,
            actor=Actor(kind="platform"),
            time=postgres.datetime.now(postgres.UTC),
            traceparent=None,
            schema_version=1,
            payload={"number": number, "ratio": 0.5, "deep": {"list": [1, None, True]}},
        )
        for number in range(6)
    ]
    starts = sorted({0, *cuts})
    for start, end in zip(starts, [*starts[1:], 6], strict=True):
        async with write(PLATFORM) as tx:
            await store.insert_entries(tx, [rules.entry_of(envelopes[order[i]], {}) for i in range(start, end)])
        await logic.seal(PLATFORM, shard_of(org_id))
    async with postgres.read() as db:
        sealed = await store.list_sealed(db, org_id, 0, 100)
    assert [entry.seq for entry in sealed] == [1, 2, 3, 4, 5, 6]
    _, broken = await logic.verify(lambda _: None)
    assert [fault for fault in broken if fault.chain == org_id] == []


async def test_verifying_while_the_trail_grows_finds_no_fault(
    hub: Hub, published: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.platform.audit import store

    listed, grown = store.list_sealed, False

    async def happen() -> None:
        done(await published.owner.post("/v1/invitations", {"organization_id": str(published.school.org_id)}), 201)
        await hub.settle()

    async def grow_first(db: Connection, chain: UUID, after: int, limit: int) -> list[SealedEntry]:
        nonlocal grown
        if chain == published.school.org_id and not grown:
            grown = True
            # Somebody else does it: in a context of their own, without the connection that is held here.
            await asyncio.create_task(happen(), context=Context())
        return await listed(db, chain, after, limit)

    monkeypatch.setattr(store, "list_sealed", grow_first)
    _, broken = await logic.verify(lambda _: None)
    assert [fault for fault in broken if fault.chain == published.school.org_id] == []


async def test_sealed_entries_of_a_chain_that_is_gone_are_found(hub: Hub, published: Draft) -> None:
    admin = await _admin()
    org_id = published.school.org_id
    end = await admin.fetchrow("DELETE FROM audit.chains WHERE chain = $1 RETURNING seq, hash", org_id)
    try:
        _, broken = await logic.verify(lambda _: None)
        assert [fault.seq for fault in broken if fault.chain == org_id] == [1]
    finally:
        await admin.execute("INSERT INTO audit.chains (chain, seq, hash) VALUES ($1, $2, $3)", org_id, *end)
        await admin.close()


async def test_a_person_is_found_as_a_target(hub: Hub, published: Draft) -> None:
    from api.platform.audit import rules, store
    from cluster.base.principal import PLATFORM
    from cluster.events import Actor, Envelope

    person, org_id = published.owner.id, published.school.org_id
    envelope = Envelope(
        id=new_id(),
        type="profile.flagged",
        source="moderation",
        subject=str(person),
        version=1,
        org_id=org_id,
        actor=Actor(kind="platform"),
        time=postgres.datetime.now(postgres.UTC),
        traceparent=None,
        schema_version=1,
        payload={"user_id": str(person)},
    )
    async with write(PLATFORM) as tx:
        pseudonyms = await store.upsert_pseudonyms(tx, {person})
        await store.insert_entries(tx, [rules.entry_of(envelope, pseudonyms)])
    (entry,) = await _entries(published.school, target_id=str(person))
    assert (entry["action"], entry["target"]["id"]) == ("profile.flagged", str(person))


def test_whoever_stands_in_an_event_is_hidden_in_the_trail() -> None:
    from api.platform.audit.rules import names_a_person
    from cluster.base.registry import load
    from cluster.base.services import table

    load(tuple(table()), "contract")
    fields = [(event.name, field) for event in event_types() for field in dataclasses.fields(event.python)]
    named = {(name, field.name) for name, field in fields if "UserId" in str(field.type)}
    assert len(named) > 15
    assert [each for each in sorted(named) if not names_a_person(each[1])] == []


async def _admin() -> Any:
    import asyncpg

    from cluster.base.settings import settings

    connection: Any = await asyncpg.connect(settings().postgres_url)
    return connection
