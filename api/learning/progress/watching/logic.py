"""Use cases of watching: hear heartbeats, and write the watched ranges."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from api.learning.content.contract import BlockId
from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress import logic
from api.learning.progress import store as learners
from api.learning.progress.contract import Flush
from api.learning.progress.rules import happened_at
from api.learning.progress.store import Learner
from api.learning.progress.watching import cache, rules, store
from api.learning.progress.watching.rules import Range, Watched
from api.media.video_streaming.contract import Playback, PlaybackId, PlaybackNotFound, VideoStreamingCalls
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.data import read, write
from cluster.jobs import enqueue
from cluster.people.access import Guarded, permit
from cluster.people.calls import client

_BATCH = 500
_MAX_PLAYBACKS = 20_000
# A playback never changes; a replica asks once for each that it hears of.
_playbacks: dict[PlaybackId, Playback] = {}


async def hear(
    caller: Principal,
    playback_id: PlaybackId,
    claims: Sequence[Range],
    *,
    position_ms: int,
    occurred_at: datetime | None,
    now: datetime,
) -> Watched | None:
    """Count the ranges that a player reports; None for a preview, of which nothing is kept.

    Raises:
        PlaybackNotFound: it is not the caller's, or the right that it was given for has ended.
    """
    user_id = caller.person()
    found = await _find_playback(playback_id)
    guarded = None if found is None else Guarded(found, owner_id=found.user_id, see="heartbeat:create")
    playback = await permit(caller, "heartbeat:create", guarded, missing=PlaybackNotFound)
    fresh = _nothing_watched(playback)
    if fresh is None:
        return None
    await permit(Principal(kind="person", id=user_id), playback.needs, playback.guarded(), missing=PlaybackNotFound)

    def rule(watched: Watched) -> Watched:
        return rules.hear(
            rules.newest(watched, fresh),
            claims,
            position_ms=position_ms,
            seen_at=happened_at(occurred_at, now),
            began_at=playback.created_at,
            ends_at=playback.expires_at,
            now=now,
        )

    async def load() -> Watched | None:
        async with read() as db:
            return await store.find_watched(db, fresh.enrollment_id, fresh.block_id, fresh.video_id)

    try:
        change = await cache.update(fresh, load, rule)
        if change.after.enough and not change.before.enough:
            await flush_learners(caller, [fresh.enrollment_id])
    except cache.CacheUnavailable:
        return await _hear_without_cache(caller, fresh, rule)
    if change.first:
        await plan_flush(caller, cache.shard_of(fresh.enrollment_id), now)
    return change.after


async def films_of(enrollment_id: EnrollmentId) -> list[Watched]:
    """Return what a learner has watched, the last heartbeats included."""
    async with read() as db:
        films = {(each.block_id, each.video_id): each for each in await store.list_watched(db, enrollment_id)}
    for each in await cache.list_watched(enrollment_id):
        known = films.get((each.block_id, each.video_id))
        if known is None or known.heard_at <= each.heard_at:
            films[each.block_id, each.video_id] = each
    return list(films.values())


async def forget(user_id: UserId, org_id: OrgId | None) -> None:
    """Delete what Redis holds of a person's watching, in one organization or in all.

    Raises:
        CacheUnavailable
    """
    async with read() as db:
        enrollment_ids = await store.list_enrollments(db, user_id, org_id)
    await cache.forget(enrollment_ids)


async def plan_flush(caller: Principal, shard: int, now: datetime) -> None:
    """Have a shard written in a while, once."""
    async with write(caller) as tx:
        enqueue(
            tx,
            Flush(shard=shard),
            at=now + timedelta(seconds=cache.FLUSH_AFTER_S),
            dedupe=Flush.dedupe(shard),
        )


async def plan_lost(caller: Principal, now: datetime) -> None:
    """Plan the writing of every shard with something unwritten: a plan may be lost with its process.

    Raises:
        CacheUnavailable
    """
    for shard in range(cache.SHARDS):
        if await cache.has_unwritten(shard):
            await plan_flush(caller, shard, now)


async def flush(caller: Principal, shard: int, now: datetime) -> bool:
    """Write the films of a shard that are due, and plan the next round; tell whether more is due at once.

    Raises:
        CacheUnavailable: nothing is lost; repeat it.
    """
    ready, next_at = await cache.list_due(shard, _BATCH)
    if ready:
        await flush_learners(caller, ready)
    if next_at is None or len(ready) == _BATCH:
        return next_at is not None
    await plan_flush(caller, shard, now)
    return False


async def flush_learners(caller: Principal, enrollment_ids: Sequence[EnrollmentId]) -> None:
    """Write what learners watched, and complete the blocks whose films they have watched enough of."""
    waiting = {each: await cache.list_unwritten(each) for each in enrollment_ids}
    films = [each.watched for unwritten in waiting.values() for each in unwritten]
    if films:
        await _write(caller, films)
    for enrollment_id, unwritten in waiting.items():
        await cache.mark_written(enrollment_id, unwritten)


async def _write(caller: Principal, films: Sequence[Watched]) -> None:
    async with write(caller) as tx:
        totals = await store.upsert_watched(tx, films)
    ratios = {(each.enrollment_id, each.block_id, each.video_id): each for each in totals}
    for watched in films:
        total = ratios[watched.enrollment_id, watched.block_id, watched.video_id]
        await _complete_if_enough(caller, watched, total)


async def _complete_if_enough(caller: Principal, watched: Watched, total: store.Total) -> None:
    if total.completed or watched.min_ratio is None or total.watched_ms < watched.min_ratio * watched.duration_ms:
        return
    await logic.complete(caller, _learner(watched), watched.block_id, watched.block_version, at=watched.heard_at)


async def _hear_without_cache(caller: Principal, fresh: Watched, rule: rules.Rule) -> Watched:
    async with write(caller) as tx:
        # The learner's row is held: heartbeats of one learner are heard one by one.
        await learners.lock_learner(tx, _learner(fresh))
        known = await store.find_watched(tx, fresh.enrollment_id, fresh.block_id, fresh.video_id)
        watched = rule(known or fresh)
        total = (await store.upsert_watched(tx, [watched]))[0]
    await _complete_if_enough(caller, watched, total)
    return watched


async def _find_playback(playback_id: PlaybackId) -> Playback | None:
    playback = _playbacks.get(playback_id)
    if playback is None:
        playback = await client(VideoStreamingCalls).find_playback(playback_id)
        if playback is not None:
            if len(_playbacks) >= _MAX_PLAYBACKS:
                _playbacks.clear()
            _playbacks[playback_id] = playback
    return playback


def _nothing_watched(playback: Playback) -> Watched | None:
    if (
        playback.enrollment_id is None
        or playback.run_id is None
        or playback.block_id is None
        or playback.block_version is None
    ):
        return None
    return Watched(
        enrollment_id=EnrollmentId(playback.enrollment_id),
        block_id=BlockId(playback.block_id),
        video_id=playback.video_id,
        org_id=playback.org_id,
        course_id=playback.course_id,
        run_id=playback.run_id,
        user_id=playback.user_id,
        block_version=playback.block_version,
        min_ratio=playback.min_ratio,
        duration_ms=max(1, round(playback.duration_s * 1000)),
        ranges=(),
        position_ms=0,
        credit_ms=rules.INITIAL_CREDIT_MS,
        heard_at=playback.created_at,
    )


def _learner(watched: Watched) -> Learner:
    return Learner(
        enrollment_id=watched.enrollment_id,
        org_id=watched.org_id,
        course_id=watched.course_id,
        run_id=watched.run_id,
        user_id=watched.user_id,
    )
