"""E-mail addresses: as people write them, and as they are compared."""

import re
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """`email` keeps the case of the local part, which some servers distinguish; `key` is the same for each way to write it."""

    email: str
    key: str

    @property
    def domain(self) -> str:
        """The domain in lower case and ASCII."""
        return self.key.rpartition("@")[2]


def parse_address(text: str) -> EmailAddress:
    """Parse an address (RFC 5322, RFC 6531) without network.

    Domains for tests and examples (RFC 2606) are allowed.

    Raises:
        ValueError: it is none; the message says why.
    """
    text = text.strip()
    try:
        found = validate_email(text, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError as error:
        raise ValueError(f"{error} Write it like ada@school.example") from None
    domain = found.ascii_domain.lower()
    if "." not in domain or domain.rpartition(".")[2].isdigit():
        raise ValueError(f"no mail can reach {domain}; write it like ada@school.example")
    local = unicodedata.normalize("NFKC", found.local_part).casefold()
    return EmailAddress(found.normalized, f"{local}@{domain}")


_PLAIN = re.compile(r"[a-z0-9._%+-]+@(?!.*xn--)[a-z0-9.-]+")
"""Addresses that parsing leaves as they are, in lower case. For a row of a roster, parsing takes longer than all else."""


def key_of(text: str) -> str:
    """Return the key by which an address is compared. A text that is no address has one too, which no address has."""
    if text.isascii() and _PLAIN.fullmatch(lower := text.lower()):
        return lower[:320]
    try:
        return parse_address(text).key
    except ValueError:
        return text.strip().casefold()[:320]
