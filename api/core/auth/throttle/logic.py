"""Slow guessing down, per account, per network, and per both: waits grow, and nobody is locked out for good."""

import ipaddress
import math
from datetime import datetime

from api.core.auth.contract import TooManyGuesses
from api.core.auth.sealing import mac
from api.core.auth.throttle.store import Bucket


def buckets_of(subject: str, address: str) -> list[Bucket]:
    """Return the buckets in which an attempt on an account from an address counts; the bucket of the network is the last.

    One guesser is slowed down after a few tries. An account guessed at from everywhere is slowed down to one try a minute,
    which its owner can live with. A network has room for a class that mistypes.
    """
    network = _network(address)
    return [
        Bucket(_key(f"account {subject} from {network}"), 5, 900),
        Bucket(_key(f"account {subject}"), 30, 60),
        Bucket(_key(f"network {network}"), 100, 900),
    ]


def _key(text: str) -> bytes:
    # Keyed, so that the table does not show the addresses that were tried.
    return mac("throttle", text.encode())


def _network(address: str) -> str:
    """Return the network of one guesser: an IPv4 address, or an IPv6 network of 64 bits (RFC 6177)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def too_many_guesses(blocked_until: datetime, now: datetime) -> TooManyGuesses:
    """Make the problem that tells how long to wait. It is the same for an account that does not exist."""
    seconds = max(1, math.ceil((blocked_until - now).total_seconds()))
    return TooManyGuesses(
        f"wait {seconds} s and try again; a link to a new password works at once", retry_after_s=seconds
    )
