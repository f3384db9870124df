"""E-mail addresses: as people write them, and as this service compares them."""

import re
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from api.core.auth.contract import EmailInvalid


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """`email` keeps the case of the local part, which some servers distinguish; `key` belongs to one account at most."""

    email: str
    key: str


def parse_address(text: str) -> EmailAddress:
    """Parse an address (RFC 5322, RFC 6531) without network.

    Domains for tests and examples (RFC 2606) are allowed.

    Raises:
        EmailInvalid
    """
    text = text.strip()
    try:
        found = validate_email(text, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError as error:
        raise EmailInvalid(f"{error} Write it like ada@school.example", pointer="/email") from None
    domain = found.ascii_domain.lower()
    if "." not in domain or domain.rpartition(".")[2].isdigit():
        raise EmailInvalid(f"no mail can reach {domain}; write it like ada@school.example", pointer="/email")
    local = unicodedata.normalize("NFKC", found.local_part).casefold()
    return EmailAddress(found.normalized, f"{local}@{domain}")


_PLAIN = re.compile(r"[a-z0-9._%+-]+@(?!.*xn--)[a-z0-9.-]+")
"""Addresses that parsing leaves as they are, in lower case. For a row of a roster, parsing takes longer than all else."""


def key_of(text: str) -> str:
    """Return the key by which an address is compared. The key of a text that is no address belongs to no account."""
    if text.isascii() and _PLAIN.fullmatch(lower := text.lower()):
        return lower[:320]
    try:
        return parse_address(text).key
    except EmailInvalid:
        return text.strip().casefold()[:320]
