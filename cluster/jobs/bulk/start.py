"""Begin work on many rows, and have it undone."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from cluster.base.ids import OrgId
from cluster.base.registry import room
from cluster.data import Transaction
from cluster.jobs import operations
from cluster.jobs.bulk import store
from cluster.jobs.bulk.declare import BulkJob, CannotBeUndone
from cluster.jobs.declare import job_type, type_of
from cluster.jobs.queue import enqueue, enqueue_as

MAX_ITEMS = 1_000


async def start(
    tx: Transaction,
    job: type[BulkJob],
    *,
    operation_id: UUID,
    org_id: OrgId,
    context: dict[str, Any],
    items: Sequence[BaseModel] | None,
    file: tuple[str, str] | None,
    all_or_nothing: bool,
    dry_run: bool,
) -> None:
    """Begin work on many rows in the name of `tx.principal`.

    `items` are the rows, or `file` is the bucket and key of a CSV file with them.
    """
    declared = type_of(job)
    total = None if items is None else len(items)
    await operations.start(tx, declared.kind, owner_id=tx.principal.id, org_id=org_id, total=total, id=operation_id)
    bucket, object_key = file or (None, None)
    await tx.run(
        store.INSERT_BULK,
        operation_id=operation_id,
        job_kind=declared.kind,
        service=declared.service,
        org_id=org_id,
        context=context,
        all_or_nothing=all_or_nothing,
        dry_run=dry_run,
        items=None if items is None else [item.model_dump(mode="json", exclude_none=True) for item in items],
        bucket=bucket,
        object_key=object_key,
        phase="check" if all_or_nothing or dry_run else "apply",
    )
    enqueue(tx, job(operation_id=operation_id), as_=tx.principal)


async def undo(tx: Transaction, operation_id: UUID) -> None:
    """Take back what an operation did, in the name of `tx.principal`.

    Raises:
        CannotBeUndone: it is no bulk, it runs, it was undone, or its 30 days are over.
    """
    found = await tx.rows(store.LOCK_UNDO, operation_id=operation_id)
    if not found:
        raise CannotBeUndone("only an operation that is finished can be undone, until its undo_until")
    await tx.run(store.UPDATE_BULK, operation_id=operation_id, phase="take_back", position=0)
    await operations.reopen(tx, operation_id)
    room(found[0]["service"], "contract")
    declared = job_type(found[0]["job_kind"])
    enqueue_as(tx, declared, declared.python(operation_id=operation_id), as_=tx.principal)
