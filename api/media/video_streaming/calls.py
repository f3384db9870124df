"""Answers `VideoStreamingCalls`."""

from api.media.video_streaming import logic
from api.media.video_streaming.contract import Playback, PlaybackId, VideoStreamingCalls


class Calls(VideoStreamingCalls):
    async def find_playback(self, playback_id: PlaybackId) -> Playback | None:
        return await logic.find_playback(playback_id)
