"""The SQL of appeals and of the questions and answers in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from api.platform.moderation.contract import AppealId, AppealState, CaseId, DecisionId
from cluster.base.ids import OrgId, UserId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Appeal:
    id: AppealId
    org_id: OrgId | None
    decision_id: DecisionId
    case_id: CaseId
    filed_by: UserId | None
    text: str
    state: AppealState
    heard_by: UserId | None
    heard_at: datetime | None
    answer: str
    messages: int
    version: int
    created_at: datetime
    answered_at: datetime | None
    sealed: bool
    """The case of its decision is sealed."""


_APPEAL = """id, org_id, decision_id, case_id, filed_by, text, state, heard_by, heard_at, answer, messages, version, created_at,
    answered_at, (SELECT sealed FROM moderation.decisions d WHERE d.id = decision_id) AS sealed"""
FIND_APPEAL = "SELECT " + _APPEAL + " FROM moderation.appeals WHERE id = $appeal_id"


async def find_appeal(db: Connection, appeal_id: AppealId) -> Guarded[Appeal] | None:
    appeal = await db.maybe(Appeal, FIND_APPEAL, appeal_id=appeal_id)
    if appeal is None:
        return None
    return Guarded(appeal, org_id=appeal.org_id, owner_id=appeal.filed_by, see="appeal:read")


LOCK_APPEAL = FIND_APPEAL + " FOR UPDATE"


async def lock_appeal(tx: Transaction, appeal_id: AppealId) -> Appeal | None:
    return await tx.maybe(Appeal, LOCK_APPEAL, appeal_id=appeal_id)


FIND_OF_DECISION = "SELECT id FROM moderation.appeals WHERE decision_id = $decision_id"


async def find_of_decision(tx: Transaction, decision_id: DecisionId) -> AppealId | None:
    return await tx.value(FIND_OF_DECISION, decision_id=decision_id)


LIST_APPEALS = (
    "SELECT "
    + _APPEAL
    + """ FROM moderation.appeals
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[]) OR filed_by = $own)
      AND ($sealed_everywhere OR org_id = ANY($sealed_org_ids::uuid[]) OR filed_by = $own
          OR NOT (SELECT sealed FROM moderation.decisions d WHERE d.id = decision_id))
      AND ($org_id::uuid IS NULL OR org_id = $org_id) AND ($states::text[] IS NULL OR state = ANY($states))
      AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_appeals(
    db: Connection,
    reach: Reach,
    sealed: Mapping[str, object],
    *,
    org_id: OrgId | None,
    states: list[AppealState] | None,
    ids: list[AppealId] | None,
    before: AppealId | None,
    limit: int,
) -> list[Appeal]:
    """List appeals within reach and the caller's own, newest first."""
    return await db.all(
        Appeal, LIST_APPEALS, reach, **sealed, org_id=org_id, states=states, ids=ids, before=before, limit=limit
    )


INSERT_APPEAL = (
    """INSERT INTO moderation.appeals (id, org_id, decision_id, case_id, filed_by, text, state, created_at)
    VALUES ($appeal_id, $org_id, $decision_id, $case_id, $filed_by, $text, 'filed', $now)
    ON CONFLICT (decision_id) DO NOTHING RETURNING """
    + _APPEAL
)


async def insert_appeal(
    tx: Transaction,
    appeal_id: AppealId,
    *,
    org_id: OrgId | None,
    decision_id: DecisionId,
    case_id: CaseId,
    filed_by: UserId,
    text: str,
) -> Appeal | None:
    """Insert an appeal; None when there is one against this decision."""
    return await tx.maybe(
        Appeal,
        INSERT_APPEAL,
        appeal_id=appeal_id,
        org_id=org_id,
        decision_id=decision_id,
        case_id=case_id,
        filed_by=filed_by,
        text=text,
    )


UPDATE_HEARD = (
    """UPDATE moderation.appeals SET state = 'heard', heard_by = $by, heard_at = $now, version = version + 1
    WHERE id = $appeal_id RETURNING """
    + _APPEAL
)


async def update_heard(tx: Transaction, appeal_id: AppealId, by: UserId) -> Appeal:
    return await tx.one(Appeal, UPDATE_HEARD, appeal_id=appeal_id, by=by)


UPDATE_ANSWERED = (
    """UPDATE moderation.appeals SET state = $state, answer = $answer, answered_at = $now, version = version + 1
    WHERE id = $appeal_id RETURNING """
    + _APPEAL
)


async def update_answered(tx: Transaction, appeal_id: AppealId, state: AppealState, answer: str) -> Appeal:
    return await tx.one(Appeal, UPDATE_ANSWERED, appeal_id=appeal_id, state=state, answer=answer)


UPDATE_COUNTED = """
UPDATE moderation.appeals SET messages = messages + 1, version = version + 1 WHERE id = $appeal_id RETURNING version
"""


async def update_counted(tx: Transaction, appeal_id: AppealId) -> int:
    """Count one more message, and return the version of the appeal."""
    return await tx.value(UPDATE_COUNTED, appeal_id=appeal_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A question of the judge, or what the author says."""

    id: UUID
    role: Literal["judge", "author"]
    text: str
    created_at: datetime


_MESSAGE = "id, role, text, created_at"
INSERT_MESSAGE = (
    """INSERT INTO moderation.appeal_messages (id, appeal_id, org_id, sent_by, role, text, created_at)
    VALUES ($message_id, $appeal_id, $org_id, $sent_by, $role, $text, $now) RETURNING """
    + _MESSAGE
)


async def insert_message(
    tx: Transaction, message_id: UUID, appeal: Appeal, sent_by: UserId, role: Literal["judge", "author"], text: str
) -> Message:
    return await tx.one(
        Message,
        INSERT_MESSAGE,
        message_id=message_id,
        appeal_id=appeal.id,
        org_id=appeal.org_id,
        sent_by=sent_by,
        role=role,
        text=text,
    )


LIST_MESSAGES = (
    "SELECT "
    + _MESSAGE
    + """ FROM moderation.appeal_messages
    WHERE appeal_id = $appeal_id AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($after::uuid IS NULL OR id > $after)
    ORDER BY id LIMIT $limit"""
)


async def list_messages(
    db: Connection, appeal_id: AppealId, *, ids: list[UUID] | None, after: UUID | None, limit: int
) -> list[Message]:
    """List the questions and answers of an appeal, the oldest first."""
    return await db.all(Message, LIST_MESSAGES, appeal_id=appeal_id, ids=ids, after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class Answered:
    """How an appeal ended."""

    state: AppealState
    answer: str


FIND_ANSWER = "SELECT state, answer FROM moderation.appeals WHERE id = $appeal_id AND state IN ('upheld', 'reversed')"


async def find_answer(db: Connection, appeal_id: AppealId) -> Answered | None:
    return await db.maybe(Answered, FIND_ANSWER, appeal_id=appeal_id)
