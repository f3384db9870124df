"""The shards and the job of audit; it answers search alone, about the entries of the last days."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from cluster.base.problems import NotFound
from cluster.jobs import job

SHARDS = 4
PLATFORM_CHAIN = UUID(int=0)
"""The chain of events without an organization."""


FOUND_FOR = timedelta(days=30)
"""How long the search finds an entry; the trail itself keeps it for good."""


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
