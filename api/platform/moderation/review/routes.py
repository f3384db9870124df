"""HTTP of second reviews."""

from functools import partial

from fastapi import Response

from api.platform.moderation.contract import (
    ClauseId,
    DecisionId,
    DecisionNotFound,
    ExposureUsedUp,
    NothingToReview,
    OwnMatter,
    ReviewDone,
)
from api.platform.moderation.review import logic
from cluster.base.ids import OrgId
from cluster.http import Body, Caller, Router, View, once

router = Router("moderation")


class BlindView(View):
    """A thing to judge once more. What was decided about it is not told."""

    decision_id: DecisionId
    kind: str
    clause_id: ClauseId
    texts: dict[str, str]


class SecondReview(Body):
    """A second judgement: whether the thing is against the clause."""

    violates: bool


class ReviewedView(View):
    """A decision that was judged a second time."""

    decision_id: DecisionId
    clause_id: ClauseId


class AgreementView(View):
    """How far first and second judges agree on a clause: Krippendorff's alpha, 1 always, 0 as by chance."""

    clause_id: ClauseId
    code: str
    reviews: int
    alpha: float | None


class AgreementsView(View):
    clauses: list[AgreementView]


@router.get("/v1/moderation-decisions/-/second-review", raises=(NothingToReview, ExposureUsedUp))
async def next_review(caller: Caller) -> BlindView:
    """Return the next thing that waits for a second judge, who sees nothing of the first judgement."""
    found = await logic.next_review(caller)
    candidate = found.candidate
    return BlindView(
        decision_id=candidate.decision_id, kind=candidate.kind, clause_id=candidate.clause_id, texts=found.texts
    )


@router.post("/v1/moderation-decisions/{decision_id}/second-review", raises=(DecisionNotFound, OwnMatter, ReviewDone))
async def review(caller: Caller, decision_id: DecisionId, given: SecondReview, response: Response) -> ReviewedView:
    """Judge a decided thing once more. It measures agreement, and changes nothing about the decision."""
    work = logic.review(caller, decision_id, violates=given.violates)
    return ReviewedView.of(await once(response, work, partial(logic.get_reviewed, caller)))


@router.get("/v1/moderation-decisions/-/agreement")
async def get_agreement(caller: Caller, organization_id: OrgId | None = None) -> AgreementsView:
    """Return how far first and second judges of a year agree, by clause."""
    found = await logic.agreement(caller, organization_id)
    return AgreementsView(clauses=[AgreementView.of(each) for each in found])
