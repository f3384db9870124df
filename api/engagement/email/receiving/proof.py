"""Tell whether a message is from the domain that its From names: DKIM that we verify, or SPF that our mail server noted."""

import asyncio
import logging
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

from api.engagement.email.sender.dns import DnsAway, txt_records
from cluster.base.settings import settings

_MOST_SIGNATURES = 5
log = logging.getLogger(__name__)


async def is_proven(content: bytes, message: EmailMessage, domain: str) -> bool:
    """Tell whether a signature or the envelope, of this domain or one above it, vouches for the message.

    Raises:
        DnsAway: nobody answers for the keys.
    """
    return _spf_passed(message, domain) or await _dkim_passed(content, message, domain)


def aligned(signed: str, domain: str) -> bool:
    """Tell whether a domain is this one or one above it (RFC 7489, 3.1), never a top-level domain.

    One below does not vouch: hosts give names of theirs away.
    """
    signed, domain = signed.lower().rstrip("."), domain.lower()
    return "." in signed and (signed == domain or domain.endswith(f".{signed}"))


def _spf_passed(message: EmailMessage, domain: str) -> bool:
    """Read the topmost Authentication-Results, if our own mail server wrote it (RFC 8601)."""
    import authres

    own = settings().authserv_id
    headers = message.get_all("Authentication-Results", [])
    if not own or not headers:
        return False
    try:
        parsed: Any = authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {headers[0]}")
    except authres.AuthResError:
        return False
    return parsed.authserv_id == own and any(
        result.method == "spf"
        and result.result == "pass"
        and any(
            (each.type, each.name) == ("smtp", "mailfrom") and aligned(str(each.value).rpartition("@")[2], domain)
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

    count = min(len(message.get_all("DKIM-Signature", [])), _MOST_SIGNATURES)
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
