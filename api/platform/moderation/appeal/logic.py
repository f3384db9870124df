"""Use cases of appeals: file, hear, ask and answer, uphold or reverse."""

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from api.platform.moderation.appeal import store
from api.platform.moderation.appeal.store import Appeal, Message
from api.platform.moderation.case import store as cases
from api.platform.moderation.case.sealing import in_sealed_reach, note_read, permit_sealed, sealed_reach
from api.platform.moderation.contract import (
    AppealAnswered,
    AppealAsked,
    AppealExists,
    AppealFiled,
    AppealId,
    AppealNotFound,
    AppealOver,
    AppealState,
    AppealTaken,
    AppealTooLate,
    DecisionId,
    DecisionNotFound,
    FirstJudge,
    HearingNeeded,
    NotAppealable,
    OwnMatter,
)
from api.platform.moderation.decision import logic as decisions
from api.platform.moderation.decision import store as decision_store
from api.platform.moderation.rules import HEARING, may_appeal
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.data import read, write
from cluster.events import emit
from cluster.people.access import permitted, reach_of

MAX_MESSAGES = 100
Outcome = Literal["upheld", "reversed"]


async def file_appeal(caller: Principal, decision_id: DecisionId, text: str) -> Appeal:
    """Appeal against a decision about what the caller wrote.

    Raises:
        DecisionNotFound, NotAppealable, AppealTooLate, AppealExists
    """
    decision = await permitted(
        caller, "moderation-decision:read", decision_store.find_guarded, decision_id, missing=DecisionNotFound
    )
    user_id = caller.person()
    if decision.user_id != user_id:
        raise NotAppealable("whoever wrote it may appeal")
    if not decision.actions or decision.reversed_id is not None:
        raise NotAppealable("the decision restricts nothing")
    if not may_appeal(decision.created_at, datetime.now(UTC)):
        raise AppealTooLate("an appeal is filed within six months; courts and dispute settlement bodies stay open")
    appeal_id = AppealId(new_id())
    async with write(caller, result=appeal_id, status=201) as tx:
        appeal = await store.insert_appeal(
            tx,
            appeal_id,
            org_id=decision.org_id,
            decision_id=decision_id,
            case_id=decision.case_id,
            filed_by=user_id,
            text=text,
        )
        if appeal is None:
            present = await store.find_of_decision(tx, decision_id)
            raise AppealExists("say more in a message to it", appeal_id=str(present))
        event = AppealFiled(
            appeal_id=appeal_id,
            decision_id=decision_id,
            org_id=appeal.org_id,
            filed_by=appeal.filed_by,
            sealed=appeal.sealed,
        )
        emit(tx, event, version=appeal.version)
    return appeal


async def get_appeal(caller: Principal, appeal_id: AppealId) -> Appeal:
    appeal = await _permitted(caller, "appeal:read", appeal_id)
    if appeal.sealed and caller.id != appeal.filed_by:
        await note_read(caller, appeal.case_id, appeal.org_id, 1, sealed=True, part="appeal")
    return appeal


async def _permitted(caller: Principal, permission: str, appeal_id: AppealId) -> Appeal:
    """Return an appeal if the caller may do this to it, and see it when its case is sealed.

    Raises:
        AppealNotFound
    """
    appeal = await permitted(caller, permission, store.find_appeal, appeal_id, missing=AppealNotFound)
    await permit_sealed(
        caller, sealed=appeal.sealed, org_id=appeal.org_id, missing=AppealNotFound, author=appeal.filed_by
    )
    return appeal


async def list_appeals(
    caller: Principal,
    *,
    org_id: OrgId | None,
    states: list[AppealState] | None,
    ids: list[AppealId] | None,
    before: AppealId | None,
    limit: int,
) -> list[Appeal]:
    """List the caller's appeals, and those of places where the caller judges; newest first."""
    reach = await reach_of(caller, "appeal:read")
    sealed = in_sealed_reach(await sealed_reach(caller))
    async with read() as db:
        return await store.list_appeals(
            db, reach, sealed, org_id=org_id, states=states, ids=ids, before=before, limit=limit
        )


async def hear(caller: Principal, appeal_id: AppealId) -> Appeal:
    """Take an appeal. One that its judge has not answered within a week may be taken by somebody else.

    Raises:
        AppealNotFound, AppealOver, AppealTaken, FirstJudge, OwnMatter
    """
    await _permitted(caller, "appeal:hear", appeal_id)
    user_id = caller.person()
    async with write(caller, result=appeal_id) as tx:
        appeal = await store.lock_appeal(tx, appeal_id)
        if appeal is None:
            raise AppealNotFound
        decision = await decision_store.find_decision(tx, appeal.decision_id)
        if decision is not None and decision.decided_by == user_id:
            raise FirstJudge("leave it to another moderator, or to the platform's")
        if appeal.filed_by == user_id or await cases.find_is_party(tx, appeal.case_id, user_id):
            raise OwnMatter("somebody else hears an appeal about what you wrote or reported")
        if appeal.state in ("upheld", "reversed"):
            raise AppealOver("it is answered")
        if appeal.heard_by == user_id:
            return appeal
        if appeal.heard_at is not None and appeal.heard_at > tx.now - HEARING:
            raise AppealTaken("take another one")
        return await store.update_heard(tx, appeal_id, user_id)


async def answer(caller: Principal, appeal_id: AppealId, outcome: Outcome, text: str) -> Appeal:
    """Uphold or reverse the decision. A reversal restores the thing, and its author's standing.

    Raises:
        AppealNotFound, AppealOver, HearingNeeded
    """
    seen = await _permitted(caller, "appeal:hear", appeal_id)
    user_id = caller.person()
    async with write(caller, result=appeal_id) as tx:
        # The case before the appeal, as whoever decides it anew holds it.
        await cases.lock_case(tx, seen.case_id)
        appeal = await store.lock_appeal(tx, appeal_id)
        if appeal is None:
            raise AppealNotFound
        if appeal.state in ("upheld", "reversed"):
            raise AppealOver("an answer is final here")
        if appeal.heard_by != user_id:
            raise HearingNeeded(f"POST /v1/appeals/{appeal_id}/hear")
        answered = await store.update_answered(tx, appeal_id, outcome, text)
        first = await decision_store.find_decision(tx, appeal.decision_id)
        if outcome == "reversed" and first is not None:
            await decisions.reverse(tx, first, caller, text)
        event = AppealAnswered(
            appeal_id=appeal_id,
            decision_id=appeal.decision_id,
            org_id=appeal.org_id,
            filed_by=appeal.filed_by,
            state=outcome,
        )
        emit(tx, event, version=answered.version)
    return answered


async def send_message(caller: Principal, appeal_id: AppealId, text: str) -> Message:
    """Ask the author, or answer the judge, while the appeal is open.

    Raises:
        AppealNotFound, AppealOver, HearingNeeded
    """
    seen = await _permitted(caller, "appeal:read", appeal_id)
    user_id = caller.person()
    is_author = seen.filed_by == user_id
    message_id = new_id()
    async with write(caller, result=message_id, status=201) as tx:
        appeal = await store.lock_appeal(tx, appeal_id)
        if appeal is None:
            raise AppealNotFound
        if appeal.state in ("upheld", "reversed") or appeal.messages >= MAX_MESSAGES:
            raise AppealOver("nothing more can be said")
        if not is_author and appeal.heard_by != user_id:
            raise HearingNeeded(f"POST /v1/appeals/{appeal_id}/hear")
        message = await store.insert_message(tx, message_id, appeal, user_id, "author" if is_author else "judge", text)
        version = await store.update_counted(tx, appeal_id)
        event = AppealAsked(
            appeal_id=appeal_id,
            decision_id=appeal.decision_id,
            org_id=appeal.org_id,
            filed_by=appeal.filed_by,
            sent_by=user_id,
            heard_by=appeal.heard_by,
        )
        emit(tx, event, version=version)
    return message


async def list_messages(
    caller: Principal, appeal_id: AppealId, *, ids: list[UUID] | None, after: UUID | None, limit: int
) -> list[Message]:
    """List what judge and author said, the oldest first."""
    await get_appeal(caller, appeal_id)
    async with read() as db:
        return await store.list_messages(db, appeal_id, ids=ids, after=after, limit=limit)


async def get_message(caller: Principal, appeal_id: AppealId, message_id: UUID) -> Message:
    """Return a message that was sent before."""
    return (await list_messages(caller, appeal_id, ids=[message_id], after=None, limit=1))[0]
