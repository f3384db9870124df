"""What other services may know of video_streaming: ids, values, events, problems and the calls it answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import Conflict, Forbidden, NotFound
from cluster.events import event
from cluster.people.access import Guarded

PlaybackId = NewType("PlaybackId", UUID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """One permission to watch one film, given to one person for some hours."""

    id: PlaybackId
    org_id: OrgId
    course_id: UUID
    run_id: UUID | None
    """The run in which the film is learned; None: an editor previews it."""
    user_id: UserId
    enrollment_id: UUID | None
    """None: the person is no learner of the run, so no progress is kept."""
    block_id: UUID | None
    block_version: int | None
    min_ratio: float | None
    """The part of the film that the block asks for, 0 to 1."""
    video_id: UUID
    duration_s: float
    created_at: datetime
    expires_at: datetime

    @property
    def needs(self) -> str:
        """Return the permission that it was given for, and ends with."""
        return "playback:preview" if self.run_id is None else "run:attend"

    def guarded(self) -> "Guarded[Playback]":
        """Wrap it for `permit` on the film that it shows; the playback itself is its person's alone."""
        return Guarded(self, org_id=self.org_id, course_id=self.course_id, run_id=self.run_id)


class VideoStreamingCalls(Protocol):
    """The calls of video_streaming, for higher ranks."""

    async def find_playback(self, playback_id: PlaybackId) -> Playback | None:
        """Return a playback, also an expired one: a client that was offline tells its progress later."""
        ...


@event("playback.started", subject="playback_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackStarted:
    playback_id: PlaybackId
    org_id: OrgId
    course_id: UUID
    run_id: UUID | None
    user_id: UserId
    enrollment_id: UUID | None
    block_id: UUID | None
    video_id: UUID


class PlaybackNotFound(NotFound):
    title = "No such playback"


class FilmNotFound(NotFound):
    title = "No such film"


class BlockHasNoFilm(Conflict):
    title = "This block has no film"


class FilmNotReady(Conflict):
    title = "The film is not ready"


class PlaybackRefused(Forbidden):
    title = "This address is not valid, or no longer"
