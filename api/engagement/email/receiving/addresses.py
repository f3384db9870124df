"""Addresses to which mail comes: `<route>+<letter>.<code>@` for answers, `bounce+...@` for reports. We alone can make them."""

import base64
import hmac
from functools import cache
from uuid import UUID

from api.engagement.email.contract import ReplyRoute
from api.engagement.email.delivery.message import letter_of_return_path
from api.engagement.email.sender.logic import platform_sender
from cluster.base.registry import offers
from cluster.base.sealing import macs

_PURPOSE = "reply address"
_MAC_BYTES = 10
_MOST_ROUTE_CHARACTERS = 14
"""A local part has 64 octets (RFC 5321, 4.5.3.1.1)."""


@cache
def routes() -> dict[str, ReplyRoute]:
    """Return the routes that services offer, by name.

    Raises:
        ValueError: a name does not fit into an address, or two have it.
    """
    found: dict[str, ReplyRoute] = {}
    for offer in offers(ReplyRoute):
        if not offer.name.isascii() or not offer.name.isalpha() or not offer.name.islower():
            raise ValueError(f"{offer.name}: a reply route is called by small letters")
        if len(offer.name) > _MOST_ROUTE_CHARACTERS or offer.name in found or offer.name in ("bounce", "feedback"):
            raise ValueError(
                f"{offer.name}: each route has a name of its own, of {_MOST_ROUTE_CHARACTERS} letters at most"
            )
        found[offer.name] = offer
    return found


def reply_address(route: str, letter_id: UUID) -> str:
    return f"{route}+{letter_id.hex}.{_codes(route, letter_id)[0]}@{platform_sender().domain}"


def letter_of_reply_address(address: str) -> tuple[str, UUID] | None:
    """Return route and letter of an address; None when we did not make it."""
    route, _, token = address.rpartition("@")[0].lower().partition("+")
    text, _, code = token.partition(".")
    if len(text) != 32 or not address.isascii():
        return None
    try:
        letter_id = UUID(hex=text)
    except ValueError:
        return None
    return (route, letter_id) if any(hmac.compare_digest(each, code) for each in _codes(route, letter_id)) else None


def letter_of_bounce(address: str) -> UUID | None:
    """Return the letter that came back to an address; None when we did not make that address."""
    return letter_of_return_path(address) if address.isascii() else None


def _codes(route: str, letter_id: UUID) -> list[str]:
    content = letter_id.bytes + route.encode()
    return [base64.b32encode(mac[:_MAC_BYTES]).decode().lower() for mac in macs("email", _PURPOSE, content)]
