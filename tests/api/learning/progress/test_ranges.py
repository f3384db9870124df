"""The laws of watching: uniting, and never faster than 2.5 times."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from api.learning.content.contract import BlockId
from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.watching import rules
from api.learning.progress.watching.rules import Range, Ranges, Watched, earliest, length, subtract, unite
from cluster.base.ids import OrgId, UserId, new_id

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(hours=4)
FILM_MS = 10_000

spans = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 200)).map(lambda pair: (min(pair), max(pair))), max_size=12
)
"""Ranges that touch, overlap and repeat often."""


def members(ranges: Ranges | list[Range]) -> set[int]:
    return {each for start, end in ranges for each in range(start, end)}


@given(spans, spans)
def test_uniting_is_the_union(one: list[Range], two: list[Range]) -> None:
    united = unite(one, two)
    assert members(united) == members(one) | members(two)
    assert length(united) == len(members(united))
    assert all(before[1] < after[0] for before, after in pairwise(united))


@given(spans, spans, spans)
def test_uniting_is_idempotent_commutative_and_associative(
    one: list[Range], two: list[Range], three: list[Range]
) -> None:
    assert unite(one, two) == unite(two, one)
    assert unite(unite(one, two), one) == unite(one, two)
    assert unite(unite(one, two), three) == unite(one, unite(two, three))


@given(spans, spans)
def test_subtracting_leaves_what_is_not_known(one: list[Range], two: list[Range]) -> None:
    assert members(subtract(unite(one), unite(two))) == members(one) - members(two)


@given(spans, st.integers(0, 300))
def test_the_earliest_part_is_as_long_as_allowed(one: list[Range], amount: int) -> None:
    ranges = unite(one)
    part = earliest(ranges, amount)
    assert length(part) == min(amount, length(ranges))
    assert members(part) == set(sorted(members(ranges))[:amount])


def nothing_watched(duration_ms: int = FILM_MS) -> Watched:
    return Watched(
        enrollment_id=EnrollmentId(new_id()),
        block_id=BlockId(new_id()),
        video_id=new_id(),
        org_id=OrgId(new_id()),
        course_id=new_id(),
        run_id=new_id(),
        user_id=UserId(new_id()),
        block_version=1,
        min_ratio=0.9,
        duration_ms=duration_ms,
        ranges=(),
        position_ms=0,
        credit_ms=rules.INITIAL_CREDIT_MS,
        heard_at=START,
    )


def hear(watched: Watched, claims: list[Range], after_s: float, began_at: datetime = START) -> Watched:
    now = START + timedelta(seconds=after_s)
    return rules.hear(watched, claims, position_ms=0, seen_at=now, began_at=began_at, ends_at=END, now=now)


claims = st.lists(
    st.tuples(st.integers(-5_000, 20_000), st.integers(-5_000, 20_000)).map(lambda pair: (min(pair), max(pair))),
    max_size=5,
)


@given(st.lists(st.tuples(st.floats(0, 8), claims, st.booleans()), max_size=12))
@settings(max_examples=300)
def test_no_claims_however_many_exceed_the_film_or_the_time(beats: list[tuple[float, list[Range], bool]]) -> None:
    watched = nothing_watched()
    latest = 0.0
    for after_s, claim, another_playback in beats:
        before = watched
        began_at = START + timedelta(seconds=after_s) if another_playback else START
        watched = hear(watched, claim, after_s, began_at)
        latest = max(latest, after_s)
        assert members(before.ranges) <= members(watched.ranges), "what is watched stays watched"
        assert members(watched.ranges) <= set(range(FILM_MS))
        assert length(watched.ranges) <= 2.5 * latest * 1000 + rules.INITIAL_CREDIT_MS
        assert watched.credit_ms >= 0


@given(claims, st.floats(0, 60))
def test_telling_the_same_twice_changes_nothing_when_all_was_believed(claim: list[Range], after_s: float) -> None:
    once = hear(nothing_watched(), claim, after_s)
    inside = unite((max(0, start), min(end, FILM_MS)) for start, end in claim)
    if once.ranges == inside:
        assert hear(once, claim, after_s) == once


def test_a_film_of_ten_seconds_cannot_be_finished_in_three() -> None:
    watched = nothing_watched()
    for after_s in (0.0, 0.1, 1.0, 1.0, 2.0, 2.9, 3.0):
        watched = hear(watched, [(0, FILM_MS)], after_s)
    assert not watched.enough
    assert watched.ranges == ((0, 8_000),)
    assert hear(watched, [(0, FILM_MS)], 4.0).enough


def test_a_player_at_double_speed_is_believed_whole() -> None:
    watched = nothing_watched(60_000)
    for beat in range(1, 4):
        watched = hear(watched, [(20_000 * (beat - 1), 20_000 * beat)], 10.0 * beat)
    assert watched.ranges == ((0, 60_000),)


def test_an_expired_playback_earns_nothing_more() -> None:
    watched = rules.hear(
        nothing_watched(),
        [(0, FILM_MS)],
        position_ms=5,
        seen_at=END,
        began_at=START,
        ends_at=START + timedelta(seconds=2),
        now=END,
    )
    assert length(watched.ranges) == 5_000 + rules.INITIAL_CREDIT_MS


def test_a_film_in_too_many_pieces_is_not_believed() -> None:
    film_ms = 10_000_000
    watched = nothing_watched(film_ms)
    for turn in range(6):
        start = turn * 1_000_000
        watched = hear(watched, [(start + n * 1000, start + n * 1000 + 1) for n in range(200)], 3600.0 * turn)
    assert len(watched.ranges) <= rules.MAX_RANGES
    assert hear(watched, [(0, film_ms)], 4 * 3600.0).ranges == ((0, film_ms),)


def test_an_older_report_does_not_move_the_position_back() -> None:
    now = START + timedelta(seconds=10)
    watched = rules.hear(nothing_watched(), [], position_ms=9_000, seen_at=now, began_at=START, ends_at=END, now=now)
    late = rules.hear(
        watched,
        [(0, 1_000)],
        position_ms=1_000,
        seen_at=START + timedelta(seconds=2),
        began_at=START,
        ends_at=END,
        now=now + timedelta(seconds=1),
    )
    assert (late.position_ms, late.ranges) == (9_000, ((0, 1_000),))
    beyond = rules.hear(watched, [], position_ms=99_000, seen_at=now, began_at=START, ends_at=END, now=now)
    assert beyond.position_ms == FILM_MS
