"""What push services say in their answers."""

import time
from email.utils import parsedate_to_datetime
from typing import Any, cast

import orjson

from cluster.http.outbound_urls import Reply


def retry_after_s(reply: Reply) -> float | None:
    """Return how long the push service wants us to wait. Source: RFC 9110, section 10.2.3."""
    text = reply.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        # No date, or one that no calendar has.
        return None


def json_of(reply: Reply) -> dict[str, Any]:
    """Return the object that an answer holds; an empty one when it holds none."""
    try:
        found = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
