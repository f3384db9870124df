"""Relations of people: grants, memberships and the runs in which they learn, as the services that own them answer.

Relations are leaves: rbac answers grants, organization answers membership, enrollment answers in which runs a person learns. Each
reads its own tables and calls nobody. A yes may be kept for some seconds; a no is never final from a cache.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.people.calls import client
from cluster.signals import broadcast

T = TypeVar("T")
ScopeKind = Literal["platform", "organization", "unit", "course", "run"]

_GRANTS_TTL_S = 30.0
_RELATION_TTL_S = 5.0
_REACH_TTL_S = 1.0
_MAX_BROADCAST_AGE_S = 1.5
"""Answers are kept only while broadcasts are known to arrive this promptly."""
_MAX_USERS = 20_000
"""Of whom answers are kept: a replica sees every user of the platform."""
_MAX_ANSWERS = 1_000
"""Kept of one user: there is a question for each run that they look at."""


@dataclass(frozen=True, slots=True)
class GrantedScope:
    """What somebody was granted at one place. `scope_id` is None for the platform."""

    scope: ScopeKind
    scope_id: UUID | None
    org_id: OrgId | None
    permissions: tuple[str, ...]
    expires_at: datetime | None = None


class GrantSource(Protocol):
    """Answered by rbac."""

    async def grants_of(self, user_id: UserId) -> list[GrantedScope]: ...


class MemberSource(Protocol):
    """Answered by organization."""

    async def organizations_of(self, user_id: UserId) -> list[OrgId]: ...


class LearnerSource(Protocol):
    """Answered by enrollment."""

    async def learns_in(self, user_id: UserId, run_id: UUID) -> bool: ...

    async def runs_of(self, user_id: UserId) -> list[UUID]: ...


class AddressSource(Protocol):
    """Answered by auth."""

    async def owns_address(self, user_id: UserId, email: str) -> bool:
        """Tell whether this is the person's address, and verified: an unverified one grants nothing."""
        ...


# The latest answers of the owners, by user and question: (kept until, answer). A change about a user drops all of theirs.
_kept: OrderedDict[UUID, dict[object, tuple[float, Any]]] = OrderedDict()


class Relations:
    """What the owners of relations say of a principal while one decision is made.

    A kept yes counts; before a no the owner is asked, once, with `certain`. What holds outside the organization that a session
    is bound to is not seen here at all.
    """

    __slots__ = ("_asked", "_fresh", "_principal", "_user_id")

    def __init__(self, principal: Principal, *, fresh: bool = False) -> None:
        self._principal = principal
        self._user_id = principal.person()
        self._fresh = fresh
        self._asked: dict[object, Any] = {}

    async def grants(self, *, certain: bool = False) -> list[GrantedScope]:
        by_place = await self._grants_by_place(certain)
        return self._standing([grant for grants in by_place.values() for grant in grants])

    async def grants_at(self, places: Iterable[UUID | None], *, certain: bool = False) -> list[GrantedScope]:
        """Return the grants on these places; None is the platform."""
        by_place = await self._grants_by_place(certain)
        return self._standing([grant for place in places for grant in by_place.get(place, ())])

    async def organizations(self, *, certain: bool = False) -> list[OrgId]:
        source, bound = client(MemberSource), self._principal.bound_org
        orgs = await self._answer(
            "organizations", lambda: source.organizations_of(self._user_id), _RELATION_TTL_S, certain
        )
        return orgs if bound is None else [org_id for org_id in orgs if org_id == bound]

    async def is_member(self, org_id: UUID, *, certain: bool = False) -> bool:
        return org_id in await self.organizations(certain=certain)

    async def learns_in(self, run_id: UUID, *, certain: bool = False) -> bool:
        source = client(LearnerSource)
        return await self._answer(
            run_id, lambda: source.learns_in(self._user_id, run_id), _RELATION_TTL_S, certain=certain
        )

    async def runs(self) -> list[UUID]:
        """Return where the person learns; which organizations these runs belong to is not known here."""
        return [] if self._principal.bound_org is not None else await client(LearnerSource).runs_of(self._user_id)

    async def reach(self, permission: str, find: Callable[[], Awaitable[T]]) -> T:
        """Return what `find` made of this person's relations for a permission within the last second."""
        return await self._answer((permission, self._principal.bound_org), find, _REACH_TTL_S)

    async def _grants_by_place(self, certain: bool) -> dict[UUID | None, list[GrantedScope]]:
        """Return the grants by place, so that somebody with hundreds waits no longer for one decision."""
        source = client(GrantSource)

        async def ask() -> dict[UUID | None, list[GrantedScope]]:
            by_place: dict[UUID | None, list[GrantedScope]] = {}
            for grant in await source.grants_of(self._user_id):
                by_place.setdefault(grant.scope_id, []).append(grant)
            return by_place

        return await self._answer("grants", ask, _GRANTS_TTL_S, certain)

    def _standing(self, grants: list[GrantedScope]) -> list[GrantedScope]:
        bound, now = self._principal.bound_org, datetime.now(UTC)
        return [
            grant
            for grant in grants
            if (bound is None or grant.org_id == bound) and (grant.expires_at is None or grant.expires_at > now)
        ]

    async def _answer(
        self, question: object, ask: Callable[[], Awaitable[T]], ttl_s: float, certain: bool = False
    ) -> T:
        if question in self._asked:
            return self._asked[question]
        kept = None if certain or self._fresh else _kept.get(self._user_id, {}).get(question)
        # Where broadcasts do not arrive, nobody tells us that a right was taken away: then the owner is asked each time.
        if kept is not None and kept[0] > time.monotonic() and broadcast.fresh_within(_MAX_BROADCAST_AGE_S):
            _kept.move_to_end(self._user_id)
            return kept[1]
        # `forget` takes this dictionary away, so that an answer from before the change is not kept after it.
        answers = _kept.setdefault(self._user_id, {})
        _kept.move_to_end(self._user_id)
        if len(_kept) > _MAX_USERS:
            _kept.popitem(last=False)
        answer = self._asked[question] = await ask()
        if len(answers) >= _MAX_ANSWERS:
            answers.clear()
        answers[question] = (time.monotonic() + ttl_s, answer)
        return answer


def forget(user_id: UUID) -> None:
    """Drop what was kept about a user: their grants, memberships or enrolments changed."""
    _kept.pop(user_id, None)


async def hear(message: dict[str, Any]) -> None:
    """Drop what a broadcast on `access` says has changed: about one user, or about everybody in an organization."""
    if "user_id" in message:
        forget(UUID(message["user_id"]))
    else:
        await forget_everybody()


async def forget_everybody() -> None:
    """Drop everything that was kept: changes may have been missed."""
    _kept.clear()
