"""Check that the right that a playback was given for still stands. Answers are kept by this process for some seconds.

A token outlives the right: somebody is suspended, removed, or leaves. Delivery checks each file here; the owners of the
relations are asked again after `RECHECK_S`, and at once after a broadcast that says that somebody's rights have changed.
"""

from typing import Any
from uuid import UUID

from api.media.video_streaming import logic
from api.media.video_streaming.contract import Playback, PlaybackId, PlaybackRefused
from api.media.video_streaming.tokens import Claims
from cluster.base.ids import UserId
from cluster.base.principal import Principal
from cluster.base.problems import Forbidden, NotFound
from cluster.people.access import permit
from cluster.signals import broadcast
from cluster.signals.kept import Kept

RECHECK_S = 8.0
"""Where no broadcast arrives, an address outlives its right by this, and by the second or two that the news takes."""

_TOPIC = "video_streaming.standing"
"""Nobody says anything on it: what changes a right is told on `access`, person by person."""
_standing: Kept[UserId, set[PlaybackId]] = Kept(_TOPIC, size=20_000, ttl_s=RECHECK_S)
_playbacks: Kept[PlaybackId, Playback] = Kept(_TOPIC, size=20_000, ttl_s=3600)


async def check(claims: Claims) -> None:
    """Return while the person may watch the film of the playback.

    Raises:
        PlaybackRefused
    """
    standing = _standing.find(claims.user_id)
    if standing is None:
        # A broadcast takes this set away, so that an answer from before the change is not kept after it.
        standing = set[PlaybackId]()
        _standing.put(claims.user_id, standing)
    if claims.playback_id in standing:
        return
    playback = _playbacks.find(claims.playback_id) or await logic.find_playback(claims.playback_id)
    if playback is None:
        raise PlaybackRefused("ask for a new one: POST /v1/playbacks")
    _playbacks.put(playback.id, playback)
    try:
        person = Principal(kind="person", id=playback.user_id)
        await permit(person, playback.needs, playback.guarded(), fresh=True)
    except (Forbidden, NotFound):
        raise PlaybackRefused("you may not watch this any more") from None
    standing.add(playback.id)


async def _forget(message: dict[str, Any]) -> None:
    if "user_id" in message:
        _standing.forget(UserId(UUID(message["user_id"])))
    else:
        _standing.forget()


async def forget() -> None:
    """Forget all answers: changes may have been missed."""
    _standing.forget()


broadcast.listen("access", _forget, on_gap=forget)
