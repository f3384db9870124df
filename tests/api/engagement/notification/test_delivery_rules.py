"""When a person is told by a channel: pure decisions, over changes of the clock too."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.engagement.notification.delivery.rules import Hold, Send, Skip, Told, Wishes, decide, retry_at
from api.engagement.notification.preference.rules import Choices, choice_of, merge, pace_of
from cluster.base.times import Window

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Window(weekdays=(1, 2, 3, 4, 5, 6, 7), begins=time(22), ends=time(7))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


NOON = utc(2031, 7, 2, 10)


def decided(now: datetime, *, channel: Any = "push", told: dict[str, Any] | None = None, **wishes: Any) -> object:
    about: dict[str, Any] = {"severity": "normal", "created_at": NOON, **(told or {})}
    wanted: dict[str, Any] = {"pace": "at_once", "zone": BERLIN, **wishes}
    return decide(now, channel, Told(**about), Wishes(**wanted))


def test_inbox_and_push_are_at_once_and_mail_waits_for_the_reader() -> None:
    assert decided(NOON) == Send()
    assert decided(NOON, channel="mail") == Hold(NOON + timedelta(minutes=10))
    assert decided(NOON + timedelta(minutes=10), channel="mail") == Send()
    assert decided(NOON + timedelta(minutes=10), channel="mail", told={"read": True}) == Skip("read")


def test_quiet_hours_hold_until_their_end_over_the_change_of_the_clock() -> None:
    evening = utc(2031, 3, 29, 21, 30)
    told = {"created_at": evening}

    assert decided(evening, told=told, windows=(NIGHT,)) == Hold(utc(2031, 3, 30, 5), "quiet")
    assert decided(utc(2031, 3, 30, 5), told=told, windows=(NIGHT,)) == Send()
    autumn = utc(2031, 10, 25, 22)
    assert decided(autumn, told={"created_at": autumn}, windows=(NIGHT,)) == Hold(utc(2031, 10, 26, 6), "quiet")


def test_do_not_disturb_ends_with_the_quiet_hours_that_it_reaches() -> None:
    until = utc(2031, 7, 2, 21)

    assert decided(NOON, do_not_disturb_until=until) == Hold(until, "quiet")
    assert decided(NOON, do_not_disturb_until=until, windows=(NIGHT,)) == Hold(utc(2031, 7, 3, 5), "quiet")


def test_what_concerns_security_passes_quiet_hours_and_mutes() -> None:
    at_night = utc(2031, 7, 2, 23)
    told = {"severity": "security", "created_at": at_night}

    for channel in ("push", "mail"):
        assert decided(at_night, channel=channel, told=told, windows=(NIGHT,), muted=True) == Send()


@pytest.mark.parametrize(
    ("pace", "until"),
    [
        ("hourly", utc(2031, 7, 2, 11)),
        ("daily", utc(2031, 7, 3, 6)),
        ("weekly", utc(2031, 7, 7, 6)),
    ],
)
def test_a_digest_is_due_at_the_local_hour(pace: str, until: datetime) -> None:
    assert decided(NOON, channel="mail", pace=pace) == Hold(until, "digest")
    assert decided(until, channel="mail", pace=pace) == Send()


def test_a_digest_follows_its_person_to_another_time_zone() -> None:
    there = decided(NOON, channel="mail", pace="daily", zone=ZoneInfo("America/New_York"), digest_hour=7)

    assert there == Hold(utc(2031, 7, 2, 11), "digest")


def test_what_is_stale_off_or_muted_is_not_sent() -> None:
    assert decided(NOON, told={"expires_at": NOON}) == Skip("expired")
    assert decided(NOON, pace="off") == Skip("off")
    assert decided(NOON, muted=True) == Skip("muted")


def test_the_organization_locks_before_the_person_chooses() -> None:
    chosen: Choices = {"learning": {"mail": "off", "push": "hourly"}}
    locked: Any = {"learning": {"mail": {"pace": "daily", "locked": True}, "push": {"pace": "weekly"}}}

    assert choice_of("learning", "mail", chosen=chosen, defaults=locked) == ("daily", True)
    assert choice_of("learning", "push", chosen=chosen, defaults=locked) == ("hourly", False)
    assert choice_of("learning", "push", chosen={}, defaults=locked) == ("weekly", False)
    assert choice_of("marketing", "mail", chosen={}, defaults={}) == ("off", False)
    assert pace_of("security", "mail", "security", chosen={"security": {"mail": "off"}}, defaults={}) == "at_once"
    assert pace_of("learning", "mail", "low", chosen={}, defaults={}) == "daily"
    assert pace_of("learning", "push", "low", chosen={}, defaults={}) == "off"


def test_a_merge_patch_gives_choices_up_by_null() -> None:
    chosen: Choices = {"learning": {"mail": "off", "push": "hourly"}, "account": {"mail": "daily"}}

    assert merge(chosen, {"learning": {"mail": None}, "account": None, "teaching": {"push": "off"}}) == {
        "learning": {"push": "hourly"},
        "teaching": {"push": "off"},
    }


def test_a_push_service_is_asked_again_no_earlier_than_it_wants() -> None:
    assert retry_at(NOON, 1, None) == NOON + timedelta(seconds=15)
    assert retry_at(NOON, 9, None) == NOON + timedelta(hours=1)
    assert retry_at(NOON, 1, 120) == NOON + timedelta(minutes=2)
    assert retry_at(NOON, 1, 1e9) == NOON + timedelta(hours=6)
