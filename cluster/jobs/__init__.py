"""Jobs: durable work for later. Declare, enqueue, perform; `cluster.jobs.run` is for workers."""

from cluster.jobs.batches import in_batches
from cluster.jobs.declare import CronSlot, JobType, cron, job, job_type, job_types, perform, perform_of
from cluster.jobs.job_run import GiveUp, JobRun, LeaseLost
from cluster.jobs.queue import cancel_jobs, enqueue, enqueue_as

__all__ = [
    "CronSlot",
    "GiveUp",
    "JobRun",
    "JobType",
    "LeaseLost",
    "cancel_jobs",
    "cron",
    "enqueue",
    "enqueue_as",
    "in_batches",
    "job",
    "job_type",
    "job_types",
    "perform",
    "perform_of",
]
