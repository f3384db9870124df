"""The SQL of rules."""

from dataclasses import dataclass
from datetime import datetime

from api.platform.moderation.contract import ClauseId, RuleEffect, RuleId, RuleKind, RuleState
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What somebody says of a rule."""

    clause_id: ClauseId
    kind: RuleKind
    effect_kind: RuleEffect
    label: str
    entries: list[str]
    places: list[str]
    least_strikes: int
    state: RuleState


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRule(Details):
    id: RuleId
    org_id: OrgId | None
    version: int
    created_at: datetime
    updated_at: datetime


_RULE = """id, org_id, clause_id, kind, effect_kind, label, entries, places, least_strikes, state, version, created_at,
    updated_at"""
FIND_RULE = "SELECT " + _RULE + " FROM moderation.rules WHERE id = $rule_id"


async def find_rule(db: Connection, rule_id: RuleId) -> Guarded[StoredRule] | None:
    rule = await db.maybe(StoredRule, FIND_RULE, rule_id=rule_id)
    return None if rule is None else Guarded(rule, org_id=rule.org_id, see="moderation-rule:read")


LOCK_RULE = FIND_RULE + " FOR UPDATE"


async def lock_rule(tx: Transaction, rule_id: RuleId) -> StoredRule | None:
    return await tx.maybe(StoredRule, LOCK_RULE, rule_id=rule_id)


LIST_RULES = (
    "SELECT "
    + _RULE
    + """ FROM moderation.rules
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[])) AND ($org_id::uuid IS NULL OR org_id = $org_id)
      AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($after::uuid IS NULL OR id < $after)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_rules(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    ids: list[RuleId] | None,
    after: RuleId | None,
    limit: int,
) -> list[StoredRule]:
    return await db.all(StoredRule, LIST_RULES, reach, org_id=org_id, ids=ids, after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is to match: of an organization, or of the platform."""

    rules: int
    patterns: int
    chars: int


COUNT_RULES = """
SELECT count(*) AS rules, coalesce(sum(cardinality(entries)) FILTER (WHERE kind = 'patterns'), 0)::bigint AS patterns,
    coalesce(sum(length(array_to_string(entries, ''))), 0)::bigint AS chars
FROM moderation.rules WHERE org_id = $org_id OR (org_id IS NULL AND $org_id::uuid IS NULL)
"""


async def count_rules(tx: Transaction, org_id: OrgId | None) -> Size:
    return await tx.one(Size, COUNT_RULES, org_id=org_id)


INSERT_RULE = (
    """INSERT INTO moderation.rules (id, org_id, clause_id, kind, effect_kind, label, entries, places, least_strikes, state,
        created_at, updated_at)
    VALUES ($rule_id, $org_id, $clause_id, $kind, $effect_kind, $label, $entries, $places, $least_strikes, $state, $now, $now)
    RETURNING """
    + _RULE
)


async def insert_rule(tx: Transaction, rule_id: RuleId, org_id: OrgId | None, details: Details) -> StoredRule:
    return await tx.one(StoredRule, INSERT_RULE, details, rule_id=rule_id, org_id=org_id)


UPDATE_RULE = (
    """UPDATE moderation.rules SET effect_kind = $effect_kind, label = $label, entries = $entries, places = $places,
        least_strikes = $least_strikes, state = $state, version = version + 1, updated_at = $now
    WHERE id = $id RETURNING """
    + _RULE
)


async def update_rule(tx: Transaction, rule: StoredRule) -> StoredRule:
    return await tx.one(StoredRule, UPDATE_RULE, rule)


# Things of 30 days that somebody reported or a rule held, as they were then.
LIST_LATEST_TEXTS = """
SELECT c.kind, s.texts FROM moderation.contents s JOIN moderation.cases c ON c.id = s.case_id
WHERE s.seen_at > $now::timestamptz - interval '30 days' AND ($org_id::uuid IS NULL OR s.org_id = $org_id)
ORDER BY s.seen_at DESC LIMIT 1000
"""


async def list_latest_texts(db: Connection, org_id: OrgId | None, now: datetime) -> list[tuple[str, dict[str, str]]]:
    """List what moderators were shown in the last 30 days in an organization, or everywhere: kind and texts."""
    return [(row["kind"], row["texts"]) for row in await db.rows(LIST_LATEST_TEXTS, org_id=org_id, now=now)]
