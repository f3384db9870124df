"""HTTP of clauses."""

from datetime import datetime
from typing import Annotated

from fastapi import Response
from pydantic import AfterValidator, ConfigDict, Field

from api.platform.moderation.clause import logic
from api.platform.moderation.contract import Category, ClauseId, ClauseNotFound, CodeTaken
from cluster.base.ids import OrgId
from cluster.base.problems import Stale
from cluster.http import Answer, Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, View

router = Router("moderation")

Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
Severity = Annotated[int, Field(ge=1, le=5, description="5 is looked at first")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=40, examples=["no-ads"])]


class ClauseText(Body):
    title: Annotated[str, Field(min_length=1, max_length=200, examples=["No advertising"])]
    text: Annotated[str, Field(min_length=1, max_length=5000, examples=["Do not advertise outside of the market."])]


def _some(texts: dict[str, ClauseText]) -> dict[str, ClauseText]:
    if not texts:
        raise ValueError("write it in at least one language")
    return texts


Texts = Annotated[
    dict[Language, ClauseText],
    Field(
        max_length=50,
        description="By language (BCP 47)",
        examples=[{"en": {"title": "No advertising", "text": "Do not advertise outside of the market."}}],
    ),
    AfterValidator(_some),
]


class NewClause(Body):
    """A clause; without an organization it holds on the whole platform."""

    organization_id: OrgId | None = None
    code: Code
    category: Category
    severity: Severity
    texts: Texts


class ClausePatch(Patch):
    """Changes of a clause: they make its next version. Languages that are not named stay."""

    category: Category = "other"
    severity: Severity = 1
    texts: Texts = {}
    retired: bool = False

    model_config = ConfigDict(json_schema_extra={"examples": [{"severity": 2}]})


class ClauseView(View):
    id: ClauseId
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    code: str
    category: Category
    severity: int
    texts: dict[str, ClauseText]
    version: int
    retired_at: datetime | None
    created_at: datetime
    updated_at: datetime


CLAUSE = Answer(get=logic.get_clause, view=ClauseView, etag="version", path="/v1/moderation-clauses/{id}")


@router.post("/v1/moderation-clauses", status_code=201, raises=(CodeTaken,))
async def create_clause(caller: Caller, new: NewClause, response: Response) -> ClauseView:
    """Write a clause: for an organization by its administrators, for all by those of the platform."""
    texts = {language: text.model_dump() for language, text in new.texts.items()}
    made = logic.create_clause(
        caller, new.organization_id, code=new.code, category=new.category, severity=new.severity, texts=texts
    )
    return await CLAUSE.created(response, caller, made)


@router.get("/v1/moderation-clauses")
async def list_clauses(
    caller: Caller, paging: Paging, organization_id: OrgId | None = None, id: Several[ClauseId] = None
) -> Page[ClauseView]:
    """List the clauses of the platform, and those of an organization beside them."""
    after = paging.after(org=organization_id, id=id)
    found = await logic.list_clauses(
        caller, organization_id, ids=id, after=ClauseId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(found, render=ClauseView.of)


@router.get("/v1/moderation-clauses/{clause_id}", raises=(ClauseNotFound,))
async def get_clause(caller: Caller, clause_id: ClauseId, response: Response) -> ClauseView:
    """Return a clause as it is now."""
    return CLAUSE.show(response, await logic.get_clause(caller, clause_id))


@router.patch("/v1/moderation-clauses/{clause_id}", raises=(ClauseNotFound, Stale))
async def change_clause(
    caller: Caller, clause_id: ClauseId, changes: ClausePatch, version: IfMatch, response: Response
) -> ClauseView:
    """Write the next version of a clause. Decisions keep the version that they cite."""
    sent = changes.changes()
    if "texts" in sent:
        sent["texts"] = {language: text.model_dump() for language, text in changes.texts.items()}
    return await CLAUSE.once(response, caller, logic.change_clause(caller, clause_id, sent, version))
