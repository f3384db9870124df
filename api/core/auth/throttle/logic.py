"""Slow guessing down, per account, per network, and per both: waits grow, and nobody is locked out for good."""

import math
from datetime import datetime

from api.core.auth.contract import TooManyGuesses
from api.core.auth.throttle.store import Bucket
from cluster.base.networks import network_of
from cluster.base.sealing import mac


def buckets_of(subject: str, address: str) -> list[Bucket]:
    """Return the buckets in which an attempt on an account from an address counts; the bucket of the network is the last.

    One guesser is slowed down after a few tries. An account guessed at from everywhere is slowed down to one try a minute,
    which its owner can live with. A network has room for a class that mistypes.
    """
    network = network_of(address) or "unknown"
    return [
        Bucket(_key(f"account {subject} from {network}"), 5, 900),
        Bucket(_key(f"account {subject}"), 30, 60),
        Bucket(_key(f"network {network}"), 100, 900),
    ]


def _key(text: str) -> bytes:
    # Keyed, so that the table does not show the addresses that were tried.
    return mac("auth", "throttle", text.encode())


def too_many_guesses(blocked_until: datetime, now: datetime) -> TooManyGuesses:
    """Make the problem that tells how long to wait. It is the same for an account that does not exist."""
    seconds = max(1, math.ceil((blocked_until - now).total_seconds()))
    return TooManyGuesses(
        f"wait {seconds} s and try again; a link to a new password works at once", retry_after_s=seconds
    )
