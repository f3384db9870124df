"""HTTP of heartbeats."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field

from api.learning.progress.watching import logic
from api.media.video_streaming.contract import PlaybackId, PlaybackNotFound
from cluster.http import Body, Caller, Router, View

router = Router("progress")

_Second = Annotated[float, Field(ge=0, le=7 * 24 * 3600, allow_inf_nan=False)]


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError("a range ends after it begins: [from_s, to_s]")
    return span


class Heartbeat(Body):
    """Ranges that a player has shown since the last heartbeat or the beginning. Repeating them changes nothing."""

    playback_id: PlaybackId
    position_s: _Second
    watched: Annotated[list[Annotated[tuple[_Second, _Second], AfterValidator(_ordered)]], Field(max_length=200)]
    occurred_at: AwareDatetime | None = None
    """When a client that was offline saw it. What is believed follows from when the playback began, not from this."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "playback_id": "0192f0c1-2f5b-7c3a-9d5e-1a2b3c4d5e6f",
                    "position_s": 20.5,
                    "watched": [[10.5, 20.5]],
                }
            ]
        }
    )


class HeartbeatView(View):
    """The watched ranges that count for a film."""

    playback_id: PlaybackId
    position_s: float
    watched_ratio: float | None
    """None: nothing is kept of a preview."""


@router.post("/v1/heartbeats", status_code=202, raises=(PlaybackNotFound,))
async def heartbeat(caller: Caller, beat: Heartbeat) -> HeartbeatView:
    """Report watched ranges, about every ten seconds. At most 2.5 seconds of film count per second."""
    watched = await logic.hear(
        caller,
        beat.playback_id,
        [(round(start * 1000), round(end * 1000)) for start, end in beat.watched],
        position_ms=round(beat.position_s * 1000),
        occurred_at=beat.occurred_at,
        now=datetime.now(UTC),
    )
    return HeartbeatView(
        playback_id=beat.playback_id,
        position_s=beat.position_s if watched is None else watched.position_ms / 1000,
        watched_ratio=None if watched is None else round(watched.ratio, 4),
    )
