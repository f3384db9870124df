"""How decisions are shown."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from api.platform.moderation.contract import Action, CaseId, ClauseId, DecisionId
from cluster.base.ids import OrgId
from cluster.http import View


class DecisionView(View):
    """A decision: what was done, by which clause, and on which facts. Without actions nothing was wrong."""

    id: DecisionId
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    case_id: CaseId
    kind: str
    thing_id: UUID
    actions: list[Action]
    clause_id: ClauseId
    clause_version: int
    facts: str
    source: Annotated[Literal["report", "screening"], Field(validation_alias="source_kind")]
    until_at: datetime | None
    strikes: int
    reverses_id: DecisionId | None
    reversed_id: DecisionId | None
    created_at: datetime


class StatementView(DecisionView):
    """The statement of reasons (DSA, article 17): the decision, the words of the clause as it stood, and what one can do."""

    clause_code: str
    clause_title: str
    clause_text: str
    illegal: bool
    """It is against the law, not against the rules of this place alone."""
    automated_detection: bool
    automated_decision: Literal[False] = False
    url: str
    appeal_until: datetime | None
    """Until then `POST /v1/appeals` takes an appeal; null: there is nothing to appeal against."""
    redress: str
