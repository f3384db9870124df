"""Rules of origins."""

import re
from ipaddress import IPv6Address
from urllib.parse import urlsplit

from cluster.base.problems import Invalid

_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")


def origin_of(text: str) -> str:
    """Return an origin as browsers send it (RFC 6454, section 6.2): lower case, without the usual port.

    Raises:
        Invalid: it is none; without TLS only this machine's own are taken.
    """
    try:
        parts = urlsplit(text.strip().lower())
        port = parts.port
        name = (parts.hostname or "").encode("idna").decode()
        host = f"[{IPv6Address(name)}]" if "[" in parts.netloc else name
    except ValueError:
        raise _unfit() from None
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    is_local = name in ("localhost", "127.0.0.1")
    is_name = host != name or _NAME.fullmatch(name)
    if extra or not is_name or not (parts.scheme == "https" or (parts.scheme == "http" and is_local)):
        raise _unfit()
    usual = 443 if parts.scheme == "https" else 80
    return f"{parts.scheme}://{host}" + ("" if port in (None, usual) else f":{port}")


def _unfit() -> Invalid:
    return Invalid("an origin is https://name or https://name:port, without a path and without *", pointer="/origin")
