"""The notices that services offer, and whom to ask about each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from cluster.base.ids import UserId
from cluster.base.registry import offers_by_service
from cluster.people.calls import client
from cluster.people.notices import AudienceSource, Notice, NoticeSource, NoticeText, Reader

PAGE = 500
_ANSWERS = {"learners": "enrollment", "members": "organization", "staff": "rbac"}
"""Who knows the people of each relation."""
MAX_TITLE = 200
MAX_BODY = 2000


@dataclass(frozen=True, slots=True)
class Offered:
    """A notice, and the service that answers about it."""

    notice: Notice
    service: str


@cache
def offered() -> dict[str, Offered]:
    """Return every notice by its name.

    Raises:
        ValueError: two services offer one name.
    """
    found = offers_by_service(Notice)
    by_name = {notice.name: Offered(notice, service) for service, notice in found}
    if len(by_name) != len(found):
        raise ValueError(f"two notices of one name among {sorted(notice.name for _, notice in found)}")
    return by_name


def notices_of(event: type) -> list[Notice]:
    return [each.notice for each in offered().values() if each.notice.event is event]


async def recipients(of: Offered, payload: dict[str, Any], after: UUID | None) -> Sequence[UserId]:
    """Ask for the next page of people whom a notice concerns, by id."""
    notice = of.notice
    if notice.audience == "named":
        return await client(NoticeSource, of=of.service).recipients(notice.name, payload, after, PAGE)
    kind, place_id = _place(notice, payload)
    source = client(AudienceSource, of=_ANSWERS[notice.audience])
    return await source.audience(notice.audience, kind, place_id, after, PAGE)


def _place(notice: Notice, payload: dict[str, Any]) -> tuple[str, UUID]:
    if notice.audience == "members":
        return "organization", UUID(payload["org_id"])
    if payload.get("run_id") is not None:
        return "run", UUID(payload["run_id"])
    return "course", UUID(payload["course_id"])


async def texts(of: Offered, payload: dict[str, Any], readers: list[Reader]) -> dict[UserId, NoticeText]:
    """Ask for the words for these people; whoever is missing is told nothing."""
    if not readers:
        return {}
    found = await client(NoticeSource, of=of.service).texts(of.notice.name, payload, readers)
    return {each.user_id: each for each in found}
