"""Passwords: refuse weak ones, and hash and verify them outside the event loop."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.core.auth.contract import PasswordRefused
from cluster.base.problems import Unavailable

T = TypeVar("T")

MIN_CHARACTERS = 8
MAX_CHARACTERS = 1024
_THREADS = 2
_MAX_WAITING = 64
"""Beyond it a sign-in would wait for seconds: refusing it at once bounds the memory."""

# Argon2id with 19 MiB, 2 passes, 1 lane. Source: OWASP Password Storage Cheat Sheet; RFC 9106, section 4.
_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
_threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2")
_waiting = 0


@cache
def _common() -> frozenset[str]:
    return frozenset(Path(__file__).with_name("common_passwords.txt").read_text().split())


@cache
def _hash_of_nothing() -> str:
    return _hasher.hash("a password that no account has")


def check_password(password: str, *, pointer: str = "/password") -> None:
    """Check that a password may be chosen: it is long enough, and not among the first that are guessed.

    No rules about kinds of characters. Source: NIST SP 800-63B, section 5.1.1.2.

    Raises:
        PasswordRefused
    """
    if len(password) < MIN_CHARACTERS:
        raise PasswordRefused(
            f"take at least {MIN_CHARACTERS} characters; a few words in a row are good", pointer=pointer
        )
    if len(password) > MAX_CHARACTERS:
        raise PasswordRefused(f"take at most {MAX_CHARACTERS} characters", pointer=pointer)
    if password.casefold() in _common() or len(set(password)) <= 2:
        raise PasswordRefused(
            "this one is among the first that are guessed; take a few words in a row", pointer=pointer
        )


async def hash_password(password: str) -> str:
    """Return a salted hash with its parameters.

    Raises:
        Unavailable: too many passwords are being hashed.
    """
    return await _run(lambda: _hasher.hash(_prepared(password)))


async def verify_password(password: str, hashed: str | None) -> bool:
    """Tell whether this is the password. Without a hash the work is the same, so that the time tells nothing.

    Raises:
        Unavailable: too many passwords are being hashed.
    """

    def verify() -> bool:
        try:
            _hasher.verify(hashed or _hash_of_nothing(), _prepared(password))
        except (VerificationError, InvalidHashError):
            return False
        return hashed is not None

    return await _run(verify)


def is_outdated(hashed: str) -> bool:
    """Tell whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(hashed)


def _prepared(password: str) -> str:
    """Normalize a password, so that two keyboards give the same text (RFC 8265, section 4.2: NFC)."""
    return unicodedata.normalize("NFC", password)


async def _run(work: Callable[[], T]) -> T:
    global _waiting
    if _waiting >= _MAX_WAITING:
        raise Unavailable("many people sign in right now; nothing was done, repeat it shortly", retry_after_s=2)
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, work)
    finally:
        _waiting -= 1
