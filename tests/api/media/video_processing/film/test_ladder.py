"""The rungs for films of any shape."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.media.video_processing.film.ladder import RUNGS, ladder
from api.media.video_processing.film.probe import Probe
from api.media.video_processing.film.timeline import Timeline, pack


def probed(width: int, height: int, rate: str = "25") -> Probe:
    fps = Fraction(rate)
    return Probe(
        container="mov",
        video_codec="h264",
        video_stream_index=0,
        coded_width=width,
        coded_height=height,
        width=width,
        height=height,
        rotation=0,
        interlaced=False,
        frame_rate_num=fps.numerator,
        frame_rate_den=fps.denominator,
        is_vfr=False,
        frame_count=1,
        duration_s=float(1 / fps),
        timeline=Timeline(
            time_base_num=1, time_base_den=1, packed_pts=pack([0]), packed_keyframes=pack([0]), end_pts=1
        ),
        audio=None,
        needs_remux=False,
    )


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (854, 480, {"480p": (854, 480), "360p": (640, 360), "240p": (428, 240)}),
        (853, 480, {"480p": (852, 480), "360p": (640, 360), "240p": (426, 240)}),
        (202, 358, {"202p": (202, 358)}),
        (321, 181, {"180p": (320, 180)}),
        (640, 360, {"360p": (640, 360), "240p": (426, 240)}),
        (720, 1280, {"720p": (720, 1280), "480p": (480, 854), "360p": (360, 640), "240p": (240, 426)}),
        (1000, 700, {"700p": (1000, 700), "480p": (686, 480), "360p": (514, 360), "240p": (342, 240)}),
        (500, 500, {"480p": (480, 480), "360p": (360, 360), "240p": (240, 240)}),
        (16, 16, {"16p": (16, 16)}),
    ],
)
def test_rungs(width: int, height: int, expected: dict[str, tuple[int, int]]) -> None:
    assert {rung.name: (rung.width, rung.height) for rung in ladder(probed(width, height))} == expected


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("24000/1001", "24000/1001"),
        ("25/2", "25/2"),
        ("17", "17"),
        ("60", "60"),
        ("60000/1001", "60000/1001"),
        ("120", "60"),
    ],
)
def test_rates_are_kept_up_to_60(rate: str, expected: str) -> None:
    assert {rung.frame_rate for rung in ladder(probed(640, 360, rate))} == {Fraction(expected)}


@pytest.mark.parametrize(
    ("width", "height", "rate", "codecs"),
    [
        (640, 360, "30", "avc1.64001e"),
        (1280, 720, "30", "avc1.64001f"),
        (1280, 720, "60", "avc1.640020"),
        (1920, 1080, "30", "avc1.640028"),
        (1920, 1080, "60", "avc1.64002a"),
        (3840, 2160, "30", "avc1.640033"),
    ],
)
def test_levels_are_the_lowest_that_hold_the_picture(width: int, height: int, rate: str, codecs: str) -> None:
    assert ladder(probed(width, height, rate))[0].codecs == codecs


@given(width=st.integers(16, 8192), height=st.integers(16, 4320), rate=st.sampled_from(["5", "24", "30", "60", "144"]))
def test_no_rung_is_larger_than_the_film_and_all_keep_its_shape(width: int, height: int, rate: str) -> None:
    rungs = ladder(probed(width, height, rate))
    assert 1 <= len(rungs) <= len(RUNGS)
    assert len({rung.name for rung in rungs}) == len(rungs)
    assert [rung.maxrate_bps for rung in rungs] == sorted((r.maxrate_bps for r in rungs), reverse=True)
    for rung in rungs:
        assert rung.width % 2 == rung.height % 2 == 0
        assert 2 <= rung.width <= width
        assert 2 <= rung.height <= height
        short, long = sorted((rung.width, rung.height))
        assert abs(long - short * Fraction(max(width, height), min(width, height))) <= Fraction(max(width, height), 8)
