"""Access: what a principal may do to one resource (`permit`) and which resources a list may show it (`reach_of`).

A permission holds by roles that rbac granted and by relations that follow from facts; `cluster.people.relations` asks for both.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Generic, TypeVar
from uuid import UUID

from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.base.problems import Forbidden, NotFound, Problem
from cluster.base.registry import offers
from cluster.data import Connection, read
from cluster.people.door import passage
from cluster.people.relations import (
    AddressSource,
    GrantedScope,
    GrantSource,
    LearnerSource,
    MemberSource,
    Relations,
    ScopeKind,
)

__all__ = [
    "RELATIONS",
    "AddressSource",
    "GrantSource",
    "GrantedScope",
    "Guarded",
    "LearnerSource",
    "MemberSource",
    "Permission",
    "Reach",
    "Role",
    "ScopeKind",
    "lacking",
    "lapsing",
    "lasts_until",
    "named",
    "permissions_of_role",
    "permit",
    "permit_until",
    "permitted",
    "reach_of",
    "roles_with",
    "within",
]

T = TypeVar("T")
K = TypeVar("K")

RELATIONS = ("anyone", "signed_in", "self", "member", "learner")
"""Roles that nobody grants: they follow from facts."""


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


class Guarded(Generic[T]):
    """A resource whose value comes out only through `permit`."""

    __slots__ = ("_value", "course_id", "org_id", "owner_id", "run_id", "see")

    def __init__(
        self,
        value: T,
        *,
        org_id: UUID | None = None,
        course_id: UUID | None = None,
        run_id: UUID | None = None,
        owner_id: UUID | None = None,
        see: str | None = None,
    ) -> None:
        self._value = value
        self.org_id = org_id
        self.course_id = course_id
        self.run_id = run_id
        self.owner_id = owner_id
        self.see = see
        """The permission that lets one know of its existence: with it a refusal is 403, without it 404.

        None: everybody with a relation to its place may know of it.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where a permission holds: parameters for the WHERE of a list. A row passes by any of them."""

    everywhere: bool = False
    org_ids: tuple[UUID, ...] = ()
    course_ids: tuple[UUID, ...] = ()
    run_ids: tuple[UUID, ...] = ()
    own: UserId | None = None


def within(
    *,
    org_id: UUID | None = None,
    course_id: UUID | None = None,
    run_id: UUID | None = None,
    see: str | None = None,
) -> Guarded[None]:
    """Name a place for something that does not exist yet. `within()` is the platform itself, of which everybody may know."""
    return Guarded(None, org_id=org_id, course_id=course_id, run_id=run_id, see=see)


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
        Unauthorized: a guest asks for what is not open to anyone, whether it exists or not.
        Forbidden: it is visible, but this is not allowed.
    """
    if guarded is None:
        if principal.kind == "guest" and "anyone" not in roles_with(permission):
            principal.person()
        raise missing()
    await _check(principal, permission, guarded, _relations(principal, fresh=fresh), missing)
    return guarded._value  # pyright: ignore[reportPrivateUsage]


async def permit_until(principal: Principal, permission: str, where: Guarded[T]) -> datetime | None:
    """Permit what gives a right away, and return when the caller's own right to it ends; None: it does not end.

    The owners of the relations are asked, not the cache, and once for both: see `permit` and `lasts_until`.

    Raises:
        NotFound, Unauthorized, Forbidden: see `permit`.
    """
    relations = _relations(principal, fresh=True)
    await _check(principal, permission, where, relations, NotFound)
    return (await _ends([permission], where, relations)).get(permission)


async def _check(
    principal: Principal, permission: str, guarded: Guarded[T], relations: Relations | None, missing: type[NotFound]
) -> None:
    if await _holds(principal, permission, guarded, relations):
        passing = passage.get()
        if passing is not None and guarded.org_id is not None:
            waiting = passing.enter_organization(guarded.org_id)
            if waiting is not None:
                await waiting
        return
    if principal.kind == "guest":
        principal.person()
    if await _is_visible(principal, guarded, relations):
        raise Forbidden(f"this needs the permission {permission}", permission=permission)
    raise missing()


async def permitted(
    principal: Principal,
    permission: str,
    find: Callable[[Connection, K], Awaitable[Guarded[T] | None]],
    id: K,
    *,
    missing: type[NotFound] = NotFound,
    fresh: bool = False,
) -> T:
    """Read one resource with `find(db, id)` on a connection of its own, and return its value if `principal` may do this to it.

    Raises:
        NotFound, Unauthorized, Forbidden: see `permit`.
    """
    async with read() as db:
        guarded = await find(db, id)
    return await permit(principal, permission, guarded, missing=missing, fresh=fresh)


async def named(principal: Principal, guarded: Guarded[T] | None, *, unknown: Problem, org_id: UUID | None = None) -> T:
    """Return what a request names by its id, if `principal` may know of it and, with `org_id`, it lies in that organization.

    Raises:
        `unknown`, in every other case: the answer does not tell whether there is such a thing.
    """
    if guarded is None or (org_id is not None and guarded.org_id != org_id):
        raise unknown
    if principal.kind != "platform" and not await _is_visible(principal, guarded, _relations(principal)):
        raise unknown
    return guarded._value  # pyright: ignore[reportPrivateUsage]


async def lacking(principal: Principal, permissions: Iterable[str], where: Guarded[T]) -> list[str]:
    """Return those permissions that `principal` does not hold there, asking each owner of a relation at most once."""
    relations = _relations(principal)
    return [name for name in permissions if not await _holds(principal, name, where, relations)]


async def lapsing(
    principal: Principal, permissions: Iterable[str], where: Guarded[T], until: datetime | None
) -> list[str]:
    """Return those permissions that `principal` holds there only by grants that end before `until`; None: that end at all."""
    ends = await _ends(permissions, where, _relations(principal))
    return [name for name, end in ends.items() if until is None or end < until]


async def lasts_until(principal: Principal, permissions: Iterable[str], where: Guarded[T]) -> datetime | None:
    """Return when the first of these permissions ends that `principal` holds there; None: none of them ends.

    Whatever they give away there must not last longer, or a right for half an hour becomes one for ever.
    """
    return min((await _ends(permissions, where, _relations(principal))).values(), default=None)


async def _ends(permissions: Iterable[str], where: Guarded[T], relations: Relations | None) -> dict[str, datetime]:
    """Return when those permissions end that are held there only by grants that end."""
    if relations is None:
        return {}
    grants = [grant for grant in await relations.grants_at(_places(where), certain=True) if _covers(grant, where)]
    found: dict[str, datetime] = {}
    for name in permissions:
        ends = [grant.expires_at for grant in grants if name in grant.permissions]
        timed = [end for end in ends if end is not None]
        if ends and len(timed) == len(ends) and roles_with(name).isdisjoint(("anyone", "signed_in", "member")):
            found[name] = max(timed)
    return found


async def reach_of(principal: Principal, permission: str) -> Reach:
    """Return everything that `principal` holds `permission` for, complete and never truncated.

    A session bound to an organization lists what lies in that organization: what relations hold elsewhere is left out, and so is
    what is the person's own or learnt, because neither says where it lies.

    Raises:
        Unauthorized: a guest asks for what is not open to anyone.
    """
    roles = roles_with(permission)
    if principal.kind == "platform" or "anyone" in roles:
        return Reach(everywhere=True)
    principal.person()
    if principal.scopes is not None and permission not in principal.scopes:
        return Reach()
    relations = Relations(principal)
    if "learner" in roles:
        return await _reach(principal, permission, relations)
    return await relations.reach(permission, lambda: _reach(principal, permission, relations))


async def _reach(principal: Principal, permission: str, relations: Relations) -> Reach:
    roles = roles_with(permission)
    grants = [grant for grant in await relations.grants() if permission in grant.permissions]
    orgs = {grant.org_id for grant in grants if grant.scope == "organization"}
    if "member" in roles:
        orgs |= set(await relations.organizations())
    bound = principal.bound_org
    if bound is not None and "signed_in" in roles:
        orgs = {bound}
    return Reach(
        everywhere=bound is None and ("signed_in" in roles or any(grant.scope == "platform" for grant in grants)),
        org_ids=tuple(org for org in orgs if org is not None),
        course_ids=tuple(grant.scope_id for grant in grants if grant.scope == "course" and grant.scope_id),
        run_ids=tuple(grant.scope_id for grant in grants if grant.scope == "run" and grant.scope_id)
        + (tuple(await relations.runs()) if "learner" in roles else ()),
        own=principal.person() if "self" in roles and bound is None else None,
    )


def _relations(principal: Principal, *, fresh: bool = False) -> Relations | None:
    """Return whom to ask about a principal; guests and the platform stand in no relation."""
    return None if principal.id is None else Relations(principal, fresh=fresh)


async def _holds(principal: Principal, permission: str, where: Guarded[T], relations: Relations | None) -> bool:
    if principal.kind == "platform":
        return True
    roles = roles_with(permission)
    if "anyone" in roles:
        return True
    if relations is None or (principal.scopes is not None and permission not in principal.scopes):
        return False
    if _is_cut_off(principal, where):
        return False
    if "signed_in" in roles or ("self" in roles and where.owner_id == principal.id):
        return True
    run_id, org_id, places = where.run_id, where.org_id, _places(where)
    # First what is known of the grants, then what is kept or answered; only before a no the owners are asked for certain.
    if _grants(permission, relations.known_grants_at(places), where):
        return True
    for certain in (False, True):
        if "learner" in roles and run_id is not None and await relations.learns_in(run_id, certain=certain):
            return True
        if "member" in roles and org_id is not None and await relations.is_member(org_id, certain=certain):
            return True
        if _grants(permission, await relations.grants_at(places, certain=certain), where):
            return True
    return False


def _grants(permission: str, grants: Iterable[GrantedScope], where: Guarded[T]) -> bool:
    return any(permission in grant.permissions and _covers(grant, where) for grant in grants)


def _is_cut_off(principal: Principal, where: Guarded[T]) -> bool:
    """Tell whether the session is bound to an organization and this lies elsewhere.

    What lies in no organization is elsewhere too, but for the person's own account.
    """
    bound = principal.bound_org
    return bound is not None and where.org_id != bound and (where.org_id is not None or where.owner_id != principal.id)


async def _is_visible(principal: Principal, guarded: Guarded[T], relations: Relations | None) -> bool:
    if _is_platform(guarded):
        return True
    if guarded.see is not None:
        return await _holds(principal, guarded.see, guarded, relations)
    return await _touches(principal, guarded, relations)


def _is_platform(where: Guarded[T]) -> bool:
    """Tell whether this names the platform itself: no resource, and no place in it."""
    resource = where._value  # pyright: ignore[reportPrivateUsage]
    named = (resource, where.org_id, where.course_id, where.run_id, where.owner_id)
    return all(each is None for each in named)


async def _touches(principal: Principal, where: Guarded[T], relations: Relations | None) -> bool:
    if relations is None or _is_cut_off(principal, where):
        return False
    org_id, places = where.org_id, _places(where)
    for certain in (False, True):
        if any(_covers(grant, where) for grant in await relations.grants_at(places, certain=certain)):
            return True
        if org_id is not None and await relations.is_member(org_id, certain=certain):
            return True
    return False


def _places(where: Guarded[T]) -> tuple[UUID | None, ...]:
    """Return the places on which a grant may cover this: the platform (None), its organization, course and run."""
    return (None, *(place for place in (where.org_id, where.course_id, where.run_id) if place is not None))


def _covers(grant: GrantedScope, where: Guarded[T]) -> bool:
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


@cache
def permissions_of_role(role: str) -> tuple[str, ...]:
    """Return the permissions of a built-in role, sorted."""
    return tuple(sorted(name for name, roles in _permissions().items() if role in roles))
