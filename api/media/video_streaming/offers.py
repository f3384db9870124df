"""Offers of video_streaming: permissions to watch, and how long an address is valid."""

from typing import Annotated

from pydantic import Field

from cluster.people.access import Permission
from cluster.people.org_settings import Setting

ADDRESS_HOURS = Setting(
    name="video_streaming.address_hours",
    title="How many hours the address of a film is valid, unless the film takes longer",
    type=Annotated[int, Field(ge=1, le=24)],
    default=4,
)

OFFERS = (
    ADDRESS_HOURS,
    Permission("playback:start", "Watch the films of one's courses", ("self",)),
    Permission("playback:read", "See one's own playbacks", ("self",)),
    Permission("playback:preview", "Watch a film outside its course", ("org_owner", "org_admin", "instructor")),
)
