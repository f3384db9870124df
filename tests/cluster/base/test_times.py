"""Wall clocks over changes to and from daylight saving time."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from cluster.base.times import Window, end_of_windows, instant, next_hour, next_time

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Window(weekdays=(1, 2, 3, 4, 5, 6, 7), begins=time(22), ends=time(7))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def test_a_time_that_the_clock_skips_is_the_end_of_the_gap() -> None:
    # On 30 March 2031 the clock goes from 2:00 to 3:00, which is 1:00 UTC.
    assert instant(date(2031, 3, 30), time(2, 30), BERLIN) == utc(2031, 3, 30, 1)
    assert instant(date(2031, 3, 30), time(3), BERLIN) == utc(2031, 3, 30, 1)


def test_a_time_that_the_clock_shows_twice_is_the_first_or_the_last() -> None:
    twice = date(2031, 10, 26), time(2, 30), BERLIN

    assert (instant(*twice), instant(*twice, last=True)) == (utc(2031, 10, 26, 0, 30), utc(2031, 10, 26, 1, 30))


def test_quiet_nights_end_at_the_same_wall_clock_over_both_changes() -> None:
    assert end_of_windows(utc(2031, 3, 29, 21, 30), [NIGHT], BERLIN) == utc(2031, 3, 30, 5)
    assert end_of_windows(utc(2031, 10, 25, 20, 30), [NIGHT], BERLIN) == utc(2031, 10, 26, 6)
    assert end_of_windows(utc(2031, 7, 1, 12), [NIGHT], BERLIN) is None


def test_windows_that_follow_each_other_end_together() -> None:
    weekend = [
        Window(weekdays=(5,), begins=time(18), ends=time(0)),
        Window(weekdays=(6, 7), begins=time(0), ends=time(0)),
        NIGHT,
    ]

    # Friday 10 January 2031, 19:00 in Berlin, until Monday 7:00.
    assert end_of_windows(utc(2031, 1, 10, 18), weekend, BERLIN) == utc(2031, 1, 13, 6)


def test_windows_without_an_end_are_ended_after_a_week() -> None:
    always = [Window(weekdays=(1, 2, 3, 4, 5, 6, 7), begins=time(0), ends=time(0))]

    until = end_of_windows(utc(2031, 1, 10, 18), always, BERLIN)

    assert until is not None
    assert timedelta(days=7) < until - utc(2031, 1, 10, 18) < timedelta(days=9)


@given(
    st.integers(0, 2 * 366 * 24 * 60).map(lambda minutes: utc(2030, 1, 1) + timedelta(minutes=minutes)),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]),
)
def test_the_next_time_is_later_and_at_most_a_day_and_a_change_away(after: datetime, at: time, name: str) -> None:
    zone = ZoneInfo(name)

    found = next_time(after, at, zone)

    assert after < found <= after + timedelta(hours=26)
    shown = found.astimezone(zone)
    skipped = (found - timedelta(seconds=1)).astimezone(zone).utcoffset() != shown.utcoffset()
    assert shown.time() == at or skipped


def test_the_next_hour_is_a_full_hour_of_the_local_clock() -> None:
    assert next_hour(utc(2031, 1, 1, 10, 0), ZoneInfo("Asia/Kolkata")) == utc(2031, 1, 1, 10, 30)
    assert next_hour(utc(2031, 1, 1, 10, 0), BERLIN) == utc(2031, 1, 1, 11)
    assert next_time(utc(2031, 1, 1, 10), time(8), BERLIN, (1,)) == utc(2031, 1, 6, 7)
