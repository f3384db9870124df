"""Relations of people: grants, memberships and the runs in which they learn, as the services that own them answer.

Relations are leaves: rbac answers grants, organization answers membership, enrollment answers in which runs a person learns. Each
reads its own tables and calls nobody. A yes may be kept for some seconds; a no is never final from a cache.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.people.calls import RemoteUnavailable, client
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
"""Kept of one user: there are questions for each course and run that they look at."""
_UNKNOWN = object()


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

    async def grants_of(self, user_id: UserId) -> list[GrantedScope]:
        """Return every grant that counts now: somebody may have thousands. Lists need them all, a decision does not."""
        ...

    async def grants_at(self, user_id: UserId, places: list[UUID]) -> list[GrantedScope]:
        """Return those of `grants_of` on the platform and on these organizations, units, courses and runs."""
        ...


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
_kept: OrderedDict[UUID, dict[Hashable, tuple[float, Any]]] = OrderedDict()


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
        self._asked: dict[Hashable, Any] = {}

    async def grants(self) -> list[GrantedScope]:
        source = client(GrantSource)

        async def ask() -> dict[UUID | None, list[GrantedScope]]:
            """Return the grants by place, so that a decision that finds them all kept looks at its own places alone."""
            by_place: dict[UUID | None, list[GrantedScope]] = {}
            for grant in await source.grants_of(self._user_id):
                by_place.setdefault(grant.scope_id, []).append(grant)
            return by_place

        by_place = await self._answer("grants", ask, _GRANTS_TTL_S)
        return self._standing([grant for grants in by_place.values() for grant in grants])

    def known_grants_at(self, places: Sequence[UUID | None]) -> list[GrantedScope]:
        """Return what is kept of the grants on these places, without asking: more may have been granted there."""
        return self._standing([grant for grants in self._recall_at(places).values() for grant in grants])

    async def grants_at(self, places: Sequence[UUID | None], *, certain: bool = False) -> list[GrantedScope]:
        """Return the grants on these places; None is the platform. Nothing is asked about any other place."""
        found = self._recall_at(places, certain)
        unknown = [place for place in places if place not in found]
        if unknown:
            answers = self._answers()
            granted = await self._ask_at([place for place in unknown if place is not None])
            for place in unknown:
                found[place] = [grant for grant in granted if grant.scope_id == place]
                self._keep(answers, ("grants", place), found[place], _GRANTS_TTL_S)
        return self._standing([grant for grants in found.values() for grant in grants])

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

    async def _ask_at(self, places: list[UUID]) -> list[GrantedScope]:
        source = client(GrantSource)
        try:
            return await source.grants_at(self._user_id, places)
        except RemoteUnavailable:
            # While a release rolls out, an rbac of the one before does not know this question; it answers the wider one.
            return await source.grants_of(self._user_id)

    def _recall_at(self, places: Sequence[UUID | None], certain: bool = False) -> dict[UUID | None, list[GrantedScope]]:
        """Return what is known of each of these places; of what is not known, nothing."""
        found: dict[UUID | None, list[GrantedScope]] = {}
        everything = self._recall("grants", certain)
        for place in places:
            grants = self._recall(("grants", place), certain)
            if grants is not _UNKNOWN:
                found[place] = grants
            elif everything is not _UNKNOWN:
                found[place] = everything.get(place, [])
        return found

    def _standing(self, grants: list[GrantedScope]) -> list[GrantedScope]:
        bound, now = self._principal.bound_org, datetime.now(UTC)
        return [
            grant
            for grant in grants
            if (bound is None or grant.org_id == bound) and (grant.expires_at is None or grant.expires_at > now)
        ]

    async def _answer(
        self, question: Hashable, ask: Callable[[], Awaitable[T]], ttl_s: float, certain: bool = False
    ) -> T:
        known = self._recall(question, certain)
        if known is not _UNKNOWN:
            return known
        answers = self._answers()
        answer = await ask()
        self._keep(answers, question, answer, ttl_s)
        return answer

    def _recall(self, question: Hashable, certain: bool) -> Any:
        """Return what was answered in this decision, else, unless it must be certain, what is kept; `_UNKNOWN` without either."""
        if question in self._asked:
            return self._asked[question]
        kept = None if certain or self._fresh else _kept.get(self._user_id, {}).get(question)
        # Where broadcasts do not arrive, nobody tells us that a right was taken away: then the owner is asked each time.
        if kept is None or kept[0] <= time.monotonic() or not broadcast.fresh_within(_MAX_BROADCAST_AGE_S):
            return _UNKNOWN
        _kept.move_to_end(self._user_id)
        return kept[1]

    def _answers(self) -> dict[Hashable, tuple[float, Any]]:
        """Return where answers about this person are kept. Take it before asking.

        `forget` takes this dictionary away, so that an answer from before the change is not kept after it.
        """
        answers = _kept.setdefault(self._user_id, {})
        _kept.move_to_end(self._user_id)
        if len(_kept) > _MAX_USERS:
            _kept.popitem(last=False)
        return answers

    def _keep(
        self, answers: dict[Hashable, tuple[float, Any]], question: Hashable, answer: object, ttl_s: float
    ) -> None:
        self._asked[question] = answer
        if len(answers) >= _MAX_ANSWERS:
            answers.clear()
        answers[question] = (time.monotonic() + ttl_s, answer)


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
