"""How a legal hold of a thing is placed and shown: `PUT` and `GET .../hold`."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from cluster.http.bodies import Body, View


class NewHold(Body):
    """The reason of a legal hold."""

    reason: Annotated[
        str, Field(min_length=1, max_length=500, examples=["Complaint 2031-17: keep until it is decided"])
    ]


class HoldView(View):
    """A legal hold. Only people with the permission to place it see it."""

    reason: str
    held_at: datetime
