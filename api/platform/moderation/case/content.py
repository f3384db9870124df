"""Things as their services know them: which kinds there are, and what a thing says now."""

import hashlib
from collections.abc import Mapping
from functools import cache
from uuid import UUID

import orjson

from api.platform.moderation.contract import Content, Moderated, ModeratedKind
from cluster.base.registry import offers_by_service
from cluster.people.calls import client


@cache
def kinds() -> dict[str, tuple[str, ModeratedKind]]:
    """Return by kind its service and what that offers."""
    return {offer.name: (service, offer) for service, offer in offers_by_service(ModeratedKind)}


async def find_content(kind: str, id: UUID) -> Content | None:
    """Ask the service of a thing what it says now; None: it is gone, or nobody knows of such things.

    Raises:
        RemoteUnavailable
    """
    if kind not in kinds():
        return None
    found = await client(Moderated, of=kinds()[kind][0]).content(kind, [id])
    return next((each for each in found if each.id == id), None)


def digest(texts: Mapping[str, str]) -> bytes:
    return hashlib.sha256(orjson.dumps(dict(texts), option=orjson.OPT_SORT_KEYS)).digest()
