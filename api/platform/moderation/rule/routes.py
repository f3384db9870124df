"""HTTP of rules."""

from datetime import datetime
from typing import Annotated

from fastapi import Response
from pydantic import ConfigDict, Field

from api.platform.moderation.contract import (
    ClauseId,
    ClauseUnknown,
    EntryRefused,
    RuleEffect,
    RuleId,
    RuleKind,
    RuleNotFound,
    RuleState,
    TooManyRules,
)
from api.platform.moderation.rule import logic
from api.platform.moderation.rule.store import Details
from cluster.base.ids import OrgId
from cluster.base.problems import Stale
from cluster.http import (
    Answer,
    Body,
    Caller,
    IfMatch,
    Page,
    Paging,
    Patch,
    Router,
    Several,
    View,
)

router = Router("moderation")

Label = Annotated[str, Field(min_length=1, max_length=200, examples=["Insults"])]
Entry = Annotated[str, Field(min_length=1, max_length=500)]
Entries = Annotated[
    list[Entry],
    Field(
        min_length=1,
        max_length=10_000,
        description="Words and phrases, RE2 patterns, or names of hosts",
        examples=[["numbskull"]],
    ),
]
Places = Annotated[
    list[Annotated[str, Field(max_length=40)]],
    Field(max_length=20, description="Kinds of things; none: all", examples=[["course"]]),
]
Strikes = Annotated[int, Field(ge=0, le=100, description="Counts for authors with at least so many strikes")]


class NewRule(Body):
    """A rule; without an organization it holds on the whole platform."""

    organization_id: OrgId | None = None
    clause_id: ClauseId
    kind: RuleKind
    effect: RuleEffect
    label: Label
    entries: Entries
    places: Places = []
    least_strikes: Strikes = 0
    state: RuleState = "draft"

    def details(self) -> Details:
        return Details(
            clause_id=self.clause_id,
            kind=self.kind,
            effect_kind=self.effect,
            label=self.label,
            entries=self.entries,
            places=self.places,
            least_strikes=self.least_strikes,
            state=self.state,
        )


class TriedRule(NewRule):
    """A rule, and a text to try it on."""

    text: Annotated[str, Field(max_length=64 * 1024, examples=["What a numbskull."])]
    language: Annotated[str | None, Field(max_length=35, examples=["en"])] = None


class RulePatch(Patch):
    """Changes of a rule."""

    effect: RuleEffect = "hold"
    label: Label = ""
    entries: Entries = []
    places: Places = []
    least_strikes: Strikes = 0
    state: RuleState = "draft"

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "active"}]})


class RuleView(View):
    id: RuleId
    organization_id: Annotated[OrgId | None, Field(validation_alias="org_id")]
    clause_id: ClauseId
    kind: RuleKind
    effect: Annotated[RuleEffect, Field(validation_alias="effect_kind")]
    label: str
    entries: list[str]
    places: list[str]
    least_strikes: int
    state: RuleState
    created_at: datetime
    updated_at: datetime


class FindingView(View):
    """What a rule finds in a text."""

    pointer: str
    effect: RuleEffect
    clause_id: ClauseId
    clause: str
    matched: str


class TrialView(View):
    """What a rule would have found in a text, and in the things of the last 30 days that moderators were shown."""

    findings: list[FindingView]
    tried: int
    found: int


RULE = Answer(get=logic.get_rule, view=RuleView, etag="version", path="/v1/moderation-rules/{id}")


@router.post("/v1/moderation-rules", status_code=201, raises=(ClauseUnknown, EntryRefused, TooManyRules))
async def create_rule(caller: Caller, new: NewRule, response: Response) -> RuleView:
    """Write a rule by which texts are screened. A draft does nothing: try it, then make it active."""
    return await RULE.created(response, caller, logic.create_rule(caller, new.organization_id, new.details()))


@router.get("/v1/moderation-rules")
async def list_rules(
    caller: Caller, paging: Paging, organization_id: OrgId | None = None, id: Several[RuleId] = None
) -> Page[RuleView]:
    """List the rules that the caller may see, newest first."""
    after = paging.after(org=organization_id, id=id)
    found = await logic.list_rules(
        caller, org_id=organization_id, ids=id, after=RuleId(after[0]) if after else None, limit=paging.rows
    )
    return paging.page(found, render=RuleView.of)


@router.get("/v1/moderation-rules/{rule_id}", raises=(RuleNotFound,))
async def get_rule(caller: Caller, rule_id: RuleId, response: Response) -> RuleView:
    """Return a rule."""
    return RULE.show(response, await logic.get_rule(caller, rule_id))


@router.patch("/v1/moderation-rules/{rule_id}", raises=(RuleNotFound, EntryRefused, TooManyRules, Stale))
async def change_rule(
    caller: Caller, rule_id: RuleId, changes: RulePatch, version: IfMatch, response: Response
) -> RuleView:
    """Change a rule, or switch it on or off. It holds everywhere within a moment."""
    sent = changes.changes()
    if "effect" in sent:
        sent["effect_kind"] = sent.pop("effect")
    return await RULE.once(response, caller, logic.change_rule(caller, rule_id, sent, version))


@router.post("/v1/moderation-rules/-/try", raises=(ClauseUnknown, EntryRefused))
async def try_rule(caller: Caller, tried: TriedRule) -> TrialView:
    """Tell what a rule finds in a text, and in what moderators were shown of the last 30 days. Nothing is stored."""
    trial = logic.try_rule(caller, tried.organization_id, tried.details(), tried.text, tried.language)
    return TrialView.of(await trial)
