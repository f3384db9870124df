"""Addresses that people typed in: which of them a request may go to. `cluster.http.outbound` sends them."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from yarl import URL

from cluster.base.settings import settings

_HTTPS = 443
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# They carry the address of another network inside, or are of networks that nobody routes any more.
_CARRIERS = [
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "fec0::/10")
]


class OutboundRefused(Exception):
    """This address is not for the public, or is no address that requests go to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a stranger answered, cut at the cap."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def check_url(text: str) -> URL:
    """Return the address if a request may go there, as far as can be told without resolving its name.

    Raises:
        OutboundRefused: with the reason.
    """
    try:
        url = URL(text)
        port, host = url.port, url.host
    except ValueError as error:
        raise OutboundRefused("this is no URL") from error
    if host is None or url.user is not None or url.password is not None:
        raise OutboundRefused("it must be a URL with a host, and without a user")
    if _is_allowed_loopback(url):
        return url
    if url.scheme != "https":
        raise OutboundRefused("it must begin with https://")
    if port != _HTTPS and (port is None or port < 1024):
        raise OutboundRefused("its port must be 443, or above 1023")
    if not _is_name(url.raw_host or ""):
        raise OutboundRefused("each part of its host must have 1 to 63 characters")
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return url
    if not is_public(literal):
        raise OutboundRefused("its address is not public")
    return url


def is_public(address: Address) -> bool:
    """Tell whether an address is globally routable, and means no other one. Source: RFC 6890, and IANA's registries since."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in carrier for carrier in _CARRIERS):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_name(host: str) -> bool:
    """Tell whether a host is written so that it can be resolved: `getaddrinfo` encodes it so."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _is_allowed_loopback(url: URL) -> bool:
    """Tell whether this is the one address of this machine that a setting opens, for tests."""
    allowed = settings().outbound_loopback_port
    return allowed > 0 and url.port == allowed and url.scheme == "http" and url.host in ("127.0.0.1", "localhost")
