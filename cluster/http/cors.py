"""Which pages of other sites may ask from a browser: those of registered origins, matched exactly (Fetch Standard, section 3.3)."""

import re

from cluster.http.asgi import Headers
from cluster.people import door

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_EXPOSED = (
    b"Content-Disposition, Deprecation, ETag, Idempotent-Replayed, Location, Maintenance, RateLimit, RateLimit-Policy, "
    b"Retry-After, Sunset, Upload-Length, Upload-Offset, WWW-Authenticate, X-Request-Id"
)
_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{0,1000}")
_KEPT_S = 7200
"""How long a browser keeps the answer to a preflight; it takes no longer one."""
VARY = (b"vary", b"Origin")


def is_registered(origin: bytes) -> bool:
    return origin.decode("latin-1") in door.current().origins


def headers_for(origin: bytes | None) -> Headers:
    """Return what a browser is told with an answer, once any origin is registered."""
    origins = door.current().origins
    found = None if origin is None else origins.get(origin.decode("latin-1"))
    if found is None:
        return [VARY]
    return [VARY, *_allow(found), (b"access-control-expose-headers", _EXPOSED)]


def preflight(origin: bytes, wanted_headers: bytes) -> Headers | None:
    """Return what the answer to a preflight says beyond `headers_for`; None: this origin is not registered."""
    if not is_registered(origin) or not _NAMES.fullmatch(wanted_headers):
        return None
    headers = [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", str(_KEPT_S).encode()),
        (b"vary", b"Access-Control-Request-Headers"),
        (b"content-length", b"0"),
    ]
    if wanted_headers:
        # What arrives is checked by the routes; names alone open nothing.
        headers.append((b"access-control-allow-headers", wanted_headers))
    return headers


def _allow(found: door.Origin) -> Headers:
    allowed = [(b"access-control-allow-origin", found.origin.encode())]
    return [*allowed, (b"access-control-allow-credentials", b"true")] if found.credentials else allowed
