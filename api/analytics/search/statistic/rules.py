"""What is counted of a question, and who is counted without being named."""

import hmac
import re
import unicodedata
from datetime import date, timedelta

from cluster.base.ids import OrgId, UserId

MOST_CHARACTERS = 100
"""Of a question that are kept."""
FEWEST_PEOPLE = 5
"""Who asked a question before anybody is told of it."""
KEPT = timedelta(days=90)
ERA = timedelta(days=30)
"""For so long one key tells people apart; then it is deleted, and what it made leads to nobody."""
NO_LANGUAGE = "und"
_ASKER_BYTES = 16
_BEGIN = date(1970, 1, 1)
_PHONE_DIGITS = 7
_ADDRESS = re.compile(r"\S ?@ ?\S")
_NUMBER = re.compile(r"[\d(+][\d ()/.+-]*")
_DIGIT = re.compile(r"\d")
_JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))
"""Nobody sees them, and words of some languages need them."""


def normal(text: str) -> str | None:
    """Return a question as it is counted; None: it has nothing to count, or looks like an e-mail address or a phone number."""
    folded = "".join(_plain(each) for each in unicodedata.normalize("NFKC", text).casefold())
    query = " ".join(folded.split())
    # What nobody sees would hide an address.
    seen = query.translate(_JOINERS)
    if _ADDRESS.search(seen) or any(len(_DIGIT.findall(run)) >= _PHONE_DIGITS for run in _NUMBER.findall(seen)):
        return None
    return query[:MOST_CHARACTERS].strip() or None


def _plain(character: str) -> str:
    """Return a dash for every dash, a space for every space and control, nothing for what is not seen and joins nothing."""
    match unicodedata.category(character):
        case "Pd":
            return "-"
        case "Cf":
            return character if ord(character) in _JOINERS else ""
        case "Cs":
            return ""
        case category:
            return " " if category[0] in "ZC" else character


def era_of(day: date) -> int:
    """Return the number of the era of a day."""
    return (day - _BEGIN) // ERA


def end_of(era: int) -> date:
    """Return the first day after an era."""
    return _BEGIN + ERA * (era + 1)


def asker_of(key: bytes, org_id: OrgId, language: str, query: str, user_id: UserId) -> bytes:
    """Return what stands for a person among those who asked one question; it is another for each question and each era."""
    content = b"\0".join([org_id.bytes, language.encode(), query.encode(), user_id.bytes])
    return hmac.digest(key, content, "sha256")[:_ASKER_BYTES]
