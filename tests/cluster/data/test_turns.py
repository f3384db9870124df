"""Transactions that take turns: what one counts, no other changes before it has committed."""

import asyncio
from contextvars import Context
from uuid import UUID

import pytest

from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.data import write
from tests.kernel import empty, kernel, rows

__all__ = ["empty", "kernel"]

pytestmark = pytest.mark.usefixtures("kernel", "empty")

LIMIT = 3


async def _add(person: UUID) -> None:
    async with write(PLATFORM) as tx:
        await tx.take_turns("probe.person", person)
        count = await tx.value("SELECT count(*) FROM probe.effects WHERE key = $1", str(person))
        if count < LIMIT:
            await tx.run("INSERT INTO probe.effects (consumer, key, n) VALUES ('probe', $1, $2)", str(person), count)


async def test_take_turns_holds_a_limit_per_person_under_races() -> None:
    ada, grace = new_id(), new_id()

    await asyncio.gather(*(_add(person) for person in (ada, grace) * 10))

    found = await rows("SELECT key, count(*) FROM probe.effects GROUP BY key ORDER BY key")
    assert found == sorted([(str(ada), LIMIT), (str(grace), LIMIT)])


async def test_take_turns_lets_other_names_and_ids_pass() -> None:
    async with asyncio.timeout(10), write(PLATFORM) as tx:
        await tx.take_turns("probe.person", UUID(int=1))

        async def others() -> None:
            async with write(PLATFORM) as other:
                await other.take_turns("probe.person", UUID(int=2))
                await other.take_turns("probe.course", UUID(int=1))
                await other.take_turns("probe.person")

        await asyncio.create_task(others(), context=Context())
