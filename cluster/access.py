"""Access: what a principal may do to one resource (`permit`) and which resources a list may show it (`reach_of`).

Relations are leaves: rbac answers grants, organization answers membership, enrollment answers who learns in a run. Each reads its
own tables and calls nobody. A yes may be kept for some seconds; a no is never final from a cache.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from cluster import broadcast
from cluster.calls import client
from cluster.ids import OrgId, UserId
from cluster.principal import Principal
from cluster.problems import Forbidden, NotFound
from cluster.registry import offers

T = TypeVar("T")
ScopeKind = Literal["platform", "organization", "unit", "course", "run"]

RELATIONS = ("anyone", "signed_in", "self", "member", "learner")
"""Roles that nobody grants: they follow from facts."""

_GRANTS_TTL_S = 30.0
_RELATION_TTL_S = 5.0
_TRUST_S = 1.5
"""Answers are kept only while broadcasts are known to arrive this promptly."""


@dataclass(frozen=True, slots=True)
class Permission:
    """An offer: one thing that can be done, and which roles may do it. Also the name of an OAuth scope."""

    name: str
    title: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Role:
    """An offer: a role that rbac can grant somewhere."""

    name: str
    title: str
    scope: ScopeKind


@dataclass(frozen=True, slots=True)
class GrantedScope:
    """What somebody was granted at one place. `scope_id` is None for the platform."""

    scope: ScopeKind
    scope_id: UUID | None
    org_id: OrgId | None
    permissions: tuple[str, ...]


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


class Guarded(Generic[T]):
    """A resource whose value comes out only through `permit`."""

    __slots__ = ("_value", "course_id", "org_id", "owner_id", "public", "run_id", "see")

    def __init__(
        self,
        value: T,
        *,
        org_id: UUID | None = None,
        course_id: UUID | None = None,
        run_id: UUID | None = None,
        owner_id: UUID | None = None,
        see: str | None = None,
        public: bool = False,
    ) -> None:
        self._value = value
        self.org_id = org_id
        self.course_id = course_id
        self.run_id = run_id
        self.owner_id = owner_id
        self.see = see
        """The permission that lets one know of its existence: with it a refusal is 403, without it 404."""
        self.public = public
        """Everybody may know that it exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where a permission holds: parameters for the WHERE of a list. A row passes by any of them."""

    everywhere: bool = False
    org_ids: tuple[UUID, ...] = ()
    course_ids: tuple[UUID, ...] = ()
    run_ids: tuple[UUID, ...] = ()
    own: UserId | None = None


def within(
    *, org_id: UUID | None = None, course_id: UUID | None = None, run_id: UUID | None = None, public: bool = False
) -> Guarded[None]:
    """Name a place for something that does not exist yet."""
    return Guarded(None, org_id=org_id, course_id=course_id, run_id=run_id, public=public)


async def permit(
    principal: Principal,
    permission: str,
    guarded: Guarded[T] | None,
    *,
    missing: type[NotFound] = NotFound,
    fresh: bool = False,
) -> T:
    """Return the value if `principal` may do this to it. `fresh`: ask the owners of the relations, not the cache.

    Raises:
        NotFound: there is none, or the principal may not know of it.
        Unauthorized: a guest, where somebody might.
        Forbidden: it is visible, but this is not allowed.
    """
    if guarded is None:
        raise missing()
    if await _holds(principal, permission, guarded, fresh):
        return guarded._value  # pyright: ignore[reportPrivateUsage]
    if principal.kind == "guest":
        principal.person()
    if guarded.public or (guarded.see is not None and await _holds(principal, guarded.see, guarded, fresh)):
        raise Forbidden(f"this needs the permission {permission}", permission=permission)
    if guarded.see is None and await _touches(principal, guarded):
        raise Forbidden(f"this needs the permission {permission}", permission=permission)
    raise missing()


async def reach_of(principal: Principal, permission: str) -> Reach:
    """Return everything that `principal` holds `permission` for, complete and never truncated.

    Raises:
        Unauthorized: a guest asks for what is not open to anyone.
    """
    roles = roles_with(permission)
    if principal.kind == "platform" or "anyone" in roles:
        return Reach(everywhere=True)
    user_id = principal.person()
    if principal.scopes is not None and permission not in principal.scopes:
        return Reach()
    grants = [grant for grant in await _grants(user_id, fresh=False) if permission in grant.permissions]
    orgs = {grant.org_id for grant in grants if grant.scope == "organization"}
    if "member" in roles:
        orgs |= set(await _organizations(user_id, fresh=False))
    bound = principal.bound_org
    if bound is not None:
        orgs &= {bound}
        grants = [grant for grant in grants if grant.org_id == bound]
    return Reach(
        everywhere="signed_in" in roles or (bound is None and any(grant.scope == "platform" for grant in grants)),
        org_ids=tuple(org for org in orgs if org is not None),
        course_ids=tuple(grant.scope_id for grant in grants if grant.scope == "course" and grant.scope_id),
        run_ids=tuple(grant.scope_id for grant in grants if grant.scope == "run" and grant.scope_id)
        + (tuple(await client(LearnerSource).runs_of(user_id)) if "learner" in roles else ()),
        own=user_id if "self" in roles else None,
    )


async def _holds(principal: Principal, permission: str, where: "Guarded[T]", fresh: bool) -> bool:
    if principal.kind == "platform":
        return True
    roles = roles_with(permission)
    if "anyone" in roles:
        return True
    user_id = principal.id
    if user_id is None or (principal.scopes is not None and permission not in principal.scopes):
        return False
    if _is_cut_off(principal, where):
        return False
    if "signed_in" in roles or ("self" in roles and where.owner_id == user_id):
        return True
    if principal.bound_org is not None and where.org_id is None:
        return False
    if "learner" in roles and where.run_id is not None and await _learns(user_id, where.run_id, fresh):
        return True
    if "member" in roles and where.org_id is not None:
        if where.org_id in await _organizations(user_id, fresh):
            return True
        if not fresh and where.org_id in await _organizations(user_id, fresh=True):
            return True
    if any(permission in grant.permissions and _covers(grant, where) for grant in await _grants(user_id, fresh)):
        return True
    return not fresh and any(
        permission in grant.permissions and _covers(grant, where) for grant in await _grants(user_id, fresh=True)
    )


def _is_cut_off(principal: Principal, where: "Guarded[T]") -> bool:
    """Tell whether the session belongs to one organization and this to another; what has none is the person's own."""
    return principal.bound_org is not None and where.org_id not in (None, principal.bound_org)


async def _touches(principal: Principal, where: "Guarded[T]") -> bool:
    if principal.id is None or _is_cut_off(principal, where):
        return False
    if any(_covers(grant, where) for grant in await _grants(principal.id, fresh=False)):
        return True
    return where.org_id is not None and where.org_id in await _organizations(principal.id, fresh=False)


def _covers(grant: GrantedScope, where: "Guarded[T]") -> bool:
    match grant.scope:
        case "platform":
            return True
        case "organization":
            return grant.scope_id is not None and grant.scope_id == where.org_id
        case "course":
            return grant.scope_id is not None and grant.scope_id == where.course_id
        case "run":
            return grant.scope_id is not None and grant.scope_id == where.run_id
        case "unit":
            return False


@cache
def _permissions() -> dict[str, frozenset[str]]:
    return {permission.name: frozenset(permission.roles) for permission in offers(Permission)}


def roles_with(permission: str) -> frozenset[str]:
    """Return the built-in roles and relations that may do this.

    Raises:
        LookupError: no service offers this permission; a misspelling would otherwise refuse everybody.
    """
    try:
        return _permissions()[permission]
    except KeyError:
        raise LookupError(f"no service offers the permission {permission}") from None


def permissions_of_role(role: str) -> tuple[str, ...]:
    """Return the permissions of a built-in role, sorted."""
    return tuple(sorted(name for name, roles in _permissions().items() if role in roles))


# What the owners answered lately, by user and question: (kept until, answer). Whatever changes about a user drops all of
# it. Bounded, because a replica sees every user of the platform.
_kept: dict[UUID, dict[object, tuple[float, Any]]] = {}
_MAX_USERS = 20_000


async def _grants(user_id: UserId, fresh: bool) -> list[GrantedScope]:
    source = client(GrantSource)
    return await _ask(user_id, "grants", lambda: source.grants_of(user_id), _GRANTS_TTL_S, fresh)


async def _organizations(user_id: UserId, fresh: bool) -> list[OrgId]:
    source = client(MemberSource)
    return await _ask(user_id, "organizations", lambda: source.organizations_of(user_id), _RELATION_TTL_S, fresh)


async def _learns(user_id: UserId, run_id: UUID, fresh: bool) -> bool:
    source = client(LearnerSource)

    async def run_or_none() -> UUID | None:
        return run_id if await source.learns_in(user_id, run_id) else None

    return await _ask(user_id, run_id, run_or_none, _RELATION_TTL_S, fresh) is not None


async def _ask(user_id: UserId, question: object, ask: Callable[[], Awaitable[T]], ttl_s: float, fresh: bool) -> T:
    now = time.monotonic()
    kept = _kept.get(user_id, {}).get(question)
    # None is not trusted: a no is never final. Where broadcasts do not arrive, nobody tells us that a right was taken
    # away: then the owner is asked each time.
    if kept is not None and kept[1] is not None and kept[0] > now and not fresh and broadcast.fresh_within(_TRUST_S):
        return kept[1]
    if len(_kept) >= _MAX_USERS:
        _kept.clear()
    # `forget` takes this dictionary away, so that an answer from before the change is not kept after it.
    answers = _kept.setdefault(user_id, {})
    answer = await ask()
    answers[question] = (now + ttl_s, answer)
    return answer


def forget(user_id: UUID) -> None:
    """Drop what was kept about a user: their grants, memberships or enrolments changed."""
    _kept.pop(user_id, None)


async def forget_everybody() -> None:
    """Drop everything that was kept: changes may have been missed."""
    _kept.clear()
