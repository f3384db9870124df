"""The message of a letter (RFC 5322), and the address to which it comes back."""

import base64
import hmac
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from uuid import UUID

from api.engagement.email.letter.content import message_id
from api.engagement.email.sender.logic import Sender
from api.engagement.email.template.rendering import Rendered, check_header
from cluster.base.sealing import macs

LETTER_HEADER = "X-Letter"
"""Has the return path, which receivers leave out: a complaint proves by it which letter it is about."""
_RETURN_PURPOSE = "return path"
_MAC_BYTES = 10


def message_of(
    letter_id: UUID,
    rendered: Rendered,
    *,
    sender: Sender,
    sender_domain: str,
    to: str,
    created_at: datetime,
    unsubscribe: str | None,
    reply_to: str | None,
) -> bytes:
    """Write the message as it goes over the wire, unsigned.

    Id and date are those of the letter, so that a receiver who gets it twice knows it (RFC 5322, 3.6.4).

    Raises:
        TemplateRefused: a header holds what no header may.
    """
    check_header(sender.name, "the sender's name")
    message = EmailMessage(policy=SMTP if to.isascii() else SMTPUTF8)
    message["From"] = Address(sender.name, addr_spec=sender.address)
    message["To"] = to
    if reply_to is not None:
        message["Reply-To"] = reply_to
    message["Subject"] = rendered.subject
    message["Date"] = created_at
    message["Message-ID"] = message_id(letter_id, sender_domain)
    # RFC 3834, 5: nobody's out-of-office answers it.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(rendered.text, cte="quoted-printable")
    message.add_alternative(rendered.html, subtype="html", cte="quoted-printable")
    # Written by hand: long words would be folded into encoded ones, which nobody reads as addresses (RFC 8058, 3.1).
    own = f"{LETTER_HEADER}: {return_path(letter_id, sender_domain)}\r\n"
    if unsubscribe is not None:
        own += f"List-Unsubscribe: <{unsubscribe}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    return own.encode("ascii") + message.as_bytes()


def return_path(letter_id: UUID, domain: str) -> str:
    """Return the address to which one letter bounces (VERP), so that a bounce names its letter."""
    return f"bounce+{letter_id.hex}.{_code(macs('email', _RETURN_PURPOSE, letter_id.bytes)[0])}@{domain}"


def letter_of_return_path(address: str) -> UUID | None:
    """Return the letter that bounced to an address; None when we did not make that address."""
    local = address.rpartition("@")[0].lower()
    prefix, _, rest = local.partition("+")
    text, _, code = rest.partition(".")
    if prefix != "bounce" or len(text) != 32 or not code.isascii():
        return None
    try:
        letter_id = UUID(hex=text)
    except ValueError:
        return None
    codes = [_code(each) for each in macs("email", _RETURN_PURPOSE, letter_id.bytes)]
    return letter_id if any(hmac.compare_digest(each, code) for each in codes) else None


def _code(mac: bytes) -> str:
    return base64.b32encode(mac[:_MAC_BYTES]).decode().lower()
