"""Answers `DoorSource`, `UsageKeeper`, and `TopicSource` about operations."""

from uuid import UUID

from pydantic import TypeAdapter

from api.core.gateway.door import logic as doors
from api.core.gateway.usage import logic as usage
from cluster.data import read
from cluster.jobs import operations
from cluster.jobs.operations import Operation
from cluster.people.door import DoorRules, DoorSource
from cluster.people.topics import After, Standing, TopicMessage, TopicSource
from cluster.people.usage import UsageKeeper, Used

_OPERATION = TypeAdapter(Operation)


class Calls(TopicSource, DoorSource, UsageKeeper):
    async def door_rules(self, known_version: int) -> DoorRules | None:
        return await doors.door_rules(known_version)

    async def add_usage(self, lot_id: UUID, used: list[Used]) -> None:
        await usage.add_usage(lot_id, used)

    async def standing(self, topic: str, ids: list[UUID]) -> list[Standing]:  # noqa: ARG002 (there is one)
        async with read() as db:
            found = await operations.list_operations(db, ids)
        return [
            Standing(id=each.operation.id, seq=each.version, org_id=each.org_id, owner_id=each.owner_id)
            for each in found
        ]

    async def since(self, topic: str, after: list[After], limit: int) -> list[TopicMessage]:  # noqa: ARG002 (as above)
        seen = {each.id: each.seq for each in after}
        async with read() as db:
            found = await operations.list_operations(db, list(seen))
        return [
            TopicMessage(
                id=each.operation.id,
                seq=each.version,
                kind="operation",
                at=each.operation.finished_at or each.operation.created_at,
                data=_OPERATION.dump_python(each.operation, mode="json"),
            )
            for each in found
            if each.version > seen[each.operation.id]
        ]
