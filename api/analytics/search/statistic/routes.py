"""HTTP of statistics."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import Field

from api.analytics.search.contract import AnswerNotFound, ClickUnknown, Named
from api.analytics.search.statistic import answer, logic
from api.analytics.search.statistic.logic import Period
from api.analytics.search.statistic.store import AskedQuery
from cluster.base.ids import OrgId
from cluster.http import Body, Caller, Page, Paging, Router, View

router = Router("search")


class Click(Body):
    """Which document of an answer was opened."""

    answer_id: Annotated[str, Field(max_length=answer.MOST_CHARACTERS, description="Of the answer of a search.")]
    kind: Annotated[str, Field(max_length=40, examples=["course"])]
    id: UUID
    position: Annotated[int, Field(ge=1, le=200, description="In the answer's items, the first of which is 1.")]


class AskedView(View):
    """A question that at least five members asked."""

    query: str
    language: Annotated[str, Field(description="In which it was asked; `und`: in none.")]
    people: Annotated[int, Field(description="Different ones, at least: a person is known for 30 days.")]
    asked: int
    unanswered: Annotated[int, Field(description="How often nothing was found.")]
    clicked: Annotated[int, Field(description="How often something was opened.")]
    click_rate: float
    mean_reciprocal_position: Annotated[
        float | None, Field(description="Mean of 1/position of what was opened: 1 when it is always the first.")
    ]


@router.post("/v1/search/-/clicks", status_code=204, raises=(AnswerNotFound, ClickUnknown))
async def click(caller: Caller, click: Click) -> Response:
    """Count that a document of an answer was opened. However often it is told, an answer counts once."""
    await logic.click(caller, click.answer_id, Named(click.kind, click.id), click.position)
    return Response(status_code=204)


@router.get("/v1/search/-/report", cost=10)
async def report(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId,
    period: Period = "month",
    language: Annotated[str | None, Query(max_length=35, description="BCP 47; its region does not count.")] = None,
    unanswered: Annotated[
        bool, Query(description="Only those of which nothing was found, the most frequent first.")
    ] = False,
) -> Page[AskedView]:
    """List what at least five members of an organization asked, the most frequent first."""
    after = paging.after(
        int, str, str, sort="-asked", org=organization_id, period=period, language=language, unanswered=unanswered
    )
    found = await logic.report(
        caller,
        organization_id,
        period=period,
        language=language,
        unanswered=unanswered,
        after=(after[0], after[1], after[2]) if after else None,
        limit=paging.rows,
    )
    return paging.page(found, key=lambda each: (each.rank, each.query, each.language), render=_view)


def _view(asked: AskedQuery) -> AskedView:
    return AskedView(
        query=asked.query,
        language=asked.language,
        people=asked.people,
        asked=asked.asked,
        unanswered=asked.unanswered,
        clicked=asked.clicked,
        click_rate=asked.clicked / asked.asked,
        mean_reciprocal_position=asked.mean_reciprocal_position,
    )
