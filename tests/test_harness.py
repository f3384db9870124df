"""What tests act with does what it says."""

import asyncio

import pytest

from cluster.base.principal import PLATFORM
from cluster.data import read, write
from tests.harness import Hub

RACERS = 12
"""More than a process has connections."""


async def test_at_once_lets_all_read_before_one_writes(hub: Hub) -> None:
    log: list[str] = []

    async def race(number: int) -> int:
        for _ in range(number):
            async with read() as db:
                await db.value("SELECT 1")
        log.append("read")
        async with write(PLATFORM) as tx:
            await tx.value("SELECT 1")
            log.append("wrote")
        return number

    results = await hub.at_once(*(race(number) for number in range(RACERS)))

    assert results == list(range(RACERS))
    assert log == ["read"] * RACERS + ["wrote"] * RACERS


async def test_at_once_waits_for_nobody_who_has_ended_without_writing(hub: Hub) -> None:
    async def refused() -> str:
        await asyncio.sleep(0)
        return "refused"

    async def writing_twice() -> str:
        for _ in range(2):
            async with write(PLATFORM) as tx:
                await tx.value("SELECT 1")
        return "written"

    assert await hub.at_once(refused(), writing_twice()) == ["refused", "written"]


async def test_at_once_passes_an_error_on_and_leaves_the_next_alone(hub: Hub) -> None:
    async def failing() -> str:
        raise LookupError("on the way")

    async def writing() -> str:
        async with write(PLATFORM) as tx:
            return await tx.value("SELECT 'written'")

    with pytest.raises(LookupError, match="on the way"):
        await hub.at_once(failing(), writing())

    assert await hub.at_once(writing()) == ["written"]


async def test_one_service_erases_and_exports_its_part_alone(hub: Hub) -> None:
    ada = await hub.person("ada")

    before = await hub.exported(ada.id, "auth")
    part = await hub.erased(ada.id, "auth")
    after = await hub.exported(ada.id, "auth")
    profile = await hub.exported(ada.id, "user")

    assert [each["email"] for each in before.rows["auth.identities"]] == [ada.email]
    assert (part.outcome, part.rows_erased > 0, part.user_id) == ("done", True, ada.id)
    assert after.rows["auth.identities"] == []
    assert [each["email"] for each in profile.rows["user.users"]] == [ada.email]
    await hub.settle()
