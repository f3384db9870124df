"""What somebody may ask for: whose flags, and a tag of the rules by which they are decided."""

import hashlib
from collections.abc import Iterator, Mapping
from math import inf
from typing import NamedTuple

from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.base.problems import Problem
from cluster.people.access import lacking, within
from cluster.people.flags import CompiledFlag, Keeper


class Seen(NamedTuple):
    """Flags of the platform, and of an organization if one is named: all of them, or only the public ones."""

    org_id: OrgId | None
    all_of_platform: bool
    all_of_organization: bool

    def flags(self, keeper: Keeper) -> Iterator[CompiledFlag]:
        """Yield the flags as this process has them."""
        for flag in keeper.platform.values():
            if self.all_of_platform or flag.row.public:
                yield flag
        if self.org_id is not None:
            for flag in keeper.of(self.org_id).values():
                if self.all_of_organization or flag.row.public:
                    yield flag


class Rules(NamedTuple):
    """The rules of flags at a time."""

    digest: str
    """The same in every process that has the same rules."""
    until: float
    """Unix time at which a step of a ramp changes them; infinity: none does."""


async def holds(
    caller: Principal, permission: str, org_id: OrgId | None, known: dict[tuple[str, OrgId | None], bool]
) -> bool:
    """Tell whether the caller has a permission there; `known` keeps it for the rest of a request.

    Raises:
        Unavailable: nobody can say.
    """
    asked = (permission, org_id)
    if asked not in known:
        try:
            known[asked] = not await lacking(caller, [permission], within(org_id=org_id))
        except Problem as problem:
            if problem.status == 503:
                raise
            known[asked] = False
    return known[asked]


def permission_for(org_id: OrgId | None) -> str:
    """Return what asking for a flag of this owner needs that is not public."""
    return "flag:read" if org_id is None else "flag:evaluate"


async def seen_by(caller: Principal, org_id: OrgId | None) -> Seen:
    """Return what the caller may ask for.

    Raises:
        Unavailable: nobody can say.
    """
    known: dict[tuple[str, OrgId | None], bool] = {}
    everything = await holds(caller, permission_for(None), None, known)
    return Seen(org_id, everything, org_id is not None and await holds(caller, permission_for(org_id), org_id, known))


def rules_of(keeper: Keeper, seen: Seen, now_s: float) -> Rules:
    """Return the rules by which these flags are decided now, with those of the flags that they need."""
    digest, until = hashlib.sha256(), inf
    deciding: dict[tuple[OrgId | None, str], CompiledFlag] = {}
    for flag in seen.flags(keeper):
        _add(deciding, flag, keeper.of(flag.row.org_id))
    for (_, key), flag in sorted(deciding.items(), key=lambda each: (str(each[0][0]), each[0][1])):
        passed = 0
        for at in (step["at"] for rule in flag.row.definition.get("rules", ()) for step in rule.get("steps") or ()):
            if at <= now_s:
                passed += 1
            else:
                until = min(until, at)
        digest.update(f"{key} {flag.row.seq} {passed}\n".encode())
    return Rules(digest.hexdigest()[:32], until)


def _add(
    found: dict[tuple[OrgId | None, str], CompiledFlag], flag: CompiledFlag, others: Mapping[str, CompiledFlag]
) -> None:
    place = (flag.row.org_id, flag.row.key)
    if place not in found:
        found[place] = flag
        for key, _ in flag.prerequisites:
            if (other := others.get(key)) is not None:
                _add(found, other, others)
