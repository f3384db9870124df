"""Networks of callers."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network


@lru_cache(maxsize=10_000)
def network_of(address: str) -> str | None:
    """Return what one caller cannot change of its address at will: all of IPv4, 64 bits of IPv6 (RFC 6177).

    None: it is no address.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)
