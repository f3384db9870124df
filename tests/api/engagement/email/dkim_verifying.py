"""Verify both signatures of a message by dkimpy."""

from collections.abc import Mapping
from typing import Any

import dkim


def verified(message: bytes, records: Mapping[str, list[str]]) -> dict[str, bool]:
    """Return which signatures hold, by algorithm, with the keys that DNS has."""

    def find(name: bytes, timeout: int = 5) -> bytes | None:
        found = records.get(name.decode().rstrip("."))
        return found[0].encode() if found else None

    count = sum(line.lower().startswith(b"dkim-signature:") for line in message.split(b"\r\n"))
    results: dict[str, bool] = {}
    for index in range(count):
        check: Any = dkim.DKIM(message)
        try:
            holds = check.verify(idx=index, dnsfunc=find)
        except dkim.DKIMException:
            holds = False
        results[check.signature_fields[b"a"].decode()] = holds
    return results
