"""Tell whether a message is from the domain that its From names: DKIM that we verify, or SPF that our mail server noted."""

import asyncio
import logging
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any, Literal

from api.engagement.email.sender.dns import DnsAway, txt_records
from cluster.base.settings import settings

_MOST_SIGNATURES = 5
_MOST_RESULTS = 20
Spf = Literal["headers", "passed", "unknown"]
"""Who says that the host that brought a message may send for its envelope's domain: our headers, who hands it over, nobody."""
log = logging.getLogger(__name__)


async def is_proven(content: bytes, message: EmailMessage, domain: str, *, mail_from: str, spf: Spf) -> bool:
    """Tell whether a signature or the envelope, of this domain or one above it, vouches for the message.

    Raises:
        DnsAway: nobody answers for the keys.
    """
    return _spf_passed(message, domain, mail_from, spf) or await _dkim_passed(content, message, domain)


def aligned(signed: str, domain: str) -> bool:
    """Tell whether a domain is this one or one above it (RFC 7489, 3.1), never a top-level domain.

    One below does not vouch: hosts give names of theirs away.
    """
    signed, domain = signed.lower().rstrip("."), domain.lower()
    return "." in signed and (signed == domain or domain.endswith(f".{signed}"))


def _spf_passed(message: EmailMessage, domain: str, mail_from: str, spf: Spf) -> bool:
    """Tell whether our own mail server noted that the host that brought it may send for the envelope's domain."""
    own = settings().authserv_id.lower().split()
    sender = mail_from.strip("<> ").rpartition("@")[2].lower()
    if not aligned(sender, domain):
        return False
    if spf == "headers":
        return bool(own) and any(_says(each, own, sender) for each in _own_results(message))
    return spf == "passed"


def _own_results(message: EmailMessage) -> list[str]:
    """Return the Authentication-Results that our own mail server wrote, if it writes some.

    Each server puts its lines on top: what stands below the first Received came with the message, whatever name it has. A message
    without Received passed no mail server. Source: RFC 8601, 5; RFC 5321, 4.4.
    """
    found: list[str] = []
    for name, value in message.raw_items():
        if name.lower() == "received":
            return found[:_MOST_RESULTS]
        if name.lower() == "authentication-results":
            found.append(" ".join(str(value).split()))
    return []


def _says(results: str, own: list[str], sender: str) -> bool:
    """Tell whether one of our servers says that SPF passed for a domain."""
    import authres

    try:
        parsed: Any = authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {results}")
    except (authres.AuthResError, ValueError):
        return False
    return str(parsed.authserv_id).lower() in own and any(
        result.method == "spf"
        and result.result == "pass"
        and any(
            (each.type, each.name) == ("smtp", "mailfrom") and str(each.value).rpartition("@")[2].lower() == sender
            for each in result.properties
        )
        for result in parsed.results
    )


def _answering(record: str) -> Callable[..., bytes | None]:
    """Return what dkimpy asks for a key, and who answers with this one."""

    def answer(name: bytes, timeout: int = 0) -> bytes | None:  # noqa: ARG001 (as dkimpy asks)
        return record.encode() or None

    return answer


async def _dkim_passed(content: bytes, message: EmailMessage, domain: str) -> bool:
    import dkim

    written = sum(name.lower() == "dkim-signature" for name, _ in message.raw_items())
    count = min(written, _MOST_SIGNATURES)
    for index in range(count):
        verifying: Any = await asyncio.to_thread(dkim.DKIM, content, minkey=1024)
        try:
            prepared = verifying.verify_headerprep(index)
            if not prepared:
                continue
            fields = verifying.signature_fields
            signing, selector = fields[b"d"].decode("ascii"), fields[b"s"].decode("ascii")
            # A part that is not signed (l=) may hold anything.
            if not aligned(signing, domain) or b"l" in fields:
                continue
            [record, *_] = await txt_records(f"{selector}._domainkey.{signing}") or [""]
            if await asyncio.to_thread(verifying.verify, idx=index, dnsfunc=_answering(record)):
                return True
        except DnsAway:
            raise
        except (dkim.DKIMException, ValueError, KeyError, NameError, UnicodeError) as error:
            log.info("a signature cannot be verified", extra={"error": type(error).__name__})
    return False
