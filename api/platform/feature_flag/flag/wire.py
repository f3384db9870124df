"""How rules are sent and shown. What is stored is the kernel's form (`cluster.people.flags.compiled`)."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Optional

from pydantic import AwareDatetime, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from cluster.http import Body
from cluster.people.flags.compiled import TARGETING_KEY

Attribute = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$",
        description="A member of the context: targetingKey, kind, organization_id, run_id, plan, roles, unit_id, locale or another",
        examples=["organization_id"],
    ),
]
Variant = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["on"])]
Percent = Annotated[float, Field(ge=0, le=100, description="With three decimals at most", examples=[25.0])]
Operator = Literal["in", "starts_with", "ends_with", "is", "at_least", "below"]


class Condition(Body):
    """Either `all`, `any` or `not` of other conditions, or an attribute with an operator and values."""

    all: Annotated[list["Condition"] | None, Field(max_length=50)] = None
    any: Annotated[list["Condition"] | None, Field(max_length=50)] = None
    not_: Annotated[Optional["Condition"], Field(alias="not")] = None
    attribute: Attribute | None = None
    operator: Operator | None = None
    values: Annotated[
        list[StrictStr | StrictBool | StrictInt | StrictFloat] | None, Field(min_length=1, max_length=1000)
    ] = None


class Serve(Body):
    """A variant, and how often it is given beside the others."""

    variant: Variant
    weight: Annotated[int, Field(ge=1, le=100_000)] = 1


class Step(Body):
    """From a time on the rule is for this percentage."""

    at: AwareDatetime
    percent: Percent


class Rule(Body):
    """Who is meant, and which variant they get. The first rule that is for somebody decides."""

    name: Annotated[str, Field(max_length=100)] = ""
    when: Annotated[Condition | None, Field(description="None: everybody")] = None
    by: Annotated[Attribute, Field(description="Whose share it is: the attribute with the id that is hashed")] = (
        TARGETING_KEY
    )
    percent: Annotated[Percent | None, Field(description="Of those who are meant; raising it takes nobody out")] = None
    steps: Annotated[list[Step], Field(max_length=50, description="Instead of `percent`: a ramp by schedule")] = []
    serve: Annotated[list[Serve], Field(min_length=1, max_length=20)]

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Pilots", "serve": [{"variant": "on"}]}]})


class Prerequisite(Body):
    """Another flag of the same owner, and the variants of it that are needed; otherwise `off_variant` holds."""

    flag: Annotated[str, Field(max_length=101, description="Its key")]
    variants: Annotated[list[Variant], Field(min_length=1, max_length=20)]


def stored_rule(rule: Rule) -> dict[str, Any]:
    """Return a rule in the kernel's form."""
    steps = [{"at": 0, "share": _share(rule.percent)}] if rule.percent is not None else []
    steps += [{"at": step.at.timestamp(), "share": _share(step.percent)} for step in rule.steps]
    stored: dict[str, Any] = {
        "name": rule.name,
        "by": rule.by,
        "serve": [each.model_dump() for each in rule.serve],
    }
    if rule.when is not None:
        stored["when"] = rule.when.model_dump(by_alias=True, exclude_none=True)
    if steps:
        stored["steps"] = steps
    return stored


def shown_rule(stored: dict[str, Any]) -> dict[str, Any]:
    """Return a rule as it was sent."""
    steps: list[dict[str, Any]] = stored.get("steps", [])
    constant = len(steps) == 1 and steps[0]["at"] == 0
    return {
        "name": stored["name"],
        "when": stored.get("when"),
        "by": stored["by"],
        "percent": steps[0]["share"] / 1000 if constant else None,
        "steps": []
        if constant
        else [{"at": datetime.fromtimestamp(step["at"], UTC), "percent": step["share"] / 1000} for step in steps],
        "serve": stored["serve"],
    }


def _share(percent: float) -> int:
    return round(percent * 1000)
