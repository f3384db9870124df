"""The verdicts on refresh tokens, for every order in which their holders may use them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from api.core.auth.session.rules import (
    MAX_IDLE,
    MAX_LIFETIME,
    TWIN_GRACE,
    Chain,
    RefreshToken,
    Verdict,
    expiry,
    verdict_on,
)

START = datetime(2026, 9, 1, 8, tzinfo=UTC)

steps = st.lists(
    st.tuples(st.integers(min_value=0, max_value=5), st.timedeltas(timedelta(0), timedelta(seconds=30))), max_size=30
)


@given(steps)
def test_one_chain_lives_and_ends_with_the_first_late_use_of_an_old_token(steps: list[tuple[int, timedelta]]) -> None:
    chain = Chain(generation=0, rotated_at=START, expires_at=START + MAX_LIFETIME, ended=False)
    now = START
    for back, wait in steps:
        now += wait
        presented = max(0, chain.generation - back)
        verdict = verdict_on(chain, presented, now)
        if chain.ended:
            assert verdict is Verdict.OVER, "nothing revives a session"
        elif presented == chain.generation:
            assert verdict is Verdict.ROTATE, "the newest token always works"
        elif presented == chain.generation - 1 and now - chain.rotated_at <= TWIN_GRACE:
            assert verdict is Verdict.TWIN
        else:
            assert verdict is Verdict.REUSE
        if verdict is Verdict.ROTATE:
            chain = replace(chain, generation=chain.generation + 1, rotated_at=now)
        elif verdict is Verdict.REUSE:
            chain = replace(chain, ended=True)


@given(st.integers(min_value=0, max_value=10), st.integers(min_value=1, max_value=10))
def test_tokens_that_were_not_issued_yet_are_worth_nothing(generation: int, ahead: int) -> None:
    chain = Chain(generation=generation, rotated_at=START, expires_at=START + MAX_LIFETIME, ended=False)
    assert verdict_on(chain, generation + ahead, START) is Verdict.OVER


def test_a_session_rests_a_month_and_lives_a_quarter_at_most() -> None:
    assert expiry(START, START) == START + MAX_IDLE
    late = START + timedelta(days=80)
    assert expiry(START, late) == START + MAX_LIFETIME
    chain = Chain(generation=1, rotated_at=START, expires_at=START + MAX_IDLE, ended=False)
    assert verdict_on(chain, 1, START + MAX_IDLE) is Verdict.OVER


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    parsed = RefreshToken.parse(text)
    assert parsed is None or RefreshToken.parse(str(parsed)) == parsed


def test_a_token_survives_its_text_form() -> None:
    token = RefreshToken(uuid4(), 12, "proof")
    assert RefreshToken.parse(str(token)) == token
