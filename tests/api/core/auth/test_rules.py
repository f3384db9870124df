"""What refresh tokens are worth, for every order in which their holders may use them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from api.core.auth.rules import IDLE, LONGEST, TWIN_GRACE, Chain, RefreshToken, Worth, expiry, worth

START = datetime(2026, 9, 1, 8, tzinfo=UTC)

steps = st.lists(
    st.tuples(st.integers(min_value=0, max_value=5), st.timedeltas(timedelta(0), timedelta(seconds=30))), max_size=30
)


@given(steps)
def test_one_chain_lives_and_ends_with_the_first_late_use_of_an_old_token(steps: list[tuple[int, timedelta]]) -> None:
    chain = Chain(generation=0, rotated_at=START, expires_at=START + LONGEST, ended=False)
    now = START
    for back, wait in steps:
        now += wait
        presented = max(0, chain.generation - back)
        verdict = worth(chain, presented, now)
        if chain.ended:
            assert verdict is Worth.OVER, "nothing revives a session"
        elif presented == chain.generation:
            assert verdict is Worth.ROTATE, "the newest token always works"
        elif presented == chain.generation - 1 and now - chain.rotated_at <= TWIN_GRACE:
            assert verdict is Worth.TWIN
        else:
            assert verdict is Worth.REUSE
        if verdict is Worth.ROTATE:
            chain = replace(chain, generation=chain.generation + 1, rotated_at=now)
        elif verdict is Worth.REUSE:
            chain = replace(chain, ended=True)


@given(st.integers(min_value=0, max_value=10), st.integers(min_value=1, max_value=10))
def test_tokens_that_were_not_issued_yet_are_worth_nothing(generation: int, ahead: int) -> None:
    chain = Chain(generation=generation, rotated_at=START, expires_at=START + LONGEST, ended=False)
    assert worth(chain, generation + ahead, START) is Worth.OVER


def test_a_session_rests_a_month_and_lives_a_quarter_at_most() -> None:
    assert expiry(START, START) == START + IDLE
    late = START + timedelta(days=80)
    assert expiry(START, late) == START + LONGEST
    chain = Chain(generation=1, rotated_at=START, expires_at=START + IDLE, ended=False)
    assert worth(chain, 1, START + IDLE) is Worth.OVER


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    parsed = RefreshToken.parse(text)
    assert parsed is None or RefreshToken.parse(str(parsed)) == parsed


def test_a_token_survives_its_text_form() -> None:
    token = RefreshToken(uuid4(), 12, "proof")
    assert RefreshToken.parse(str(token)) == token
