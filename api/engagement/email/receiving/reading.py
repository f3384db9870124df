"""Read what came in: reports of mail servers (RFC 3464, RFC 5965), and what a person wrote anew in an answer."""

import codecs
import email
import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import AddressHeader
from email.message import EmailMessage, Message
from email.policy import EmailPolicy
from html.parser import HTMLParser
from itertools import islice
from typing import cast
from uuid import UUID

from api.engagement.email.delivery.message import LETTER_HEADER
from api.engagement.email.rules import Reply, is_hard
from cluster.base.addresses import key_of

MOST_PARTS = 100
MOST_HEADERS = 500
MOST_CHARACTERS = 50_000
_HEAD_BYTES = 256 * 1024
_MOST_HEADERS_OF_PARTS = 2000
_HEADER_CHARACTERS = 1000
_MOST_LINES = 600_000
"""25 MiB in base64 have fewer; the parser takes each line by itself."""
_MOST_HOPS = 100
_MOST_LOOKS = 3_000_000
_MOST_DELIMITERS = 2000
_BODY_BYTES = 8 * MOST_CHARACTERS
_DELIMITER = re.compile(rb"(?:^|[\r\n])--")
_NO_CHARSETS = ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined")
"""Python decodes them too, some of them in a time that grows with the square."""
_PART = re.compile(rb"boundary|message/rfc822|message/partial", re.IGNORECASE)
_RETURN_PATH = re.compile(r"bounce\+[0-9a-f]{32}\.[a-z2-7]{16}@[a-z0-9.-]{1,253}", re.IGNORECASE)
STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


class Unreadable(Exception):
    """The message has too many parts, or is none."""


class _Bounded(EmailPolicy):
    """Reads the beginning of a header alone, and few headers: the library takes minutes over some that are long."""

    seen: list[None] = []
    """One for each header; a parse has its own, as it has what it read of them."""
    parsed: dict[tuple[str, str], object] = {}

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        self.seen.append(None)
        if len(self.seen) > _MOST_HEADERS_OF_PARTS:
            raise Unreadable(f"its parts have more than {_MOST_HEADERS_OF_PARTS} headers")
        return super().header_source_parse(sourcelines)

    def header_fetch_parse(self, name: str, value: str) -> object:
        key = (name, value[:_HEADER_CHARACTERS])
        if key not in self.parsed:
            self.parsed[key] = super().header_fetch_parse(*key)
        return self.parsed[key]


class _Part(EmailMessage):
    """A part that is no message to the parser: it looks into what is multipart, and reports are read here, as far as needed."""

    def get_content_type(self) -> str:
        kind = super().get_content_type()
        return "application/octet-stream" if kind.startswith("message/") else kind


def _kind_of(part: EmailMessage) -> str:
    return EmailMessage.get_content_type(part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What is read of a message, by itself: whether any of it is true is another question."""

    message: EmailMessage
    delivery: "Delivery | None"
    complaint: "Complaint | None"
    automatic: bool
    author: str | None
    message_id: str
    words: str


def read(content: bytes, mail_from: str) -> Mail:
    """Read a message, in a time that does not depend on what is in it.

    Raises:
        Unreadable: it has too many parts, headers or lines, or is none.
    """
    _check_shape(content)
    try:
        policy = _Bounded(seen=[], parsed={})  # pyright: ignore[reportCallIssue] (a policy takes its attributes)
        message = cast(EmailMessage, email.message_from_bytes(content, _Part, policy=policy))
        if sum(name.lower() == "received" for name, _ in message.raw_items()) > _MOST_HOPS:
            raise Unreadable(f"it came by more than {_MOST_HOPS} servers: it goes round in circles (RFC 5321, 6.3)")
        return Mail(
            message=message,
            delivery=delivery_of(message),
            complaint=complaint_of(message),
            automatic=is_automatic(message, mail_from),
            author=author_of(message),
            message_id="".join(str(message.get("Message-ID", "")).split()),
            words=new_words(message),
        )
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        # The library raises each of them over headers that somebody made for it.
        raise Unreadable(f"it is no message: {type(error).__name__}") from None


def _check_shape(content: bytes) -> None:
    """Refuse what the parser would take long over: it looks at every line, once for each part around it."""
    lines = max(content.count(b"\n"), content.count(b"\r"))
    if lines > _MOST_LINES:
        raise Unreadable(f"it has more than {_MOST_LINES} lines")
    parts = sum(1 for _ in islice(_PART.finditer(content), MOST_PARTS + 1))
    if parts > MOST_PARTS or _has_more(_DELIMITER, content, _MOST_DELIMITERS) or parts * lines > _MOST_LOOKS:
        raise Unreadable(f"it has more than {MOST_PARTS} parts, or too many lines for them")
    head = content[: content.find(b"\r\n\r\n") if b"\r\n\r\n" in content else content.find(b"\n\n")]
    if len(head) > _HEAD_BYTES or head.count(b"\n") > MOST_HEADERS:
        raise Unreadable(f"it has more than {MOST_HEADERS} lines of headers")


def _has_more(pattern: re.Pattern[bytes], content: bytes, most: int) -> bool:
    return next(islice(pattern.finditer(content), most, None), None) is not None


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
        if _kind_of(part) == "message/delivery-status":
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
        if _kind_of(part) == "message/feedback-report":
            for group in _groups(part):
                kind = str(group.get("Feedback-Type", "")).strip().lower() or kind
                found = _RETURN_PATH.search(str(group.get("Original-Mail-From", "")))
                return_path = found[0] if found else return_path
        elif _kind_of(part) in ("message/rfc822", "text/rfc822-headers"):
            found = _RETURN_PATH.search(_text_of_headers(part))
            return_path = found[0] if found else return_path
    return Complaint(return_path, kind) if kind is not None and return_path is not None else None


def _parts(message: EmailMessage) -> list[EmailMessage]:
    return list(message.walk())[:MOST_PARTS]


def _groups(part: EmailMessage) -> list[Message]:
    """Return the groups of fields in a part, which empty lines divide."""
    texts = re.split(r"\r?\n\r?\n", str(part.get_payload())[:_HEAD_BYTES], maxsplit=MOST_PARTS)[:MOST_PARTS]
    return [email.message_from_string(each) for each in texts]


_FOLD = re.compile(r"\r?\n[ \t]+")
_OF_LETTER = (f"{LETTER_HEADER}:".lower(), "return-path:")


def _text_of_headers(part: EmailMessage) -> str:
    """Return the headers of a letter that came back which name it; its words may name another one."""
    text = str(part.get_payload())[:_HEAD_BYTES].lstrip("\r\n")
    head = _FOLD.sub(" ", re.split(r"\r?\n\r?\n", text, maxsplit=1)[0])
    return "\n".join(line for line in head.splitlines() if line.lower().startswith(_OF_LETTER))


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


def key_of_message(message_id: str, letter_id: UUID) -> bytes | None:
    """Return by what the same answer is known that comes by another way, with other trace headers; None: it has no Message-ID."""
    return hashlib.sha256(letter_id.bytes + message_id.encode(errors="replace")).digest() if message_id else None


def author_of(message: EmailMessage) -> str | None:
    """Return the one address that a message says it is from; None: none, or several."""
    written = [str(value) for name, value in message.raw_items() if name.lower() == "from"]
    if len(written) != 1 or len(written[0]) > _HEADER_CHARACTERS:
        return None
    addresses = [each.addr_spec for each in cast(AddressHeader, message["From"]).addresses]
    return addresses[0] if len(addresses) == 1 and "@" in addresses[0] else None


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
        payload = cast(bytes, body.get_payload(decode=True))[:_BODY_BYTES]
        charset = codecs.lookup(body.get_content_charset("ascii")).name.replace("-", "_")
        if charset in _NO_CHARSETS:
            return ""
        text = payload.decode(charset, errors="replace").replace("\r\n", "\n").replace("\0", "")
    except (LookupError, ValueError, TypeError):
        return ""
    return _words_of(text) if body.get_content_type() == "text/html" else text


def _words_of(html: str) -> str:
    reader = _Words()
    # What it cannot read after the words that it could is left out.
    with suppress(AssertionError, ValueError):
        reader.feed(html)
    return "".join(reader.parts)


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
