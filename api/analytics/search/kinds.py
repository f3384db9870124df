"""The kinds of documents that services offer."""

from dataclasses import dataclass
from functools import cache

from cluster.base.registry import offers_by_service
from cluster.people.calls import client
from cluster.people.documents import DocumentSource, SearchDocument


@dataclass(frozen=True, slots=True)
class Kind:
    """An offer, and the service that makes it."""

    service: str
    offer: SearchDocument

    @property
    def source(self) -> DocumentSource:
        return client(DocumentSource, of=self.service)


@cache
def kinds() -> dict[str, Kind]:
    """Return every kind by its name.

    Raises:
        ValueError: two services offer one of the same name.
    """
    found: dict[str, Kind] = {}
    for service, offer in offers_by_service(SearchDocument):
        if offer.kind in found:
            raise ValueError(f"{service} and {found[offer.kind].service} both offer documents of the kind {offer.kind}")
        found[offer.kind] = Kind(service, offer)
    return found
