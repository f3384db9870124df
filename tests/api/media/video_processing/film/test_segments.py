"""Cuts lose no picture and repeat none, whatever the film's times are."""

from bisect import bisect_left
from dataclasses import replace
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from api.media.video_processing.film.segments import Plan, plan
from api.media.video_processing.film.timeline import TICKS_PER_S, Timeline, pack, unpack

from .test_ladder import probed


def planned(pts: list[int], keyframes: list[int], *, end: int, base: int = 1000, rate: str = "25") -> Plan:
    timeline = Timeline(
        time_base_num=1, time_base_den=base, packed_pts=pack(pts), packed_keyframes=pack(keyframes), end_pts=end
    )
    return plan(replace(probed(640, 360, rate), timeline=timeline))


def even(seconds: int, keyframe_every: int) -> Plan:
    """Plan a film at 25 pictures per second."""
    pts = list(range(0, seconds * 1000, 40))
    return planned(pts, list(range(0, len(pts), keyframe_every)), end=seconds * 1000)


def lengths(cut: Plan) -> list[float]:
    return [chunk.duration_s for chunk in cut.chunks]


@given(st.lists(st.integers(-(1 << 40), 1 << 40)))
def test_packing_is_reversible(values: list[int]) -> None:
    assert unpack(pack(values)) == values


def test_packing_a_steady_hour_takes_few_bytes() -> None:
    assert len(pack(range(0, 3600 * 12_800, 512))) < 2000


@given(
    steps=st.lists(st.one_of(st.integers(1, 60), st.integers(1, 9_000)), min_size=1, max_size=600),
    start=st.integers(-2_000, 50_000),
    key_every=st.integers(1, 700),
    last=st.integers(1, 500),
    rate=st.sampled_from(["25", "120"]),
)
def test_every_picture_lands_in_one_chunk_and_one_segment(
    steps: list[int], start: int, key_every: int, last: int, rate: str
) -> None:
    pts = list(accumulate(steps, initial=start))
    cut = planned(pts, list(range(0, len(pts), key_every)), end=pts[-1] + last, rate=rate)
    ticks = [90 * time for time in pts]
    edges = [chunk.from_ticks for chunk in cut.chunks]
    assert edges[0] is None
    assert [chunk.until_ticks for chunk in cut.chunks] == [*edges[1:], None]
    cuts = [edge for edge in edges if edge is not None]
    assert cuts == sorted(set(cuts))
    assert sum(chunk.frames for chunk in cut.chunks) == cut.frames <= len(pts)
    if rate == "25":
        bounds = [0, *(bisect_left(ticks, edge) for edge in cuts), len(ticks)]
        assert [chunk.frames for chunk in cut.chunks] == [b - a for a, b in pairwise(bounds)]
    segments = [segment for chunk in cut.chunks for segment in chunk.segments]
    assert [segment.number for segment in segments] == list(range(len(segments)))
    assert segments[0].start_ticks == 0
    assert segments[-1].end_ticks == cut.duration_ticks == ticks[-1] + 90 * last - ticks[0]
    for before, after in pairwise(segments):
        assert before.end_ticks == after.start_ticks
        assert before.start_ticks < after.cut_ticks <= after.start_ticks
        assert after.start_ticks + ticks[0] in ticks
    for chunk in cut.chunks:
        if chunk.seek_us is not None:
            # Decoding starts at a keyframe that the chunk needs, and never at a later one.
            key = max(time for time in pts[::key_every] if time * 1000 <= chunk.seek_us)
            assert key * 90 <= chunk.segments[0].start_ticks + ticks[0]


def test_chunks_start_at_keyframes_near_8_s() -> None:
    cut = even(60, keyframe_every=50)
    assert lengths(cut) == [8, 8, 8, 8, 8, 8, 12]
    assert all(len(chunk.segments) == round(chunk.duration_s / 4) for chunk in cut.chunks)
    assert {segment.end_ticks - segment.start_ticks for c in cut.chunks for segment in c.segments} == {4 * TICKS_PER_S}


def test_chunks_without_keyframes_grow_with_the_frames_to_decode_before() -> None:
    cut = even(600, keyframe_every=1_000_000)
    assert lengths(cut) == [8, 8, 16, 32, 64, 128, 344]
    assert all(chunk.seek_us is None for chunk in cut.chunks)


def test_a_single_picture_is_a_film() -> None:
    cut = planned([0], [0], end=40)
    assert (len(cut.chunks), cut.frames, cut.duration_ticks) == (1, 1, 3600)
