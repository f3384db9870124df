"""Decide about sessions: the verdict on a refresh token, and the lifetime of a session."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

TWIN_GRACE = timedelta(seconds=10)
"""A refresh token that has a successor still gives that same successor for this long, in case the answer was lost.

The chain of tokens does not fork: both holders of the old token get the same successor. When one of them is a thief, the first use
of the successor makes the other holder's use a reuse. So a theft is detected one step later, but always.
"""
MAX_IDLE = timedelta(days=30)
MAX_LIFETIME = timedelta(days=90)


class Verdict(Enum):
    """The verdict on a genuine refresh token."""

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


def verdict_on(chain: Chain, presented: int, now: datetime) -> Verdict:
    """Return the verdict on the token of generation `presented`. Source: RFC 9700, section 4.14.2."""
    if chain.ended or chain.expires_at <= now or presented > chain.generation:
        return Verdict.OVER
    if presented == chain.generation:
        return Verdict.ROTATE
    if presented == chain.generation - 1 and now - chain.rotated_at <= TWIN_GRACE:
        return Verdict.TWIN
    return Verdict.REUSE


def expiry(created_at: datetime, now: datetime) -> datetime:
    """Return the end of a session that is used now: `MAX_IDLE` from now, `MAX_LIFETIME` after its start at the latest."""
    return min(now + MAX_IDLE, created_at + MAX_LIFETIME)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """`<session>.<generation>.<proof>`: the proof is derived from a key of the platform and the session's salt.

    So an old token is recognized without being stored, and neither the database nor the key alone is enough to make one.
    """

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


_PROGRAMS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    *(("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows")),
    *(("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)


def program_and_system(user_agent: str) -> tuple[str, str]:
    """Return what a person signed in with, and on what; empty where it is not known."""
    program = next((name for mark, name in _PROGRAMS if mark in user_agent), None)
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return (user_agent.partition("/")[0].strip()[:40], "") if program is None else (program, system)
