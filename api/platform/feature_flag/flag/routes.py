"""HTTP of flags."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import AwareDatetime, ConfigDict, Field

from api.platform.feature_flag.contract import (
    ConditionInvalid,
    FlagEntry,
    FlagId,
    FlagInUse,
    FlagIsDeclared,
    FlagKeyTaken,
    FlagNotFound,
    FlagState,
    FlagStateConflict,
    OwnerUnknown,
    PrerequisiteCycle,
    PrerequisiteUnknown,
    RampInvalid,
    RulesTooDeep,
    RulesTooLarge,
    TooManyFlags,
    UnknownVariant,
    VariantTypeMismatch,
)
from api.platform.feature_flag.flag import logic
from api.platform.feature_flag.flag.rules import check_rules, stale_because
from api.platform.feature_flag.flag.store import FlagVersion
from api.platform.feature_flag.flag.wire import Prerequisite, Rule, Variant, shown_rule, stored_rule
from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Stale
from cluster.http import Answer, Body, Caller, IfMatch, Page, Paging, Patch, Router, Several, View
from cluster.people.flags import FlagType, type_of_variants

router = Router("feature_flag")

_POISON = (
    RulesTooDeep,
    RulesTooLarge,
    UnknownVariant,
    ConditionInvalid,
    RampInvalid,
    PrerequisiteUnknown,
    PrerequisiteCycle,
)
Title = Annotated[str, Field(min_length=1, max_length=200, examples=["The new outline"])]
Owner = Annotated[
    str, Field(min_length=1, max_length=100, description="The team that answers for it", examples=["learning"])
]
OwnerId = Annotated[
    UserId | None,
    Field(
        description="The person who answers for it, and is told when it is killed; null: who administrates flags there"
    ),
]
Rules = Annotated[list[Rule], Field(max_length=50)]
Prerequisites = Annotated[list[Prerequisite], Field(max_length=20)]


class NewFlag(Body):
    """A flag to draft; without an organization it is the platform's."""

    organization_id: OrgId | None = None
    key: Annotated[str, Field(min_length=1, max_length=101, examples=["new-outline"])]
    title: Title
    owner: Owner
    owner_id: OwnerId = None
    public: Annotated[bool, Field(description="Clients of everybody may ask for it, guests too")] = False
    variants: Annotated[
        dict[Variant, Any], Field(min_length=2, max_length=20, examples=[{"on": True, "off": False}])
    ] = {"on": True, "off": False}
    default_variant: Annotated[Variant, Field(description="Holds where no rule decides")] = "off"
    off_variant: Annotated[Variant, Field(description="Holds when the flag is killed")] = "off"
    prerequisites: Prerequisites = []
    rules: Rules = []
    expires_at: Annotated[AwareDatetime | None, Field(description="By when it should be gone")] = None


class FlagPatch(Patch):
    """Changes of a flag. Of one that a service declares: not `title`, `owner`, `public` and `off_variant`."""

    title: Title = ""
    owner: Owner = ""
    owner_id: OwnerId = None
    public: bool = False
    default_variant: Variant = ""
    off_variant: Variant = ""
    prerequisites: Prerequisites = []
    rules: Rules = []
    expires_at: AwareDatetime | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"rules": [{"percent": 25.0, "serve": [{"variant": "on"}]}]}]}
    )


class ServeView(View):
    variant: str
    weight: int


class StepView(View):
    at: datetime
    percent: float


class RuleView(View):
    """A rule as it was sent."""

    name: str
    when: dict[str, Any] | None
    by: str
    percent: float | None
    steps: list[StepView]
    serve: list[ServeView]


class PrerequisiteView(View):
    flag: str
    variants: list[str]


class FlagView(View):
    """A flag."""

    id: FlagId
    organization_id: OrgId | None
    key: str
    declared_by: str | None = Field(description="The service that declares it, and asks for it")
    title: str
    owner: str
    owner_id: UserId | None
    public: bool
    state: FlagState
    type: FlagType
    variants: dict[str, Any]
    default_variant: str
    off_variant: str
    prerequisites: list[PrerequisiteView]
    rules: list[RuleView]
    stale: list[str] = Field(
        description="Why it should go: expired, unused (for 30 days), not_declared (by any service)"
    )
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="Within ten minutes")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, resource: object) -> "FlagView":
        """Make the view of a flag."""
        assert isinstance(resource, FlagEntry)
        definition = resource.definition
        return cls(
            id=resource.id,
            organization_id=resource.org_id,
            key=resource.key,
            declared_by=resource.declared_by,
            title=resource.title,
            owner=resource.owner,
            owner_id=resource.owner_id,
            public=resource.public,
            state=resource.state,
            stale=stale_because(resource, datetime.now(UTC)),
            expires_at=resource.expires_at,
            last_used_at=resource.last_used_at,
            created_at=resource.created_at,
            updated_at=resource.updated_at,
            **_shown(definition),
        )


class FlagVersionView(View):
    """What a flag decided from a time on."""

    version: int
    state: FlagState
    type: FlagType
    variants: dict[str, Any]
    default_variant: str
    off_variant: str
    prerequisites: list[PrerequisiteView]
    rules: list[RuleView]
    changed_at: datetime

    @classmethod
    def of(cls, resource: object) -> "FlagVersionView":
        """Make the view of a version."""
        assert isinstance(resource, FlagVersion)
        shown = _shown(resource.definition)
        return cls(version=resource.version, state=resource.state, changed_at=resource.changed_at, **shown)


class Question(Body):
    """A context, as a client would send it over OFREP."""

    context: Annotated[
        dict[str, Any], Field(examples=[{"targetingKey": "01890a5d-ac96-774b-bcce-b302099a8057", "plan": "pro"}])
    ]


class ExplanationView(View):
    """What a flag decides for a context, and why."""

    value: Any
    variant: str
    reason: str
    rule: str | None
    because: list[str]
    version: int


def _shown(definition: dict[str, Any]) -> dict[str, Any]:
    return {**definition, "rules": [shown_rule(rule) for rule in definition["rules"]]}


FLAG = Answer(get=logic.get_flag, view=FlagView, etag="version", path="/v1/flags/{id}")


@router.post(
    "/v1/flags", status_code=201, raises=(FlagKeyTaken, TooManyFlags, OwnerUnknown, VariantTypeMismatch, *_POISON)
)
async def create_flag(caller: Caller, new: NewFlag, response: Response) -> FlagView:
    """Draft a flag of an organization, or of the platform."""
    check_rules(new.rules)
    fields = new.model_dump(include={"title", "owner", "owner_id", "public", "expires_at"})
    definition = {
        "variants": new.variants,
        "default_variant": new.default_variant,
        "off_variant": new.off_variant,
        **_stored(new.prerequisites, new.rules),
    }
    fields["definition"] = definition | {"type": _type(new.variants)}
    return await FLAG.created(response, caller, logic.create_flag(caller, new.organization_id, new.key, fields))


@router.get("/v1/flags")
async def list_flags(
    caller: Caller,
    paging: Paging,
    organization_id: OrgId | None = None,
    key: Annotated[str | None, Query(max_length=101)] = None,
    state: Several[FlagState] = None,
    stale: Annotated[bool, Query(description="Only flags that expired, or that nobody asked for in 30 days")] = False,
    id: Several[FlagId] = None,
) -> Page[FlagView]:
    """List the flags that the caller may see, newest first."""
    after = paging.after(org=organization_id, key=key, state=state, stale=stale, id=id)
    found = await logic.list_flags(
        caller,
        org_id=organization_id,
        ids=id,
        key=key,
        states=state,
        stale=stale,
        before=FlagId(after[0]) if after else None,
        limit=paging.rows,
    )
    return paging.page(found, render=FlagView.of)


@router.get("/v1/flags/{flag_id}", raises=(FlagNotFound,))
async def get_flag(caller: Caller, flag_id: FlagId, response: Response) -> FlagView:
    """Return a flag."""
    return FLAG.show(response, await logic.get_flag(caller, flag_id))


@router.patch(
    "/v1/flags/{flag_id}", raises=(FlagNotFound, FlagIsDeclared, FlagStateConflict, OwnerUnknown, Stale, *_POISON)
)
async def change_flag(
    caller: Caller, flag_id: FlagId, patch: FlagPatch, version: IfMatch, response: Response
) -> FlagView:
    """Change a flag. Every process decides by the change within two seconds."""
    check_rules(patch.rules)
    changes = {name: getattr(patch, name) for name in patch.model_fields_set}
    definition = {name: changes.pop(name) for name in ("default_variant", "off_variant") if name in changes}
    stored = _stored(patch.prerequisites, patch.rules)
    definition |= {name: stored[name] for name in ("prerequisites", "rules") if changes.pop(name, None) is not None}
    return await FLAG.once(response, caller, logic.change_flag(caller, flag_id, changes, definition, version))


@router.post("/v1/flags/{flag_id}/launch", raises=(FlagNotFound, FlagStateConflict))
async def launch_flag(caller: Caller, flag_id: FlagId, response: Response) -> FlagView:
    """Let a draft or a killed flag decide by its rules."""
    return await FLAG.once(response, caller, logic.launch_flag(caller, flag_id))


@router.post("/v1/flags/{flag_id}/kill", raises=(FlagNotFound, FlagStateConflict))
async def kill_flag(caller: Caller, flag_id: FlagId, response: Response) -> FlagView:
    """Let a flag decide its `off_variant` for everybody: in every process within two seconds."""
    return await FLAG.once(response, caller, logic.kill_flag(caller, flag_id))


@router.post("/v1/flags/{flag_id}/archive", raises=(FlagNotFound, FlagStateConflict, FlagIsDeclared, FlagInUse))
async def archive_flag(caller: Caller, flag_id: FlagId, response: Response) -> FlagView:
    """Let a flag decide nothing any more. It stays readable, and its key stays taken."""
    return await FLAG.once(response, caller, logic.archive_flag(caller, flag_id))


@router.post("/v1/flags/{flag_id}/explain", raises=(FlagNotFound,))
async def explain_flag(caller: Caller, flag_id: FlagId, question: Question) -> ExplanationView:
    """Say what a flag decides for a context, and why: rule by rule, as it stands now."""
    return ExplanationView.of(await logic.explain_flag(caller, flag_id, question.context))


@router.get("/v1/flags/{flag_id}/versions", raises=(FlagNotFound,))
async def list_versions(caller: Caller, flag_id: FlagId, paging: Paging) -> Page[FlagVersionView]:
    """List what a flag decided, newest first."""
    after = paging.after(int, flag=flag_id)
    found = await logic.list_versions(caller, flag_id, before=after[0] if after else None, limit=paging.rows)
    return paging.page(found, key=lambda each: (each.version,), render=FlagVersionView.of)


def _stored(prerequisites: list[Prerequisite], rules: list[Rule]) -> dict[str, Any]:
    return {
        "prerequisites": [each.model_dump() for each in prerequisites],
        "rules": [stored_rule(rule) for rule in rules],
    }


def _type(variants: dict[str, Any]) -> FlagType:
    try:
        return type_of_variants(variants)
    except ValueError:
        raise VariantTypeMismatch(
            "give all variants one type: true and false, texts, numbers, or objects", pointer="/variants"
        ) from None
