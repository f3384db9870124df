"""The id of an answer: it says which question was answered to whom and what was shown, and only this platform can make it."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec

from api.analytics.search.contract import Named
from cluster.base.ids import OrgId, UserId
from cluster.base.sealing import mac, macs

VALID = timedelta(hours=1)
MOST_CHARACTERS = 2000
_PURPOSE = "answer"
_MAC_BYTES = 16
_NAME_BYTES = 4
"""Of a document: enough to tell it from others at its position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered."""

    id: UUID
    org_id: OrgId
    day: date
    language: str
    query: str
    user_id: UserId
    ends_at: datetime
    shown: bytes

    def has(self, document: Named, position: int) -> bool:
        """Tell whether it showed a document at this position, the first of which is 1."""
        at = (position - 1) * _NAME_BYTES
        return self.shown[at : at + _NAME_BYTES] == _name_of(document)


def shown_of(documents: Sequence[Named]) -> bytes:
    return b"".join(map(_name_of, documents))


def encode(answer: Answer) -> str:
    content = msgspec.msgpack.encode(answer)
    return urlsafe_b64encode(mac("search", _PURPOSE, content)[:_MAC_BYTES] + content).rstrip(b"=").decode()


def decode(text: str, user_id: UserId, now: datetime) -> Answer | None:
    """Read the id of an answer; None: it is forged, somebody else's, or over."""
    try:
        made = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        authentic, content = made[:_MAC_BYTES], made[_MAC_BYTES:]
        if not any(hmac.compare_digest(each[:_MAC_BYTES], authentic) for each in macs("search", _PURPOSE, content)):
            return None
        answer = msgspec.msgpack.decode(content, type=Answer)
    except (ValueError, msgspec.DecodeError):
        return None
    return answer if answer.user_id == user_id and now.astimezone(UTC) < answer.ends_at else None


def _name_of(document: Named) -> bytes:
    return hashlib.sha256(document.kind.encode() + document.id.bytes).digest()[:_NAME_BYTES]
