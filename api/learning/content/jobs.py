"""Periodic work of content."""

from datetime import UTC, datetime
from functools import partial

from api.learning.content.block import logic as blocks
from api.learning.content.contract import DocumentCourse
from api.learning.content.document import logic as documents
from api.learning.content.frozen import logic as frozen
from api.learning.content.outline import logic as outlines
from cluster.jobs import JobRun, cron, in_batches, perform


@perform(DocumentCourse)
async def document_course(run: JobRun, args: DocumentCourse) -> None:
    await documents.document_course(run.principal, args.course_id)


@cron("content.document_new", "*/10 * * * *", lane="bulk")
async def document_new(run: JobRun) -> None:
    """Begin with courses whose texts were never found: those of before."""
    await documents.begin(run.principal)


@cron("content.purge", "23 3 * * *", lane="bulk")
async def purge(run: JobRun) -> None:
    """Delete for good what can no longer be restored."""
    await in_batches(run, partial(blocks.purge_deleted, run.principal))


@cron("content.expire", "37 * * * *", lane="bulk")
async def expire(run: JobRun) -> None:
    """Delete outlines that were made for courses and revisions which never came to be."""
    for expire_batch in (outlines.expire_outlines, frozen.expire_frozen):
        after = await expire_batch(datetime.now(UTC))
        while after is not None:
            await run.extend()
            after = await expire_batch(datetime.now(UTC), after)
