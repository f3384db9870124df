"""Durable work of enrollment: bulk."""

from api.learning.enrollment.bulk.logic import WORK
from api.learning.enrollment.contract import BulkEnrol
from cluster.jobs import JobRun, bulk, perform


@perform(BulkEnrol)
async def bulk_enrol(run: JobRun, args: BulkEnrol) -> None:
    await bulk.advance(run, args.operation_id, WORK)
