"""What other services may know of search; what it finds they offer by `cluster.people.documents`."""

from dataclasses import dataclass
from typing import NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.base.problems import Conflict, Invalid, NotFound
from cluster.jobs import job

PinId = NewType("PinId", UUID)


@dataclass(frozen=True, slots=True)
class Named:
    """Names a document."""

    kind: str
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Something that the caller may see."""

    document: Named
    title: str
    path: list[str]
    url: str
    language: str
    org_id: OrgId | None
    texts: list[str]
    """Plain text around what was asked for; none where the title alone has it."""


class SearchCalls(Protocol):
    async def passages(self, caller: Principal, text: str, org_id: OrgId | None, limit: int) -> list[Passage]:
        """Find what fits a question best, as the caller would find it: with their rights of this moment.

        Raises:
            NothingAsked
            Unavailable: OpenSearch does not answer.
        """
        ...

    async def similar(self, caller: Principal, document: Named, limit: int) -> list[Passage]:
        """Find documents of the same kind that are like this one; none when the caller may not see it.

        Raises:
            KindUnknown
            Unavailable: OpenSearch does not answer.
        """
        ...


@job("search.index", attempts=10, timeout_s=60, lane="quick", concurrency=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class IndexMarked:
    """Brings the documents that are marked into the index."""

    @staticmethod
    def dedupe() -> str:
        return "marked"


@job("search.follow", attempts=10, timeout_s=120, lane="bulk", concurrency=1)
@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSource:
    """Reads what a source has since the last time into the index."""

    kind: str
    back_s: int
    """So far back is looked for what came late."""

    @staticmethod
    def dedupe(kind: str) -> str:
        return f"follow:{kind}"


@job("search.build", attempts=20, timeout_s=120, lane="bulk", concurrency=2)
@dataclass(frozen=True, slots=True, kw_only=True)
class BuildGeneration:
    """Fills an index from nothing, and puts it in the place of the one before."""

    kind: str
    number: int

    @staticmethod
    def dedupe(kind: str) -> str:
        return f"build:{kind}"


class KindUnknown(Invalid):
    title = "There are no documents of this kind"


class FacetUnknown(Invalid):
    title = "There is no such facet"


class NothingAsked(Invalid):
    title = "The question has no words"


class DocumentUnknown(Invalid):
    title = "There is no such document"


class PinExists(Conflict):
    title = "The question has a pin in this language"


class TooManyPins(Conflict):
    title = "There are too many pins"


class PinNotFound(NotFound):
    title = "No such pin"


class AnswerNotFound(NotFound):
    title = "No such answer"


class ClickUnknown(Invalid):
    title = "The answer shows something else there"


class KindNotFound(NotFound):
    title = "No such kind of documents"


class BuildsAlready(Conflict):
    title = "The index of these documents is being built"
