"""Decisions of grants that need no database: where a role may be granted, until when, and whether an owner stays."""

from collections.abc import Collection
from datetime import datetime

from api.core.rbac.contract import LastOwner, RoleDoesNotFit
from cluster.base.ids import UserId
from cluster.base.problems import FieldError, Invalid
from cluster.people.access import ScopeKind

_WIDTH: dict[ScopeKind, int] = {"platform": 4, "organization": 3, "unit": 2, "course": 1, "run": 0}


def check_fits(role: str, role_scope: ScopeKind, granted_at: ScopeKind) -> None:
    """Check that a role made for `role_scope` may be granted at `granted_at`: there, or wider up to the organization.

    Raises:
        RoleDoesNotFit
    """
    if role_scope == "platform":
        fits = granted_at == "platform"
    else:
        fits = granted_at != "platform" and _WIDTH[granted_at] >= _WIDTH[role_scope]
    if not fits:
        raise RoleDoesNotFit(
            f"the role {role} is for the scope {role_scope}: grant it there"
            + ("" if role_scope in ("platform", "organization") else " or for the whole organization"),
            pointer="/scope",
        )


def check_an_owner_stays(owners: Collection[UserId], leaving: UserId) -> None:
    """Check that somebody else is an owner when `leaving` is none any more.

    Raises:
        LastOwner
    """
    if leaving in owners and len(set(owners)) == 1:
        raise LastOwner("make somebody else an owner first; POST /v1/organizations/{id}/transfer does it in one step")


def check_end(role: str, expires_at: datetime | None, now: datetime) -> None:
    """Check that a grant of this role may end by itself then.

    Raises:
        RoleDoesNotFit: owners stay until they are replaced.
        Invalid: the end is past.
    """
    if expires_at is not None and expires_at <= now:
        detail = "this time has passed: name a later one, or leave expires_at out"
        raise Invalid(errors=(FieldError("/expires_at", "time-has-passed", detail),))
    if role == "org_owner" and expires_at is not None:
        raise RoleDoesNotFit("an owner has no end date: leave expires_at out", pointer="/expires_at")
