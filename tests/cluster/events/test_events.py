"""Events leave with the commit, in the order they were told, as CloudEvents."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from cluster import events
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.telemetry import parse_traceparent, span_from
from cluster.data import Transaction
from cluster.data.postgres import count_statements, pool, transaction
from cluster.events import Actor, Envelope, emit, kafka
from cluster.signals import outbox
from tests.kernel import committed, registries_kept, rows

pytestmark = pytest.mark.usefixtures("kernel", "empty", "declared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    thing_id: UUID
    org_id: OrgId | None
    revision: int = 7
    at: datetime | None = None


@pytest.fixture
def declared() -> Iterator[None]:
    with registries_kept():
        events.event("probe.renamed", subject="thing_id", schema_version=3, service="speaker")(Renamed)
        yield


async def outgoing() -> list[Envelope]:
    return [Envelope.decode(text) for (text,) in await rows("SELECT envelope FROM hub.outbox ORDER BY seq")]


async def test_an_event_is_a_cloud_event_that_says_who_and_what() -> None:
    org, ada, grace, thing = OrgId(new_id()), UserId(new_id()), UserId(new_id()), new_id()
    async with pool().acquire() as raw, transaction(raw, Principal(kind="person", id=ada, acting_for=grace)) as tx:
        with span_from(None, "request"):
            id = emit(tx, Renamed(thing_id=thing, org_id=org), version=4)
            now = tx.now
    [(topic, key, text)] = await rows("SELECT topic, key, envelope FROM hub.outbox")
    document = orjson.loads(text)
    assert (topic, key) == (kafka.topic("speaker"), str(thing))
    assert parse_traceparent(document.pop("traceparent")) is not None
    assert document == {
        "specversion": "1.0",
        "id": str(id),
        "source": "speaker",
        "type": "probe.renamed",
        "subject": str(thing),
        "time": now.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "orgid": str(org),
        "subjectversion": 4,
        "schemaversion": 3,
        "actorkind": "person",
        "actorid": str(ada),
        "actingfor": str(grace),
        "data": {"thing_id": str(thing), "org_id": str(org), "revision": 7, "at": None},
    }
    envelope = Envelope.decode(text)
    assert envelope.actor == Actor(kind="person", id=ada, acting_for=grace)
    assert envelope.time == now
    assert Envelope.decode(envelope.encode()) == envelope


async def test_a_released_event_is_still_read() -> None:
    golden = (
        '{"specversion":"1.0","id":"01a204e2-b58f-751c-b80a-482a35648ab6","source":"speaker","type":"probe.renamed",'
        '"subject":"01a204e2-b58e-76f4-80a5-f59f948d1d7b","time":"2026-01-02T03:04:05.000006Z","subjectversion":2,'
        '"schemaversion":1,"actorkind":"platform","actorservice":"speaker","later":"unknown",'
        '"data":{"thing_id":"01a204e2-b58e-76f4-80a5-f59f948d1d7b","org_id":null,"colour":"blue"}}'
    )
    envelope = Envelope.decode(golden)
    kind = events.event_type(envelope.type)
    assert kind is not None
    assert kind.decode(envelope) == Renamed(thing_id=UUID(envelope.subject), org_id=None, revision=7, at=None)
    assert envelope.time == datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert envelope.traceparent is None


_KEYS = (
    '{"id":"01a204e2-b58f-751c-b80a-482a35648ab6","source":"s","type":"t","subject":%s,"time":"2026-01-02T03:04:05Z",'
    '"subjectversion":1,"schemaversion":1,"actorkind":"platform","data":{}}'
)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"id": 3}', '"text"', "null", _KEYS % 7, _KEYS % "null", _KEYS % r'"\u0000"']
)
def test_what_is_no_event_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the message is the parser's
        Envelope.decode(text)


def test_an_actor_of_a_later_release_is_read() -> None:
    envelope = Envelope.decode((_KEYS % '"s"').replace("platform", "robot"))

    assert envelope.actor == Actor(kind="robot")  # pyright: ignore[reportArgumentType]


@given(st.binary(max_size=80), st.integers(1, 12))
def test_a_key_has_the_partition_that_kafkas_clients_choose(key: bytes, count: int) -> None:
    partitions = list(range(count))

    chosen = kafka.partition_of(key, partitions, partitions)

    assert chosen == DefaultPartitioner()(key, partitions, partitions)


async def test_one_transactions_events_are_numbered_as_told_in_one_statement() -> None:
    things = [new_id() for _ in range(50)]
    with count_statements() as statements:
        async with committed() as tx:
            for version in (1, 2):
                for thing in things:
                    emit(tx, Renamed(thing_id=thing, org_id=None), version=version)
    assert statements.count == 3
    told = [(envelope.subject, envelope.version) for envelope in await outgoing()]
    assert told == [(str(thing), version) for version in (1, 2) for thing in things]


async def test_a_rolled_back_change_is_not_told() -> None:
    async def change() -> None:
        async with committed() as tx:
            emit(tx, Renamed(thing_id=new_id(), org_id=None), version=1)
            await tx.flush()
            raise ValueError("changed its mind")

    with pytest.raises(ValueError, match="changed its mind"):
        await change()
    assert await outgoing() == []


async def test_a_savepoint_takes_back_what_was_told_inside() -> None:
    kept, lost = new_id(), new_id()
    called: list[UUID] = []

    async def inside(tx: Transaction) -> None:
        async with tx.savepoint():
            emit(tx, Renamed(thing_id=lost, org_id=None), version=1)
            tx.after_commit(lambda: _append(called, lost))
            raise ValueError("no")

    async with committed() as tx:
        emit(tx, Renamed(thing_id=kept, org_id=None), version=1)
        tx.after_commit(lambda: _append(called, kept))
        with pytest.raises(ValueError, match="no"):
            await inside(tx)
    assert [envelope.subject for envelope in await outgoing()] == [str(kept)]
    assert called == [kept]


async def _append(called: list[UUID], id: UUID) -> None:
    called.append(id)


async def test_an_event_too_large_for_kafka_fails_where_it_is_told() -> None:
    async with committed() as tx:
        with pytest.raises(ValueError, match="send ids, not contents"):
            outbox.add(tx, outbox.Row(new_id(), "t", "k", '"' + "x" * outbox.MAX_BYTES + '"'))


def test_a_declaration_that_cannot_work_is_refused() -> None:
    @dataclass(frozen=True)
    class Homeless:
        thing_id: UUID

    with pytest.raises(TypeError, match="org_id"):
        events.event("probe.homeless", subject="thing_id", service="speaker")(Homeless)
    with pytest.raises(TypeError, match="taken by Renamed"):

        @events.event("probe.renamed", subject="thing_id", service="speaker")
        @dataclass(frozen=True)
        class Other:  # pyright: ignore[reportUnusedClass]
            thing_id: UUID
            org_id: OrgId | None
