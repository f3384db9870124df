"""Use cases of second reviews: judge once more without seeing the first judgement, and measure how far both agree."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.platform.moderation.case.sealing import in_sealed_reach, permit_sealed, sealed_reach, tell_read
from api.platform.moderation.contract import (
    ClauseId,
    DecisionId,
    DecisionNotFound,
    NothingToReview,
    OwnMatter,
    ReviewDone,
)
from api.platform.moderation.exposure.logic import budget_of, exposure_of, spend
from api.platform.moderation.review import store
from api.platform.moderation.review.store import Candidate
from api.platform.moderation.rules import alpha
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.data import Connection, read, write
from cluster.people.access import Reach, permit, permitted, reach_of, within

_MEASURED = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """What a second judge is shown: the thing and the clause, and nothing of the decision."""

    candidate: Candidate
    texts: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far first and second judges agree on a clause."""

    clause_id: ClauseId
    code: str
    reviews: int
    alpha: float | None


async def next_review(caller: Principal) -> Blind:
    """Return the oldest decision that waits for a second judge like the caller.

    Raises:
        NothingToReview, ExposureUsedUp
    """
    reach = await reach_of(caller, "moderation-case:judge")
    sealed = in_sealed_reach(await sealed_reach(caller))
    user_id = caller.person()
    exposure = await exposure_of(user_id, None)
    async with read() as db:
        day = datetime.now(UTC).date()
        candidate = await store.find_waiting(db, reach, sealed, user_id, severest=exposure.severest, day=day)
    if candidate is None:
        raise NothingToReview(
            f"cases up to severity {exposure.severest} are offered to you until {exposure.until_at:%H:%M} UTC"
        )
    budget = await budget_of(candidate.org_id)
    async with write(caller) as tx:
        await spend(
            tx,
            user_id,
            candidate.case_id,
            "second_review",
            candidate.org_id,
            severity=candidate.severity,
            budget=budget,
        )
        if candidate.sealed:
            tell_read(tx, caller, candidate.case_id, candidate.org_id, 1, "second_review")
    async with read() as db:
        return Blind(candidate=candidate, texts=await store.find_texts(db, candidate.case_id))


async def review(caller: Principal, decision_id: DecisionId, *, violates: bool) -> Candidate:
    """Judge a decided thing once more. It changes nothing about the decision.

    Raises:
        DecisionNotFound, OwnMatter, ReviewDone
    """
    candidate = await permitted(
        caller, "moderation-case:judge", store.find_candidate, decision_id, missing=DecisionNotFound
    )
    await permit_sealed(caller, sealed=candidate.sealed, org_id=candidate.org_id, missing=DecisionNotFound)
    user_id = caller.person()
    if user_id in (candidate.decided_by, candidate.user_id):
        raise OwnMatter("somebody else judges it a second time")
    if not candidate.is_waiting:
        raise ReviewDone("GET /v1/moderation-decisions/-/second-review names the next one")
    async with write(caller, result=decision_id) as tx:
        if not await store.insert_review(tx, new_id(), candidate, user_id, second_acted=violates):
            raise ReviewDone("somebody else was faster")
    return candidate


async def get_reviewed(caller: Principal, decision_id: DecisionId) -> Candidate:
    """Return what was reviewed before."""
    return await permitted(caller, "moderation-case:judge", store.find_candidate, decision_id, missing=DecisionNotFound)


async def agreement(caller: Principal, org_id: OrgId | None) -> list[Agreement]:
    """Return by clause how far first and second judges agreed in a year, in an organization or everywhere."""
    await permit(caller, "moderation-transparency:read", within(org_id=org_id))
    reach = Reach(everywhere=True) if org_id is None else Reach(org_ids=(org_id,))
    now = datetime.now(UTC)
    async with read() as db:
        return await measure(db, reach, now - _MEASURED, now)


async def measure(db: Connection, reach: Reach, since: datetime, until: datetime) -> list[Agreement]:
    """Return by clause how far first and second judges agreed in a time."""
    rows = await store.list_judgements(db, reach, since, until)
    units: dict[tuple[ClauseId, str], list[tuple[bool, bool]]] = {}
    for row in rows:
        units.setdefault((row["clause_id"], row["code"]), []).append((row["first_acted"], row["second_acted"]))
    return [
        Agreement(clause_id=clause_id, code=code, reviews=len(pairs), alpha=alpha(pairs))
        for (clause_id, code), pairs in sorted(units.items(), key=lambda each: each[0][1])
    ]
