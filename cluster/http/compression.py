"""Compression of JSON answers, in the coding that the client likes best (RFC 9110, sections 8.4 and 12.5.3).

Never of what carries secrets: the length of a compressed answer tells whether a guess that it repeats is right (BREACH).
"""

import asyncio
import gzip
import re
from functools import lru_cache

from cluster.http.asgi import Headers

LEAST_BYTES = 1024
_CODINGS = ("zstd", "br", "gzip")
"""Of those that a client takes alike, the first: it costs a quarter of the others."""
_AT_ONCE_BYTES = {"zstd": 64 * 1024, "br": 8 * 1024, "gzip": 8 * 1024}
"""What takes longer than some 0.3 ms is compressed in a thread."""
_QUALITY = re.compile(r"\s*([A-Za-z0-9*-]+)\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?")
_SECRETS = (b'token"', b'secret"', b'password"', b"X-Amz-Signature")
_SECRET_AREAS = frozenset({"sessions", "identities"})


@lru_cache(maxsize=1000)
def coding_for(accepted: bytes) -> str | None:
    """Return the coding for an Accept-Encoding; None: the answer goes as it is."""
    weights: dict[str, float] = {}
    for part in accepted.decode("latin-1").lower().split(","):
        found = _QUALITY.fullmatch(part)
        if found is not None:
            weights[found[1].removeprefix("x-")] = float(found[2] or 1)
    others = weights.get("*", 0.0)
    best = max(_CODINGS, key=lambda coding: weights.get(coding, others))
    weight = weights.get(best, others)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def is_compressible(headers: Headers, area: str) -> bool:
    """Tell whether an answer of this head may be compressed: JSON that is long enough, not encoded, and no secret."""
    is_json = False
    length = 0
    for name, value in headers:
        match name:
            case b"content-type":
                is_json = b"json" in value
            case b"content-length":
                length = int(value) if value.isdigit() else 0
            case b"content-encoding" | b"content-range" | b"set-cookie":
                return False
            case b"cache-control" if b"no-store" in value or b"no-transform" in value:
                return False
            case _:
                pass
    return is_json and length >= LEAST_BYTES and area not in _SECRET_AREAS


def carries_secret(body: bytes) -> bool:
    """Tell whether a body looks as if it carried a secret, whatever its route says."""
    return any(mark in body for mark in _SECRETS)


async def compressed(coding: str, body: bytes) -> bytes:
    """Compress a body; a long one elsewhere, so that others need not wait."""
    if len(body) > _AT_ONCE_BYTES[coding]:
        return await asyncio.to_thread(_compress, coding, body)
    # Kept answers are the same object each time.
    return _compress_short(coding, body)


def encoded_head(headers: Headers, coding: str, length: int) -> Headers:
    """Return the head of the compressed answer. Its ETag is another one: it is another representation (RFC 9110, section 8.8.3)."""
    found: Headers = []
    for name, value in headers:
        if name == b"content-length":
            found.append((name, str(length).encode()))
        elif name == b"etag" and value.endswith(b'"'):
            found.append((name, value[:-1] + f'-{coding}"'.encode()))
        else:
            found.append((name, value))
    found.append((b"content-encoding", coding.encode()))
    return found


@lru_cache(maxsize=128)
def _compress_short(coding: str, body: bytes) -> bytes:
    return _compress(coding, body)


def _compress(coding: str, body: bytes) -> bytes:
    # Imported late: a host that never compresses loads neither.
    match coding:
        case "zstd":
            import zstandard

            return zstandard.ZstdCompressor(level=3).compress(body)
        case "br":
            import brotli

            return brotli.compress(body, quality=3)
        case _:
            return gzip.compress(body, 4, mtime=0)
