"""Flags: decisions that services leave to operators, taken in memory.

    SIGN_UP = Flag(name="user.sign_up", title="People may sign up", default="on", owner="accounts")     # offers.py

    if not flags.value(SIGN_UP, caller):            # logic.py: no await, no statement
        raise SignUpPaused(...)

feature_flag keeps the rules and answers `FlagSource`; every process keeps them too. While it is away the last rules count, and
before any were read the declared default.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import time
from typing import Any, Generic, TypeVar
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.people.flags.compiled import TARGETING_KEY, CompiledFlag, Context, Outcome
from cluster.people.flags.keeper import Keeper, changed, current, start, stop
from cluster.people.flags.offer import (
    Exposure,
    Flag,
    FlagRow,
    FlagSource,
    FlagType,
    declared,
    fits_type,
    type_of_variants,
)

__all__ = [
    "CompiledFlag",
    "Context",
    "Decision",
    "Exposure",
    "Flag",
    "FlagRow",
    "FlagSource",
    "FlagType",
    "Keeper",
    "Outcome",
    "changed",
    "context_of",
    "current",
    "decide",
    "declared",
    "fits_type",
    "start",
    "stop",
    "type_of_variants",
    "value",
]

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decision(Generic[T]):
    """What a flag decides, and why."""

    value: T
    variant: str
    reason: str
    """OpenFeature's: STATIC, TARGETING_MATCH, SPLIT, DEFAULT, DISABLED (it is killed) or ERROR (the declared default)."""
    rule: int | None = None


def value(
    flag: Flag[T],
    principal: Principal,
    *,
    org_id: OrgId | None = None,
    run_id: UUID | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> T:
    """Return what a flag decides for a principal: without a statement, a call or an await, and without ever failing.

    `attributes` are what else rules may ask for: `plan`, `roles`, `unit_id`, `locale`.
    """
    return decide(flag, principal, org_id=org_id, run_id=run_id, attributes=attributes).value


def decide(
    flag: Flag[T],
    principal: Principal,
    *,
    org_id: OrgId | None = None,
    run_id: UUID | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Decision[T]:
    """Return what `value` does, with the variant and why it is this one."""
    keeper = current()
    found = None if keeper is None else keeper.platform.get(flag.name)
    if keeper is None or found is None:
        return Decision(flag.variants[flag.default], flag.default, "DEFAULT")
    found.used = True
    try:
        outcome = found.fixed
        if outcome is None:
            context = context_of(principal, org_id=org_id, run_id=run_id, attributes=attributes)
            outcome = found.decide(context, time(), keeper.platform)
            if outcome.experiment is not None and outcome.unit is not None:
                keeper.expose(outcome.experiment.id, outcome.unit, outcome.variant)
        return Decision(flag.variants[outcome.variant], outcome.variant, outcome.reason, outcome.rule)
    except Exception as error:
        _report(flag.name, repr(error))
        return Decision(flag.variants[flag.default], flag.default, "ERROR")


def context_of(
    principal: Principal,
    *,
    org_id: OrgId | None = None,
    run_id: UUID | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what rules may ask for. What is not known is missing."""
    context: dict[str, Any] = {} if attributes is None else dict(attributes)
    context["kind"] = principal.kind
    if principal.id is not None:
        context[TARGETING_KEY] = str(principal.id)
    organization = org_id or principal.bound_org
    if organization is not None:
        context["organization_id"] = str(organization)
    if run_id is not None:
        context["run_id"] = str(run_id)
    return context


@lru_cache(maxsize=1000)
def _report(name: str, error: str) -> None:
    """Log once that a flag could not be decided."""
    log.warning("a flag cannot be decided: the declared default counts", extra={"flag": name, "error": error})
