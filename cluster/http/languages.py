"""In which language a client would read: the first choice of its Accept-Language (RFC 9110, 12.5.4)."""

import re
from typing import Annotated

from fastapi import Depends, Header

_RANGE = re.compile(r"([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)(?:\s*;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?")
_MOST_CHARACTERS = 35
_MOST_RANGES = 20


def preferred_language(accepted: str | None) -> str | None:
    """Return the language (BCP 47) of the greatest weight, the first of these; None: the client names none."""
    best, weight = None, 0.0
    for each in (accepted or "").split(",", _MOST_RANGES)[:_MOST_RANGES]:
        found = _RANGE.fullmatch(each.strip())
        if found is not None and len(found[1]) <= _MOST_CHARACTERS and float(found[2] or 1) > weight:
            best, weight = found[1], float(found[2] or 1)
    return best


async def _language(
    accepted: Annotated[
        str | None,
        Header(description="Languages, the best first.", examples=["de-AT, de;q=0.9"], alias="Accept-Language"),
    ] = None,
) -> str | None:
    return preferred_language(accepted)


Language = Annotated[str | None, Depends(_language)]
"""What the client would read best; None: it does not say."""
