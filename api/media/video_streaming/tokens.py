"""Tokens of playbacks: they stand in the address of a film, so that players need no header, and are bound to one playback.

A token is `<version>.<payload>.<HMAC-SHA-256 of both>`, base64url. The payload is 72 bytes: playback, person, enrolment
(zeros: none), film, and the second it expires in. Verifying one needs the platform's secret alone, no database.
"""

import base64
import binascii
import hmac
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from api.media.video_streaming.contract import Playback, PlaybackId, PlaybackRefused
from cluster.base import secrets
from cluster.base.ids import UserId

VERSION = "1"
_PURPOSE = f"video_streaming playback token {VERSION}"
_PAYLOAD = struct.Struct(">16s16s16s16sQ")
_NO_ENROLLMENT = UUID(int=0)
_FORM = re.compile(r"1\.([A-Za-z0-9_-]{96})\.([A-Za-z0-9_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """The claims of a valid token."""

    playback_id: PlaybackId
    user_id: UserId
    enrollment_id: UUID | None
    video_id: UUID
    expires_at: datetime


def issue(playback: Playback) -> str:
    """Make the token of a playback; the same playback has the same token."""
    payload = _PAYLOAD.pack(
        playback.id.bytes,
        playback.user_id.bytes,
        (playback.enrollment_id or _NO_ENROLLMENT).bytes,
        playback.video_id.bytes,
        int(playback.expires_at.timestamp()),
    )
    return f"{VERSION}.{_text(payload)}.{_text(_mac(secrets.key(_PURPOSE), payload))}"


def verify(token: str, now: datetime) -> Claims:
    """Return the claims of a token.

    Raises:
        PlaybackRefused: it was not made here, was changed, or has expired.
    """
    match = _FORM.fullmatch(token)
    if match is None:
        raise PlaybackRefused("ask for a new one: POST /v1/playbacks")
    payload, mac = (_bytes(part) for part in match.groups())
    # The text is compared too: the last character of base64 has spare bits, and any changed token is refused.
    ours = any(hmac.compare_digest(mac, _mac(key, payload)) for key in secrets.keys(_PURPOSE).values())
    if not ours or not hmac.compare_digest(_text(mac), match[2]):
        raise PlaybackRefused("ask for a new one: POST /v1/playbacks")
    playback_id, user_id, enrollment_id, video_id, expires_s = _PAYLOAD.unpack(payload)
    expires_at = datetime.fromtimestamp(expires_s, UTC)
    if now >= expires_at:
        raise PlaybackRefused("it has expired; ask for a new one: POST /v1/playbacks")
    enrollment = UUID(bytes=enrollment_id)
    return Claims(
        playback_id=PlaybackId(UUID(bytes=playback_id)),
        user_id=UserId(UUID(bytes=user_id)),
        enrollment_id=None if enrollment == _NO_ENROLLMENT else enrollment,
        video_id=UUID(bytes=video_id),
        expires_at=expires_at,
    )


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, VERSION.encode() + payload, "sha256")


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise PlaybackRefused("ask for a new one: POST /v1/playbacks") from None
