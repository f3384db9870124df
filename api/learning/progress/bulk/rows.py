"""A row of a table of scores: what a learner has for a line item. The same columns come out and go in."""

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import LineItemId
from api.learning.progress.line_item.rules import LARGEST, stored
from cluster.base.ids import UserId
from cluster.http import Body


def _point(value: object) -> object:
    """Take the decimal comma that spreadsheets write in many languages."""
    return value.replace(",", ".") if isinstance(value, str) else value


class ScoreRow(Body):
    """The score of a learner for a line item; one without `score_given` that is not excused changes nothing."""

    line_item_id: LineItemId
    enrollment_id: EnrollmentId
    score_given: Annotated[
        Decimal | None,
        BeforeValidator(_point),
        Field(ge=0, le=LARGEST, description="Of the line item's maximum. Kept with four decimal places"),
        AfterValidator(lambda given: None if given is None else stored(given)),
    ] = None
    excused: bool = False
    comment: Annotated[str | None, Field(max_length=2000, description="The learner reads it")] = None
    label: Annotated[str | None, Field(description="Not read: says to people which line item it is")] = None
    user_id: Annotated[UserId | None, Field(description="Not read: says which person it is")] = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "line_item_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e6f",
                    "enrollment_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e70",
                    "score_given": 17.5,
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _one(self) -> "ScoreRow":
        if self.excused and self.score_given is not None:
            raise ValueError("who is excused has no score: send one of both")
        return self


def key_of(row: ScoreRow) -> str:
    """Return the natural key of a row."""
    return f"{row.line_item_id}:{row.enrollment_id}"


COLUMNS = ("line_item_id", "label", "enrollment_id", "user_id", "score_given", "excused")
"""Of the table that is taken out."""
