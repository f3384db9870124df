"""Decide where a film is cut: chunks for the workers, and within them the segments that players load.

A cut lies between two neighbouring pictures, never on one: chunk k holds the pictures whose time is in [cut k, cut
k+1), whatever the decoder had to read before it to get there. So every picture lands in exactly one chunk, with open
groups of pictures, any order of decoding and any rate. All times are ticks of 1/90000 s, and all renditions have the
same ones.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import pairwise
from math import floor
from typing import Final

from .ladder import MAX_FRAME_RATE, is_capped
from .probe import Probe
from .timeline import TICKS_PER_S, Timeline

SEGMENT_S: Final = 4.0
CHUNK_S: Final = 8.0

_EARLIEST: Final = 0.6
_LATEST: Final = 1.6
_SEEK_MARGIN_S: Final = 0.14
"""More than the 3/23 s which ffmpeg seeks ahead of the time asked for in containers that count in decoding time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Plan one file that players load."""

    number: int
    start_ticks: int
    """Its first picture, counted from the film's first picture."""
    end_ticks: int
    """The first picture of the next segment, or the film's end."""
    cut_ticks: int
    """Between its first picture and the one before; also counted from the film's first picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Plan one encode task; it needs nothing but itself and the source."""

    index: int
    origin_ticks: int
    """The film's first picture, on the source's clock."""
    seek_us: int | None
    """After the keyframe to decode from and before the next one, on the source's clock; None: from the start."""
    from_ticks: int | None
    """Keep pictures from here ..."""
    until_ticks: int | None
    """... to before here, on the source's clock; None: no bound."""
    frames: int
    segments: tuple[Segment, ...]
    stream_index: int
    cap_frame_rate: bool
    deinterlace: bool
    hdr_transfer: str | None = None
    """Of the source's pictures; they are mapped to the range of every screen."""

    @property
    def duration_s(self) -> float:
        """Return how much of the film it holds."""
        return (self.segments[-1].end_ticks - self.segments[0].start_ticks) / TICKS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPlan:
    """Plan the one task for the sound."""

    stream_index: int
    origin_ticks: int
    starts_ticks: tuple[int, ...]
    """Where the pictures' segments start; sound segments start at the first sound frame from there on."""
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Hold everything that is to be encoded of one film."""

    chunks: tuple[Chunk, ...]
    audio: AudioPlan | None
    frames: int
    duration_ticks: int
    poster_seek_us: int | None
    """A keyframe some way into the film."""


def plan(probe: Probe, *, chunk_s: float = CHUNK_S, segment_s: float = SEGMENT_S) -> Plan:
    """Cut a film into chunks of about `chunk_s`, at keyframes if there are any, and these into `segment_s` segments.

    Where keyframes are rarer than chunks, a chunk starts between them, and its worker decodes from the keyframe
    before. Chunks then grow with that distance, so that all workers together never decode much more than twice the
    film.
    """
    timeline = probe.timeline
    pts = timeline.pts()
    ticks = [timeline.ticks(time) for time in pts]
    origin, end = ticks[0], max(timeline.ticks(timeline.end_pts), ticks[-1] + 1)
    kept = _kept(ticks, capped=is_capped(probe))
    keyframes = timeline.keyframes()
    starts = [*_chunk_starts(ticks, kept, keyframes, end, round(chunk_s * TICKS_PER_S)), len(kept)]
    chunks: list[Chunk] = []
    number = 0
    for index, (first, after) in enumerate(pairwise(starts)):
        last = after == len(kept)
        chunk_end = end if last else ticks[kept[after]]
        firsts = _segment_starts([ticks[i] for i in kept[first:after]], chunk_end, round(segment_s * TICKS_PER_S))
        edges = [*(ticks[kept[first + offset]] for offset in firsts), chunk_end]
        cuts = [_cut(ticks, kept[first + offset]) - origin for offset in firsts]
        segments = tuple(
            Segment(number=number + n, start_ticks=a - origin, end_ticks=b - origin, cut_ticks=cuts[n])
            for n, (a, b) in enumerate(pairwise(edges))
        )
        number += len(segments)
        chunks.append(
            Chunk(
                index=index,
                origin_ticks=origin,
                seek_us=_seek_us(timeline, pts, keyframes, kept[first]) if index else None,
                from_ticks=_cut(ticks, kept[first]) if index else None,
                until_ticks=None if last else _cut(ticks, kept[after]),
                frames=after - first,
                segments=segments,
                stream_index=probe.video_stream_index,
                cap_frame_rate=is_capped(probe),
                deinterlace=probe.interlaced,
                hdr_transfer=probe.hdr_transfer,
            )
        )
    all_starts = tuple(segment.start_ticks for chunk in chunks for segment in chunk.segments)
    duration_s = (end - origin) / TICKS_PER_S
    audio = probe.audio
    return Plan(
        chunks=tuple(chunks),
        audio=AudioPlan(
            stream_index=audio.stream_index, origin_ticks=origin, starts_ticks=all_starts, duration_s=duration_s
        )
        if audio
        else None,
        frames=len(kept),
        duration_ticks=end - origin,
        poster_seek_us=_seek_us(timeline, pts, keyframes, len(pts) // 5),
    )


def _kept(ticks: list[int], *, capped: bool) -> list[int]:
    """Return the positions of the pictures that are encoded: with a time of their own; if capped, one per 1/60 s.

    The encoder's filter applies the same rule; see `encode`.
    """

    def slot(tick: int) -> int:
        return floor(tick / TICKS_PER_S * MAX_FRAME_RATE + 1e-6) if capped else tick

    return [i for i, tick in enumerate(ticks) if i == 0 or slot(tick) > slot(ticks[i - 1])]


def _cut(ticks: list[int], position: int) -> int:
    """Return a time after the picture before and not after this one."""
    before = ticks[position - 1] if position else ticks[0] - 1
    return ticks[position] - (ticks[position] - before) // 2


def _chunk_starts(ticks: list[int], kept: list[int], keyframes: list[int], end: int, target: int) -> list[int]:
    """Return the positions within `kept` where chunks start."""
    keys = sorted(set(keyframes) & set(kept))
    key_ticks = [ticks[i] for i in keys]
    kept_ticks = [ticks[i] for i in kept]
    starts = [0]
    while True:
        start = kept_ticks[starts[-1]]
        nearest_key = bisect_right(key_ticks, start) - 1
        length = max(target, start - (key_ticks[nearest_key] if nearest_key >= 0 else ticks[0]))
        if end - start <= length * _LATEST:
            return starts
        low, high = (
            bisect_left(key_ticks, start + target * _EARLIEST),
            bisect_right(key_ticks, start + length * _LATEST),
        )
        candidates = key_ticks[low:high]
        chosen = min(candidates, key=lambda tick: abs(tick - start - length)) if candidates else start + length
        following = bisect_left(kept_ticks, chosen)
        if following >= len(kept):
            return starts
        starts.append(max(following, starts[-1] + 1))


def _segment_starts(ticks: list[int], end: int, target: int) -> list[int]:
    """Return the positions of the pictures that start segments of about even length."""
    count = max(1, round((end - ticks[0]) / target))
    wanted = (ticks[0] + (end - ticks[0]) * n // count for n in range(count))
    return sorted({position for tick in wanted if (position := bisect_left(ticks, tick)) < len(ticks)})


def _seek_us(timeline: Timeline, pts: list[int], keyframes: list[int], position: int) -> int | None:
    """Return a time that makes a seek land on the last keyframe not after a picture; None when that is the start."""
    found = bisect_right(keyframes, position) - 1
    if found < 1:
        return None
    key = pts[keyframes[found]]
    gap = pts[keyframes[found + 1]] - key if found + 1 < len(keyframes) else timeline.end_pts - key
    ahead = min(_SEEK_MARGIN_S, float(gap * timeline.time_base / 2))
    return int((float(key * timeline.time_base) + ahead) * 1_000_000)
