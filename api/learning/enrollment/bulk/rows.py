"""A row of a bulk enrolment: a person, and the state that their enrolment is to have."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from cluster.base.ids import UserId
from cluster.http import Body


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class EnrolRow(Body):
    """One person, named by one of `user_id`, `email` and `external_id`."""

    user_id: UserId | None = None
    email: Annotated[str | None, Field(max_length=320, examples=["alan@school.example"])] = None
    external_id: Annotated[str | None, Field(max_length=200, description="The organization's own id of a member")] = (
        None
    )
    state: Annotated[Literal["active", "cancelled"], BeforeValidator(_lower)] = "active"

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "alan@school.example"}]})

    @model_validator(mode="after")
    def _one(self) -> "EnrolRow":
        if sum(each is not None for each in (self.user_id, self.email, self.external_id)) != 1:
            raise ValueError("name the person by one of user_id, email and external_id")
        return self


def key_of(row: EnrolRow) -> str:
    """Return the natural key of a row."""
    if row.user_id is not None:
        return f"user_id:{row.user_id}"
    return f"email:{row.email.casefold()}" if row.email is not None else f"external_id:{row.external_id}"
