"""Read what came in: reports of mail servers (RFC 3464, RFC 5965), and what a person wrote anew in an answer."""

import email
import hashlib
import re
from dataclasses import dataclass
from email.message import EmailMessage, Message
from email.policy import default
from html.parser import HTMLParser
from typing import cast
from uuid import UUID

from api.engagement.email.delivery.message import LETTER_HEADER
from api.engagement.email.rules import Reply, is_hard
from cluster.base.addresses import key_of

MOST_PARTS = 100
MOST_HEADERS = 500
MOST_CHARACTERS = 50_000
_HEAD_BYTES = 256 * 1024
_PART = re.compile(rb"boundary|message/rfc822|message/partial", re.IGNORECASE)
_RETURN_PATH = re.compile(r"bounce\+[0-9a-f]{32}\.[a-z2-7]{16}@[a-z0-9.-]{1,253}", re.IGNORECASE)
STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


class Unreadable(Exception):
    """The message has too many parts, or is none."""


def parse(content: bytes) -> EmailMessage:
    """Parse a message whose parts are few enough that parsing ends soon.

    Raises:
        Unreadable
    """
    if sum(1 for _ in _PART.finditer(content)) > MOST_PARTS:
        raise Unreadable(f"it has more than {MOST_PARTS} parts")
    head = content[: content.find(b"\r\n\r\n") if b"\r\n\r\n" in content else content.find(b"\n\n")]
    if len(head) > _HEAD_BYTES or head.count(b"\n") > MOST_HEADERS:
        raise Unreadable(f"it has more than {MOST_HEADERS} lines of headers")
    try:
        return email.message_from_bytes(content, policy=default)
    except (ValueError, LookupError, RecursionError) as error:
        raise Unreadable(f"it is no message: {type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a report says about one letter: `failed`, `delayed`, `delivered`, ..., with the code of RFC 3463."""

    action: str
    status: str
    hard: bool
    """The address is gone for good."""


def delivery_of(message: EmailMessage) -> Delivery | None:
    """Read a delivery status notification (RFC 3464); None: it is another message."""
    if message.get_content_type() != "multipart/report":
        return None
    for part in _parts(message):
        if part.get_content_type() == "message/delivery-status":
            for group in _groups(part):
                action = str(group.get("Action", "")).strip().lower()
                status = STATUS.search(str(group.get("Status", "")))
                if action:
                    code = status[0] if status else "5.0.0" if action == "failed" else "2.0.0"
                    return Delivery(action, code, hard=is_hard(_reply_of(code)))
    return None


def _reply_of(status: str) -> Reply:
    return Reply(code=int(status[0]) * 100 + 50, text=status, stage="rcpt")


@dataclass(frozen=True, slots=True)
class Complaint:
    return_path: str
    """The address to which the letter comes back: who knows it has the letter."""
    kind: str
    """`abuse`, `fraud`, `opt-out`, `not-spam`, ... (RFC 5965, 7.3)."""


def complaint_of(message: EmailMessage) -> Complaint | None:
    """Read a feedback report about a letter of ours (RFC 5965); None: it is another message."""
    if message.get_content_type() != "multipart/report":
        return None
    kind = return_path = None
    for part in _parts(message):
        if part.get_content_type() == "message/feedback-report":
            for group in _groups(part):
                kind = str(group.get("Feedback-Type", "")).strip().lower() or kind
                found = _RETURN_PATH.search(str(group.get("Original-Mail-From", "")))
                return_path = found[0] if found else return_path
        elif part.get_content_type() in ("message/rfc822", "text/rfc822-headers"):
            found = _RETURN_PATH.search(_text_of_headers(part))
            return_path = found[0] if found else return_path
    return Complaint(return_path, kind) if kind is not None and return_path is not None else None


def _parts(message: EmailMessage) -> list[EmailMessage]:
    return list(message.walk())[:MOST_PARTS]


def _groups(part: EmailMessage) -> list[Message]:
    """Return the groups of fields in a part, however the parser took them."""
    payload = part.get_payload()
    if isinstance(payload, list):
        return [cast(Message, each) for each in payload]
    texts = re.split(r"\r?\n\r?\n", str(payload))[:MOST_PARTS]
    return [email.message_from_string(each) for each in texts]


def _text_of_headers(part: EmailMessage) -> str:
    payload = part.get_payload()
    inner = cast(Message, payload[0]) if isinstance(payload, list) and payload else None
    if inner is None:
        return str(payload)[:_HEAD_BYTES]
    return "\n".join(str(inner.get(name, "")) for name in (LETTER_HEADER, "Return-Path"))


def is_automatic(message: EmailMessage, mail_from: str) -> bool:
    """Tell whether a program wrote it: an out-of-office, a list, a bounce (RFC 3834, 2)."""
    submitted = str(message.get("Auto-Submitted", "no")).strip().lower()
    precedence = str(message.get("Precedence", "")).strip().lower()
    return (
        not mail_from.strip("<> ")
        or submitted.partition(";")[0].strip() != "no"
        or precedence in ("bulk", "junk", "list", "auto_reply")
        or any(name in message for name in ("X-Autoreply", "X-Autorespond", "List-Id", "X-Failed-Recipients"))
    )


def key_of_message(message: EmailMessage, letter_id: UUID) -> bytes | None:
    """Return by what the same answer is known that comes by another way, with other trace headers; None: it has no Message-ID."""
    written = "".join(str(message.get("Message-ID", "")).split())
    return hashlib.sha256(letter_id.bytes + written.encode(errors="replace")).digest() if written else None


def author_of(message: EmailMessage) -> str | None:
    """Return the one address that a message says it is from; None: none, or several."""
    headers = message.get_all("From", [])
    addresses = [each.addr_spec for header in headers for each in header.addresses]
    return addresses[0] if len(headers) == 1 and len(addresses) == 1 and "@" in addresses[0] else None


def author_domain(author: str) -> str:
    return key_of(author).rpartition("@")[2]


_ATTRIBUTION = re.compile(r"(?:On|Am|Le|El|Il) .{4,200}(?:wrote|schrieb|écrit|escribió|scritto)[^:]{0,100}:")
_SEPARATOR = re.compile(r"-{2,} ?(?:Original Message|Ursprüngliche Nachricht|Forwarded message) ?-{2,}|_{20,}")
_HEADER_LINE = re.compile(r"\*?(?:From|Von|De):\*? .{1,300}")
_NEXT_HEADER_LINE = re.compile(r"\*?(?:Sent|Gesendet|Date|Datum|To|An|Envoyé):\*? .{1,300}")


def new_words(message: EmailMessage) -> str:
    """Return what was written anew: without the quoted letter and the signature.

    Every pattern here sees one line or two, so that no text takes long (mail-parser-reply took minutes over 45 KB of `On On On`).
    """
    lines = [line.rstrip()[:2000] for line in _plain(message)[:MOST_CHARACTERS].split("\n")]
    kept: list[str] = []
    for number, line in enumerate(lines):
        two = f"{line} {lines[number + 1]}" if number + 1 < len(lines) else line
        if line == "--" or _SEPARATOR.fullmatch(line.strip()) or _ATTRIBUTION.fullmatch(line.strip()):
            break
        if line.startswith(("On ", "Am ", "Le ", "El ", "Il ")) and _ATTRIBUTION.fullmatch(two.strip()):
            break
        if _HEADER_LINE.fullmatch(line) and number + 1 < len(lines) and _NEXT_HEADER_LINE.fullmatch(lines[number + 1]):
            break
        if not line.startswith(">"):
            kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _plain(message: EmailMessage) -> str:
    try:
        body = message.get_body(("plain", "html"))
        if body is None:
            return ""
        text = str(body.get_content()).replace("\r\n", "\n").replace("\0", "")
    except (LookupError, ValueError, KeyError):
        return ""
    if body.get_content_type() == "text/html":
        reader = _Words()
        reader.feed(text[: 10 * MOST_CHARACTERS])
        return "".join(reader.parts)
    return text


class _Words(HTMLParser):
    """Reads the words of HTML without what it quotes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._hidden += tag in ("blockquote", "style", "script", "head", "title")
        if tag in ("br", "p", "div", "li", "tr"):
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("blockquote", "style", "script", "head", "title"):
            self._hidden = max(0, self._hidden - 1)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(re.sub(r"\s+", " ", data))
