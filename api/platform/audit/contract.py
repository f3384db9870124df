"""The shards and the job of audit; it answers no calls."""

from dataclasses import dataclass
from uuid import UUID

from cluster.base.problems import NotFound
from cluster.jobs import job

SHARDS = 4
PLATFORM_CHAIN = UUID(int=0)
"""The chain of events without an organization."""


@job("audit.seal", attempts=20, timeout_s=120, concurrency=SHARDS)
@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Chain the new entries of the organizations of a shard."""

    shard: int


class OrganizationUnknown(NotFound):
    title = "No such organization"


def shard_of(chain: UUID) -> int:
    """Return the shard that seals this organization's chain."""
    return chain.int % SHARDS
