"""What a flag may say: types, variants, conditions, sizes, and that no flag depends on itself."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid5

import orjson

from api.platform.feature_flag.contract import (
    ConditionInvalid,
    FlagEntry,
    FlagId,
    PrerequisiteCycle,
    PrerequisiteUnknown,
    RampInvalid,
    RulesTooDeep,
    RulesTooLarge,
    UnknownVariant,
    VariantTypeMismatch,
)
from api.platform.feature_flag.flag.store import UNUSED_FOR
from api.platform.feature_flag.flag.wire import Condition, Rule
from cluster.base.ids import OrgId
from cluster.base.problems import Invalid
from cluster.people.flags import CompiledFlag, FlagRow, declared, type_of_variants
from cluster.people.flags.compiled import MOST_DEPTH, MOST_PREREQUISITES

MOST_BYTES = 64 * 1024
MOST_FLAGS = 500
"""Of one organization that are not archived."""
MOST_EVER = 5_000
"""Of one organization, with those that are archived: their keys stay taken."""
_CONDITIONS = 500
"""In all rules of a flag."""
_CHAIN = 3
"""Of prerequisites of prerequisites."""
_NAMESPACE = UUID("6f0c6d1c-6d3a-5f8e-9b56-1b0a6d9f3a61")
_OF_PLATFORM = re.compile(r"[a-z][a-z0-9_-]{0,49}(\.[a-z][a-z0-9_-]{0,49})+")
_OF_ORGANIZATION = re.compile(r"[a-z][a-z0-9_-]{0,99}")


def declared_id(key: str) -> FlagId:
    """Return the id of a flag that a service declares, the same on every host."""
    return FlagId(uuid5(_NAMESPACE, key))


def check_key(key: str, org_id: OrgId | None) -> None:
    """Return when a key is of the right form: the platform's have a dot, those of organizations none.

    Raises:
        Invalid
    """
    if not (_OF_PLATFORM if org_id is None else _OF_ORGANIZATION).fullmatch(key):
        form = (
            "words joined by dots, like course.new_outline"
            if org_id is None
            else "a word without a dot, like new-outline"
        )
        raise Invalid(f"the key of such a flag is {form}", pointer="/key")


def check_variants(variants: Mapping[str, Any]) -> None:
    """Raises: VariantTypeMismatch."""
    try:
        type_of_variants(variants)
    except ValueError:
        raise VariantTypeMismatch(
            "give all variants one type: true and false, texts, numbers, or objects", pointer="/variants"
        ) from None


def check_rules(rules: Sequence[Rule]) -> None:
    """Return when all rules can be evaluated.

    Raises:
        RulesTooDeep, RulesTooLarge, ConditionInvalid, RampInvalid
    """
    seen = 0
    for index, rule in enumerate(rules):
        if rule.when is not None:
            seen += _check_condition(rule.when, f"/rules/{index}/when", 0)
        if rule.percent is not None and rule.steps:
            raise RampInvalid("send `percent` or `steps`, not both", pointer=f"/rules/{index}/steps")
        times = [step.at for step in rule.steps]
        if any(after <= before for before, after in pairwise(times)):
            raise RampInvalid("give the steps in the order of their times", pointer=f"/rules/{index}/steps")
    if seen > _CONDITIONS:
        raise RulesTooLarge(f"use at most {_CONDITIONS} conditions in all rules together", pointer="/rules")


def _check_condition(condition: Condition, pointer: str, depth: int) -> int:
    """Return how many conditions it has."""
    if depth > MOST_DEPTH:
        raise RulesTooDeep(f"nest conditions at most {MOST_DEPTH} deep", pointer=pointer)
    sent = condition.model_fields_set
    if sent == {"all"} or sent == {"any"}:
        (name,) = sent
        inner: list[Condition] | None = getattr(condition, name)
        if not inner:
            raise ConditionInvalid("name at least one condition", pointer=f"{pointer}/{name}")
        return 1 + sum(_check_condition(each, f"{pointer}/{name}/{at}", depth + 1) for at, each in enumerate(inner))
    if sent == {"not_"} and condition.not_ is not None:
        return 1 + _check_condition(condition.not_, f"{pointer}/not", depth + 1)
    values = condition.values
    if sent != {"attribute", "operator", "values"} or condition.attribute is None or values is None:
        raise ConditionInvalid("send all, any or not alone, or attribute, operator and values", pointer=pointer)
    match condition.operator:
        case "in" | "starts_with" | "ends_with":
            fits = all(isinstance(value, str) for value in values)
            wanted = "texts"
        case "is":
            fits = len(values) == 1 and isinstance(values[0], bool)
            wanted = "one of true and false"
        case "at_least" | "below":
            fits = len(values) == 1 and isinstance(values[0], int | float) and not isinstance(values[0], bool)
            wanted = "one number"
        case None:
            fits, wanted = False, "values for an operator"
    if not fits:
        raise ConditionInvalid(f"`{condition.operator}` takes {wanted}", pointer=f"{pointer}/values")
    return 1


def check_definition(definition: Mapping[str, Any]) -> None:
    """Return when every variant that is named is there, and the whole is not too large.

    Raises:
        UnknownVariant, RulesTooLarge
    """
    known: dict[str, Any] = definition["variants"]
    named = [("/default_variant", definition["default_variant"]), ("/off_variant", definition["off_variant"])]
    for index, rule in enumerate(definition["rules"]):
        named += [(f"/rules/{index}/serve/{at}/variant", each["variant"]) for at, each in enumerate(rule["serve"])]
    for pointer, variant in named:
        if variant not in known:
            raise UnknownVariant(f"it has {', '.join(known)}", pointer=pointer)
    if len(orjson.dumps(definition)) > MOST_BYTES:
        raise RulesTooLarge(f"keep variants and rules together below {MOST_BYTES // 1024} KiB", pointer="/rules")


def check_prerequisites(key: str, definition: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> None:
    """Return when all flags that it needs are there, and none of them needs this one.

    Raises:
        PrerequisiteUnknown, UnknownVariant, PrerequisiteCycle, RulesTooDeep
    """
    for index, each in enumerate(definition["prerequisites"]):
        pointer = f"/prerequisites/{index}"
        if each["flag"] == key:
            raise PrerequisiteCycle("a flag cannot need itself", pointer=pointer)
        other = others.get(each["flag"])
        if other is None:
            raise PrerequisiteUnknown(
                "name another flag of the same owner that is not archived", pointer=f"{pointer}/flag"
            )
        for at, variant in enumerate(each["variants"]):
            if variant not in other["variants"]:
                raise UnknownVariant(
                    f"{each['flag']} has {', '.join(other['variants'])}", pointer=f"{pointer}/variants/{at}"
                )
    if len(definition["prerequisites"]) > MOST_PREREQUISITES:
        raise RulesTooLarge(f"need at most {MOST_PREREQUISITES} other flags", pointer="/prerequisites")
    known = {**others, key: definition}
    for start in known:
        _check_chain(start, known, ())


def _check_chain(key: str, known: Mapping[str, Mapping[str, Any]], path: tuple[str, ...]) -> None:
    if key in path:
        raise PrerequisiteCycle(f"these would need each other: {', '.join((*path, key))}", pointer="/prerequisites")
    if len(path) > _CHAIN:
        raise RulesTooDeep(f"chain at most {_CHAIN} prerequisites: {', '.join((*path, key))}", pointer="/prerequisites")
    for each in known.get(key, {}).get("prerequisites", ()):
        _check_chain(each["flag"], known, (*path, key))


def needing(key: str, others: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return the flags that need this one."""
    return [name for name, each in others if any(needed["flag"] == key for needed in each.get("prerequisites", ()))]


def stale_because(flag: FlagEntry, now: datetime) -> list[str]:
    """Return why a flag should go: `expired`, `unused`, `not_declared`."""
    if flag.state not in ("live", "killed"):
        return []
    reasons = {
        "expired": flag.expires_at is not None and flag.expires_at < now,
        "unused": (flag.last_used_at or flag.created_at) < now - UNUSED_FOR,
        "not_declared": flag.declared_by is not None and flag.key not in declared(),
    }
    return [reason for reason, holds in reasons.items() if holds]


def compiled(flag: FlagEntry) -> CompiledFlag:
    """Return what decides by a flag as it is stored."""
    return CompiledFlag(
        FlagRow(
            id=flag.id,
            key=flag.key,
            org_id=flag.org_id,
            state=flag.state,
            public=flag.public,
            definition={**flag.definition, "rules": [*flag.experiments, *flag.definition["rules"]]},
            seq=0,
        )
    )
