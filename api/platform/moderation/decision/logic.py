"""Use cases of decisions: judge a case, and give the reasons to whom it concerns."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from api.core.rbac.contract import BeyondOwnRights, RbacCalls
from api.platform.moderation.case import store as cases
from api.platform.moderation.case.content import digest, find_content, kinds
from api.platform.moderation.case.sealing import (
    find_permitted,
    in_sealed_reach,
    note_read,
    permit_sealed,
    sealed_reach,
)
from api.platform.moderation.case.store import Case
from api.platform.moderation.clause import store as clauses
from api.platform.moderation.clause.logic import get_citable
from api.platform.moderation.clause.store import Clause
from api.platform.moderation.contract import (
    Action,
    ActionUnknown,
    CaseDecided,
    CaseId,
    CaseNotFound,
    ClauseId,
    Content,
    Decided,
    DecisionId,
    DecisionNotFound,
    LeaseNeeded,
    OwnMatter,
)
from api.platform.moderation.decision import store
from api.platform.moderation.decision.store import Decision
from api.platform.moderation.report import store as reports
from api.platform.moderation.rules import APPEAL_WITHIN, TO_AUTHORS, TO_THINGS, in_force, is_reviewed, strikes_of
from cluster.base.away import is_away
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import FieldError
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import lacking, permitted, reach_of, within
from cluster.people.calls import client


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A decision with what it cites, as its author is told."""

    decision: Decision
    clause: Clause
    """As it was when it was cited."""
    url: str
    appeal_until: datetime | None


async def decide(
    caller: Principal,
    case_id: CaseId,
    *,
    actions: Sequence[Action],
    clause_id: ClauseId,
    facts: str,
    until_at: datetime | None,
) -> Decision:
    """Judge a case that the caller has taken. Its reports are answered, its author gets the reasons, and its service acts.

    Raises:
        CaseNotFound, CaseDecided, LeaseNeeded, OwnMatter, ClauseUnknown, ActionUnknown, BeyondOwnRights
    """
    case = await find_permitted(caller, "moderation-case:judge", case_id)
    user_id = caller.person()
    clause = await get_citable(clause_id, case.org_id)
    _check_actions(case, actions, until_at, datetime.now(UTC))
    if "ban" in actions and case.org_id is not None and case.user_id is not None:
        await _check_may_ban(caller, case.user_id, case.org_id)
    content = await _content(case)
    decision_id = DecisionId(new_id())
    async with write(caller, result=decision_id, status=201) as tx:
        present = await cases.lock_case(tx, case_id)
        if present is None:
            raise CaseNotFound
        if present.state == "decided":
            raise CaseDecided("a decision is changed by an appeal of its author alone")
        if present.state != "leased" or present.leased_by != user_id:
            raise LeaseNeeded(f"POST /v1/moderation-cases/{case_id}/lease, look at it, and decide within ten minutes")
        if await cases.find_is_party(tx, case_id, user_id):
            raise OwnMatter("somebody else judges what you wrote or reported")
        decision = Decision(
            id=decision_id,
            org_id=present.org_id,
            course_id=present.course_id,
            case_id=case_id,
            kind=present.kind,
            thing_id=present.thing_id,
            user_id=present.user_id,
            actions=list(actions),
            clause_id=clause.id,
            clause_version=clause.version,
            facts=facts,
            source_kind=present.source_kind,
            until_at=until_at,
            strikes=strikes_of(actions),
            decided_by=user_id,
            reverses_id=None,
            reversed_id=None,
            wants_review=is_reviewed(secrets.randbits(32)),
            sealed=present.sealed,
            created_at=tx.now,
        )
        await store.insert_decision(tx, decision)
        sha256 = None if content is None else digest(content.texts)
        if content is not None and sha256 is not None:
            await cases.insert_content(tx, case_id, content, sha256)
        version = await cases.update_decided(tx, case_id, sha256)
        await reports.update_answered(tx, case_id, decision_id, "acted" if actions else "kept")
        _tell(tx, decision, in_force(actions), version)
    return decision


async def reverse(tx: Transaction, first: Decision, by: Principal, answer: str) -> Decision:
    """Reverse a decision in the transaction that answers its appeal: what it did to thing and author is undone."""
    if await cases.lock_case(tx, first.case_id) is None:
        raise CaseNotFound
    decision = Decision(
        id=DecisionId(new_id()),
        org_id=first.org_id,
        course_id=first.course_id,
        case_id=first.case_id,
        kind=first.kind,
        thing_id=first.thing_id,
        user_id=first.user_id,
        actions=[],
        clause_id=first.clause_id,
        clause_version=first.clause_version,
        facts=answer,
        source_kind=first.source_kind,
        until_at=None,
        strikes=0,
        decided_by=by.person(),
        reverses_id=first.id,
        reversed_id=None,
        wants_review=False,
        sealed=first.sealed,
        created_at=tx.now,
    )
    await store.insert_decision(tx, decision)
    version = await cases.update_reversed(tx, first.case_id)
    _tell(tx, decision, in_force(await store.find_in_force(tx, first.case_id)), version)
    return decision


def _tell(tx: Transaction, decision: Decision, holds: tuple[Action, ...], version: int) -> None:
    event = Decided(
        case_id=decision.case_id,
        decision_id=decision.id,
        org_id=decision.org_id,
        kind=decision.kind,
        thing_id=decision.thing_id,
        user_id=decision.user_id,
        actions=tuple(decision.actions),
        in_force=holds,
        until_at=decision.until_at,
        reverses_id=decision.reverses_id,
    )
    emit(tx, event, version=version)


async def _content(case: Case) -> Content | None:
    """Return what the thing says now, to be kept beside the decision; None: nobody knows."""
    try:
        return await find_content(case.kind, case.thing_id)
    except Exception as error:
        if not is_away(error):
            raise
        return None


def _check_actions(case: Case, actions: Sequence[Action], until_at: datetime | None, now: datetime) -> None:
    """Check that this can be done to a thing and its author.

    Raises:
        ActionUnknown
    """
    offered = kinds()[case.kind][1].actions if case.kind in kinds() else ()
    errors: list[FieldError] = []
    for number, action in enumerate(actions):
        pointer = f"/actions/{number}"
        if action in TO_THINGS and action not in offered:
            errors.append(FieldError(pointer, "action-unknown", f"choose of {', '.join((*offered, *TO_AUTHORS))}"))
        if action in TO_AUTHORS and case.user_id is None:
            errors.append(FieldError(pointer, "author-unknown", "nobody is known to have written it"))
    timed = {"mute", "ban"} & set(actions)
    if until_at is not None and (not timed or until_at <= now):
        errors.append(
            FieldError("/until_at", "until-unfit", "a mute or a ban ends at a time to come; nothing else ends")
        )
    if "mute" in actions and until_at is None:
        errors.append(FieldError("/until_at", "until-missing", "say when the mute ends"))
    if errors:
        raise ActionUnknown(errors=tuple(errors))


async def _check_may_ban(caller: Principal, user_id: UserId, org_id: OrgId) -> None:
    """Check that a ban takes no rights from its author that the caller lacks. Who judges for the platform may ban everybody.

    Raises:
        BeyondOwnRights
    """
    missing = await client(RbacCalls).lacking_against(caller, user_id, org_id)
    if missing and await lacking(caller, ["moderation-case:judge"], within()):
        raise BeyondOwnRights(
            "this author may do more than you here; leave the ban to an owner or to the platform's moderators",
            permissions=missing,
        )


async def get_decision(caller: Principal, decision_id: DecisionId) -> Statement:
    """Return a decision with its reasons, to its author and to those who judge."""
    decision = await permitted(
        caller, "moderation-decision:read", store.find_guarded, decision_id, missing=DecisionNotFound
    )
    await permit_sealed(
        caller,
        sealed=decision.sealed,
        org_id=decision.org_id,
        missing=DecisionNotFound,
        author=decision.user_id,
    )
    if decision.sealed and caller.id != decision.user_id:
        await note_read(caller, decision.case_id, decision.org_id, 1, sealed=True, part="decision")
    async with read() as db:
        clause = await clauses.find_clause_at(db, decision.clause_id, decision.clause_version)
        case = await cases.get_case(db, decision.case_id)
    if clause is None:
        raise DecisionNotFound
    may_appeal = bool(decision.actions) and decision.reversed_id is None
    return Statement(
        decision=decision,
        clause=clause,
        url=case.url,
        appeal_until=decision.created_at + APPEAL_WITHIN if may_appeal else None,
    )


async def list_decisions(
    caller: Principal,
    *,
    org_id: OrgId | None,
    case_id: CaseId | None,
    ids: list[DecisionId] | None,
    before: DecisionId | None,
    limit: int,
) -> list[Decision]:
    """List the decisions about the caller, and those of places where the caller judges; newest first."""
    reach = await reach_of(caller, "moderation-decision:read")
    sealed = in_sealed_reach(await sealed_reach(caller))
    async with read() as db:
        return await store.list_decisions(
            db, reach, sealed, org_id=org_id, case_id=case_id, ids=ids, before=before, limit=limit
        )
