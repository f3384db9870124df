"""What the platform has to publish about its decisions.

Source: DSA (EU) 2022/2065, articles 15, 24(5); the Transparency Database's API, version 2.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast

from api.platform.moderation.contract import Category, DecisionId
from api.platform.moderation.decision import store
from api.platform.moderation.decision.store import Decision
from api.platform.moderation.review.logic import Agreement, measure
from api.platform.moderation.rules import DSA_CATEGORIES, dsa_account, dsa_visibility
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.data import read
from cluster.people.access import Reach, permit, within


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Numbers of a time (DSA, article 15)."""

    reports: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    appeals: dict[str, Any]
    agreement: list[Agreement]
    """Of first and second judges, by clause."""


async def _reach(caller: Principal, org_id: OrgId | None) -> Reach:
    await permit(caller, "moderation-transparency:read", within(org_id=org_id))
    return Reach(everywhere=True) if org_id is None else Reach(org_ids=(org_id,))


def _times(since: date, until: date) -> tuple[datetime, datetime]:
    """Return the begin of the first day and the end of the last one."""
    begin = datetime.combine(since, time(), UTC)
    return begin, datetime.combine(until, time(), UTC) + timedelta(days=1)


async def count(caller: Principal, org_id: OrgId | None, since: date, until: date) -> Counts:
    """Count the reports, decisions and appeals of an organization, or of everything, from a day to a day."""
    reach = await _reach(caller, org_id)
    begin, end = _times(since, until)
    async with read() as db:
        return Counts(
            reports=await store.count_reports(db, reach, begin, end),
            decisions=await store.count_decisions(db, reach, begin, end),
            appeals=await store.count_appeals(db, reach, begin, end),
            agreement=await measure(db, reach, begin, end),
        )


async def list_statements(
    caller: Principal,
    org_id: OrgId | None,
    since: date,
    until: date,
    *,
    ids: list[DecisionId] | None,
    before: DecisionId | None,
    limit: int,
) -> list[tuple[Decision, str, dict[str, Any]]]:
    """List the decisions that restricted something, as the Transparency Database takes them; newest first."""
    reach = await _reach(caller, org_id)
    begin, end = _times(since, until)
    async with read() as db:
        return await store.list_statements(db, reach, begin, end, ids=ids, before=before, limit=limit)


def statement_of(decision: Decision, category: str, texts: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a decision as the Transparency Database names them. It names no person and quotes no text."""
    illegal = category == "illegal"
    words = texts.get("en") or next(iter(texts.values()))
    ground = "illegal_content_explanation" if illegal else "incompatible_content_explanation"
    return {
        "id": decision.id,
        "puid": str(decision.id),
        "decision_visibility": dsa_visibility(decision.actions),
        "decision_account": dsa_account(decision.actions, decision.until_at),
        "decision_ground": "DECISION_GROUND_ILLEGAL_CONTENT" if illegal else "DECISION_GROUND_INCOMPATIBLE_CONTENT",
        "legal_ground": words["title"] if illegal else None,
        "incompatible_content_ground": None if illegal else words["title"],
        "explanation": words["text"],
        "explanation_field": ground,
        "category": DSA_CATEGORIES[cast(Category, category)],
        "content_type": ["CONTENT_TYPE_TEXT"],
        "application_date": decision.created_at.date(),
        "end_date_account_restriction": None if decision.until_at is None else decision.until_at.date(),
        "source_type": "SOURCE_ARTICLE_16" if decision.source_kind == "report" else "SOURCE_VOLUNTARY",
        "automated_detection": "Yes" if decision.source_kind == "screening" else "No",
        "automated_decision": "AUTOMATED_DECISION_NOT_AUTOMATED",
        "territorial_scope": ["EU"],
    }
