"""Decide about sessions: what a refresh token is worth, and how long a session lives."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

TWIN_GRACE = timedelta(seconds=10)
"""How long a refresh token that has a successor still gives that same successor, to who lost the answer.

Nothing is forked by it: there is one chain of tokens, and both holders of the old one get the same next one. If one of them is a
thief, the first who uses the successor makes the other's a reuse. So detection comes one step later, never not at all.
"""
IDLE = timedelta(days=30)
LONGEST = timedelta(days=90)
RECENT = timedelta(minutes=10)


class Worth(Enum):
    """What a genuine refresh token is worth."""

    ROTATE = "rotate"
    TWIN = "twin"
    REUSE = "reuse"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Chain:
    """A session's tokens: `generation` counts the rotations."""

    generation: int
    rotated_at: datetime
    expires_at: datetime
    ended: bool


def worth(chain: Chain, presented: int, now: datetime) -> Worth:
    """Tell what the token of generation `presented` is worth. Source: RFC 9700, section 4.14.2."""
    if chain.ended or chain.expires_at <= now or presented > chain.generation:
        return Worth.OVER
    if presented == chain.generation:
        return Worth.ROTATE
    if presented == chain.generation - 1 and now - chain.rotated_at <= TWIN_GRACE:
        return Worth.TWIN
    return Worth.REUSE


def expiry(created_at: datetime, now: datetime) -> datetime:
    """Return when a session that is used now ends: after a month of rest, after a quarter in any case."""
    return min(now + IDLE, created_at + LONGEST)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """`<session>.<generation>.<proof>`: the proof follows from a key of the platform and the session's salt, so that old tokens
    are known as genuine without being kept, and neither the database nor the key alone makes one."""

    session_id: UUID
    generation: int
    proof: str

    @classmethod
    def parse(cls, text: str) -> "RefreshToken | None":
        session, _, rest = text.partition(".")
        generation, _, proof = rest.partition(".")
        if not (len(session) == 32 and generation.isdecimal() and generation.isascii() and len(generation) < 10):
            return None
        try:
            return cls(UUID(session), int(generation), proof)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.session_id.hex}.{self.generation}.{self.proof}"
