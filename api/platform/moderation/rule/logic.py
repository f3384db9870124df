"""Use cases of rules: write them, try them, switch them on and off."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from api.platform.moderation.case.content import kinds
from api.platform.moderation.clause.logic import get_citable
from api.platform.moderation.contract import EntryRefused, Finding, RuleId, RuleNotFound, TooManyRules
from api.platform.moderation.rule import store
from api.platform.moderation.rule.store import Details, StoredRule
from api.platform.moderation.screening import kept
from api.platform.moderation.screening.matching import Matcher, Rule, check_entries
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import FieldError, Stale
from cluster.data import Transaction, read, write
from cluster.people.access import permit, permitted, reach_of, within

MAX_RULES = 1_000
MAX_PATTERNS = 1_000
MAX_CHARS = 2_000_000
"""Each of an organization, and of the platform: every process that screens its texts holds them compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a rule would have found."""

    findings: list[Finding]
    tried: int
    """How many things of the last 30 days were looked at."""
    found: int
    """In how many of them it found something."""


async def create_rule(caller: Principal, org_id: OrgId | None, details: Details) -> StoredRule:
    """Write a rule of an organization, or of the platform.

    Raises:
        ClauseUnknown, EntryRefused, TooManyRules
    """
    await permit(caller, "moderation-rule:edit", within(org_id=org_id))
    await get_citable(details.clause_id, org_id)
    _check_places(details.places)
    await asyncio.to_thread(check_entries, details.kind, details.entries)
    rule_id = RuleId(new_id())
    async with write(caller, result=rule_id, status=201) as tx:
        await tx.take_turns("moderation.rules", org_id)
        kept.drop(tx)
        rule = await store.insert_rule(tx, rule_id, org_id, details)
        await _check_size(tx, org_id)
    return rule


async def _check_size(tx: Transaction, org_id: OrgId | None) -> None:
    """Check that what is stored now can be held in memory.

    Raises:
        TooManyRules
    """
    size = await store.count_rules(tx, org_id)
    if size.rules > MAX_RULES:
        raise TooManyRules(f"there are {MAX_RULES} rules: put entries of the same kind into one")
    if size.patterns > MAX_PATTERNS:
        raise TooManyRules(f"there are {MAX_PATTERNS} patterns: words and hosts may be more", pointer="/entries")
    if size.chars > MAX_CHARS:
        raise TooManyRules(f"all entries together have {MAX_CHARS} characters at most", pointer="/entries")


def _check_places(places: Collection[str]) -> None:
    """Check that there are such kinds of things.

    Raises:
        EntryRefused
    """
    known = ", ".join(sorted(kinds()))
    errors = [
        FieldError(f"/places/{number}", "place-unknown", f"choose of {known}")
        for number, place in enumerate(places)
        if place not in kinds()
    ]
    if errors:
        raise EntryRefused(errors=tuple(errors))


async def get_rule(caller: Principal, rule_id: RuleId) -> StoredRule:
    return await permitted(caller, "moderation-rule:read", store.find_rule, rule_id, missing=RuleNotFound)


async def list_rules(
    caller: Principal, *, org_id: OrgId | None, ids: list[RuleId] | None, after: RuleId | None, limit: int
) -> list[StoredRule]:
    reach = await reach_of(caller, "moderation-rule:read")
    async with read() as db:
        return await store.list_rules(db, reach, org_id=org_id, ids=ids, after=after, limit=limit)


async def change_rule(
    caller: Principal, rule_id: RuleId, changes: Mapping[str, Any], expected_version: int
) -> StoredRule:
    """Change a rule, switch it on (`state`: active) or off.

    Raises:
        RuleNotFound, EntryRefused, TooManyRules, Stale
    """
    rule = await permitted(caller, "moderation-rule:edit", store.find_rule, rule_id, missing=RuleNotFound)
    _check_places(changes.get("places", ()))
    if "entries" in changes:
        await asyncio.to_thread(check_entries, rule.kind, changes["entries"])
    async with write(caller, result=rule_id) as tx:
        await tx.take_turns("moderation.rules", rule.org_id)
        present = await store.lock_rule(tx, rule_id)
        if present is None:
            raise RuleNotFound
        if present.version != expected_version:
            raise Stale(present.version)
        kept.drop(tx)
        changed = await store.update_rule(tx, replace(present, **changes))
        await _check_size(tx, rule.org_id)
    return changed


async def try_rule(caller: Principal, org_id: OrgId | None, details: Details, text: str, language: str | None) -> Trial:
    """Tell what a rule finds in a text, and in what moderators were shown of the last 30 days. Nothing is stored.

    Raises:
        ClauseUnknown, EntryRefused
    """
    await permit(caller, "moderation-rule:edit", within(org_id=org_id))
    clause = await get_citable(details.clause_id, org_id)
    await asyncio.to_thread(check_entries, details.kind, details.entries)
    rule = Rule(
        id=RuleId(new_id()),
        clause_id=clause.id,
        clause=clause.title(),
        kind=details.kind,
        effect_kind=details.effect_kind,
        entries=details.entries,
        places=[],
        least_strikes=0,
    )
    async with read() as db:
        shown = await store.list_latest_texts(db, org_id, datetime.now(UTC))
    return await asyncio.to_thread(_try, rule, text, language, shown)


def _try(rule: Rule, text: str, language: str | None, shown: list[tuple[str, dict[str, str]]]) -> Trial:
    matcher = Matcher([rule])
    findings = matcher.find({"/text": text}, kind="", language=language, strikes=0)
    found = sum(bool(matcher.find(texts, kind=kind, language=None, strikes=0)) for kind, texts in shown)
    return Trial(findings=findings, tried=len(shown), found=found)
