"""Tokens: bound to one playback, unforgeable, and over when they are over."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.media.video_streaming import tokens
from api.media.video_streaming.contract import Playback, PlaybackId, PlaybackRefused
from cluster.base.ids import OrgId, UserId, new_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def playback(enrollment_id: UUID | None = None) -> Playback:
    return Playback(
        id=PlaybackId(new_id()),
        org_id=OrgId(new_id()),
        course_id=new_id(),
        run_id=new_id(),
        user_id=UserId(new_id()),
        enrollment_id=enrollment_id,
        block_id=new_id(),
        block_version=1,
        min_ratio=0.9,
        video_id=new_id(),
        duration_s=10.0,
        created_at=NOW,
        expires_at=NOW + timedelta(hours=4),
    )


@pytest.mark.parametrize("enrollment_id", [None, new_id()])
def test_a_token_says_what_it_was_issued_for(enrollment_id: UUID | None) -> None:
    issued = playback(enrollment_id)
    said = tokens.verify(tokens.issue(issued), NOW)
    assert (said.playback_id, said.user_id, said.enrollment_id, said.video_id, said.expires_at) == (
        issued.id,
        issued.user_id,
        enrollment_id,
        issued.video_id,
        issued.expires_at,
    )


def test_a_token_ends_at_its_second() -> None:
    token = tokens.issue(playback())
    tokens.verify(token, NOW + timedelta(hours=4, seconds=-1))
    with pytest.raises(PlaybackRefused):
        tokens.verify(token, NOW + timedelta(hours=4))


@given(at=st.integers(0, 200), other=st.characters(codec="ascii"))
@settings(max_examples=300)
def test_any_changed_character_is_refused(at: int, other: str) -> None:
    token = tokens.issue(playback())
    at %= len(token)
    if token[at] == other:
        return
    with pytest.raises(PlaybackRefused):
        tokens.verify(token[:at] + other + token[at + 1 :], NOW)


@given(st.text(max_size=200))
def test_texts_of_any_kind_are_refused(text: str) -> None:
    with pytest.raises(PlaybackRefused):
        tokens.verify(text, NOW)


def test_the_parts_of_two_tokens_do_not_fit_together() -> None:
    one, two = tokens.issue(playback()).split("."), tokens.issue(playback()).split(".")
    with pytest.raises(PlaybackRefused):
        tokens.verify(".".join([one[0], one[1], two[2]]), NOW)
