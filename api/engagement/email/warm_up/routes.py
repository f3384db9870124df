"""HTTP of warm-up plans."""

from typing import Annotated

from pydantic import Field

from api.engagement.email.contract import SenderId, SenderNotFound, WarmUpNotFound
from api.engagement.email.sender.routes import WarmUpView
from api.engagement.email.warm_up import logic
from api.engagement.email.warm_up.rules import MOST_LETTERS_A_DAY, MOST_STEPS
from cluster.http import Body, Caller, Router

router = Router("email")


class NewWarmUp(Body):
    """How many letters a sender sends on each day, from today on; after the last day as many as there are."""

    steps: Annotated[
        list[Annotated[int, Field(ge=1, le=MOST_LETTERS_A_DAY)]],
        Field(min_length=1, max_length=MOST_STEPS, examples=[[50, 100, 200, 400, 800]]),
    ]


@router.get("/v1/senders/{sender_id}/warm-up", raises=(SenderNotFound, WarmUpNotFound))
async def get_warm_up(caller: Caller, sender_id: SenderId) -> WarmUpView:
    """Return how a sender warms up, and how many letters went today."""
    return WarmUpView.of(await logic.get_warm_up(caller, sender_id))


@router.put("/v1/senders/{sender_id}/warm-up", raises=(SenderNotFound, WarmUpNotFound))
async def set_warm_up(caller: Caller, sender_id: SenderId, new: NewWarmUp) -> WarmUpView:
    """Let a sender warm up: letters beyond the day's number wait for the next day, but those into accounts.

    The same steps again change nothing; others begin today, and what waits for tomorrow is looked at again.
    """
    return WarmUpView.of(await logic.set_warm_up(caller, sender_id, new.steps))


@router.delete("/v1/senders/{sender_id}/warm-up", status_code=204, raises=(SenderNotFound,))
async def end_warm_up(caller: Caller, sender_id: SenderId) -> None:
    """End a plan. What waits for tomorrow goes now."""
    await logic.end_warm_up(caller, sender_id)
