"""The inbox is kept by day: old days are dropped, and no missing day lets a duplicate through or stops a consumer."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest

from actors.upkeep import INBOX_DAYS_AHEAD, keep_inbox
from cluster.base.ids import new_id
from cluster.data.migrations import migrations
from cluster.data.roles import KERNEL, ensure_login
from cluster.events import inbox
from cluster.events.inbox import Receipt
from tests.cluster.events import probe
from tests.cluster.events.probe import counted
from tests.kernel import rows, run

pytestmark = pytest.mark.usefixtures("kernel", "empty", "days_kept")

TODAY = datetime.now(UTC).date()


@pytest.fixture
async def days_kept(kernel: str) -> AsyncIterator[None]:
    """Leave the partitions as a new database has them."""
    yield
    await run("SELECT hub.drop_inbox_days($1)", TODAY)
    await keep_inbox(TODAY)


def id_at(day: date, milliseconds: int) -> UUID:
    """Make the id of an event so long after a midnight (UTC); negative: before it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return UUID(int=((int(midnight.timestamp() * 1000) + milliseconds) << 80) | new_id().int & (2**80 - 1))


async def where() -> list[tuple[str, UUID]]:
    return [
        (table, id)
        for table, id in await rows(
            "SELECT replace(tableoid::regclass::text, 'hub.', ''), event_id FROM hub.inbox ORDER BY 2"
        )
    ]


def partition(day: date) -> str:
    return f"inbox_{day:%Y%m%d}"


async def note(*ids: UUID) -> None:
    await run("INSERT INTO hub.inbox SELECT 'listener', unnest($1::uuid[])", list(ids))


async def test_ids_stand_in_the_partition_of_their_day() -> None:
    last, first = id_at(TODAY + timedelta(days=1), -1), id_at(TODAY + timedelta(days=1), 0)

    await note(last, first)

    assert await where() == [(partition(TODAY), last), (partition(TODAY + timedelta(days=1)), first)]


async def test_upkeep_adds_the_days_ahead_and_drops_those_older_than_14_days() -> None:
    later = TODAY + timedelta(days=15)
    old, recent, stray = id_at(TODAY, 1), id_at(TODAY + timedelta(days=1), 1), id_at(TODAY - timedelta(days=3), 1)
    await note(old, recent, stray)
    assert await rows("SELECT event_id FROM hub.inbox_default") == [(stray,)]

    dropped = await keep_inbox(later)
    again = await keep_inbox(later)

    assert (dropped, again) == (1, 0)
    assert await where() == [(partition(TODAY + timedelta(days=1)), recent)]
    found = await rows(
        """SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
           WHERE inhparent = 'hub.inbox'::regclass AND relkind = 'r'"""
    )
    ahead = [partition(later + timedelta(days=n)) for n in range(INBOX_DAYS_AHEAD + 1)]
    left = [partition(TODAY + timedelta(days=n)) for n in range(1, INBOX_DAYS_AHEAD + 1)]
    assert sorted(name for (name,) in found) == sorted([*ahead, *left, "inbox_default"])
    await run("SELECT hub.drop_inbox_days($1)", later + timedelta(days=INBOX_DAYS_AHEAD + 1))


async def test_inbox_refuses_a_duplicate_while_its_day_is_made() -> None:
    probe.declare()
    day = TODAY + timedelta(days=INBOX_DAYS_AHEAD + 1)
    events = [counted(new_id(), n) for n in (1, 2)]
    for envelope, at in zip(events, (-1, 0), strict=True):
        object.__setattr__(envelope, "id", id_at(day, at))

    first = await inbox.receive("listener", events)
    in_default = await rows("SELECT count(*) FROM hub.inbox_default")
    await keep_inbox(TODAY + timedelta(days=1))
    again = await inbox.receive("listener", events)

    assert (first, again) == (Receipt(handled=2), Receipt())
    assert in_default == [(1,)]
    assert [table for table, _ in await where()] == [partition(day - timedelta(days=1)), partition(day)]
    await run("TRUNCATE hub.inbox")
    await run("SELECT hub.drop_inbox_days($1)", day + timedelta(days=1))


async def test_a_host_that_owns_no_schema_makes_and_drops_days(database: None) -> None:
    day = TODAY + timedelta(days=90)
    connection = await asyncpg.connect(await ensure_login(["course"]))
    try:
        # Rolled back: other tests share this database.
        transaction = connection.transaction()
        await transaction.start()
        try:
            made = await connection.fetchval("SELECT hub.add_inbox_day($1)", day)
            await connection.execute("INSERT INTO hub.inbox VALUES ('course', $1)", id_at(day, 1))
            dropped = await connection.fetchval("SELECT hub.drop_inbox_days($1)", day + timedelta(days=1))
        finally:
            await transaction.rollback()
    finally:
        await connection.close()

    assert made
    assert dropped > 1


async def test_migration_takes_the_rows_of_the_former_inbox_over(servers: None) -> None:
    name = f"{os.environ['HUB_STACK']}-days".replace("-", "_")
    admin_url = os.environ.get("HUB_ADMIN_URL", os.environ["HUB_POSTGRES_URL"])
    admin = await asyncpg.connect(admin_url)
    await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await admin.execute(f'CREATE DATABASE "{name}"')
    connection = await asyncpg.connect(urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}")))
    kernel = [migration for migration in migrations() if migration.service == KERNEL]
    [by_day] = [n for n, migration in enumerate(kernel) if migration.name.startswith("0009_")]
    past, present = id_at(TODAY - timedelta(days=2), 1), id_at(TODAY, 1)
    try:
        await connection.execute("CREATE SCHEMA hub")
        for migration in kernel[:by_day]:
            await connection.execute(migration.sql)
        await connection.execute("INSERT INTO hub.inbox VALUES ('listener', $1), ('other', $2)", past, present)

        await connection.execute(kernel[by_day].sql)

        found = await connection.fetch("""SELECT (SELECT relname FROM pg_class WHERE oid = i.tableoid), consumer, event_id
               FROM hub.inbox i ORDER BY 3""")
        assert [tuple(row) for row in found] == [
            (partition(TODAY - timedelta(days=2)), "listener", past),
            (partition(TODAY), "other", present),
        ]
    finally:
        await connection.close()
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()
