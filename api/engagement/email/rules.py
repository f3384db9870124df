"""Decide how letters are tried: when again, how many at once, and what an answer of a mail server means."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=4)
TRIED_FOR = timedelta(hours=48)
"""Source: RFC 5321, 4.5.4.1 asks for four to five days; who waits for a letter of a school has given up after two."""
HELD_FOR = timedelta(days=14)
"""So long a letter waits for its organization's suspension to end: nobody expects older news, and its words stay until it ends."""
KEPT_AFTER_END = timedelta(days=7)
FIRST_PACE = 10
MOST_AT_ONCE = 200
LONGEST_REST_S = 300.0

Outcome = Literal["sent", "deferred", "bounced", "refused"]
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_NO_SUCH_ADDRESS = {"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"}
"""RFC 3463, 3.2 and RFC 7505 (5.1.10): there is no such mailbox or domain, or it is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a mail server answered about one letter, or what kept it from answering."""

    code: int | None
    """None: no answer came."""
    text: str
    stage: Literal["connect", "mail", "rcpt", "data"]
    carrier: str | None = None
    """Who was asked."""
    carrier_id: str | None = None
    """By which id the carrier knows the letter, where it writes its own Message-ID."""

    @property
    def status(self) -> str:
        """The enhanced status code (RFC 3463); made of the first digit where the server sent none."""
        found = _STATUS.search(self.text)
        if found is not None and self.code is not None and found[1][0] == str(self.code)[0]:
            return found[1]
        return "4.4.2" if self.code is None else f"{self.code // 100}.0.0"


def outcome_of(reply: Reply) -> Outcome:
    """Tell what an answer means: `bounced` is about the address, `refused` about the letter."""
    if reply.code is None or 400 <= reply.code < 500:
        return "deferred"
    if reply.code < 400:
        return "sent"
    if reply.stage == "rcpt" and (reply.status in _NO_SUCH_ADDRESS or reply.status == "5.0.0"):
        return "bounced"
    if reply.status in _NO_SUCH_ADDRESS or reply.status.startswith("5.2."):
        return "bounced"
    return "refused"


def is_hard(reply: Reply) -> bool:
    """Tell whether a bounce says that the address is gone for good."""
    return reply.status in _NO_SUCH_ADDRESS or reply.status == "5.0.0"


def slows_down(reply: Reply) -> bool:
    """Tell whether the server asks for fewer letters: 421, or 450 to 459 (RFC 5321, 4.2.3)."""
    return reply.code is not None and (reply.code == 421 or 450 <= reply.code < 460)


def retry_at(now: datetime, attempts: int) -> datetime:
    """Return when to try again after so many tries: 1 minute, 2, 4, ... at most 4 hours."""
    return now + min(FIRST_RETRY * 2 ** min(attempts - 1, 20), LONGEST_RETRY)


def next_pace(pace: int, *, sent: int, slowed: bool) -> tuple[int, float]:
    """Return how many letters a domain gets at once next time, and how long it rests before (seconds).

    Halved when the server asks for fewer, else growing by a quarter while it takes them.
    """
    if slowed:
        halved = max(1, pace // 2)
        return halved, min(LONGEST_REST_S, 60.0 / halved)
    return (min(MOST_AT_ONCE, pace + max(1, pace // 4)) if sent else pace), 0.0


def without_address(reply: str, to: str) -> str:
    """Return a server's words without the address that it was asked about, on one line."""
    local = to.rpartition("@")[0]
    for text in (to, local):
        if len(text) > 2:
            reply = re.sub(re.escape(text), "<recipient>", reply, flags=re.IGNORECASE)
    return " ".join(reply.split())[:300]
