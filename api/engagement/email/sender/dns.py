"""What DNS says: TXT records, asked of the system's resolver or of the one that the settings name."""

from cluster.base.settings import settings

TIMEOUT_S = 5.0


class DnsAway(ConnectionError):
    """Nobody answers: neither that a record is there nor that it is missing."""


async def txt_records(name: str) -> list[str]:
    """Return the TXT records of a name, each joined of its parts; none when there are none.

    Raises:
        DnsAway
    """
    import dns.asyncresolver
    import dns.exception
    import dns.resolver

    server = settings().dns_server
    resolver = dns.asyncresolver.Resolver(configure=not server)
    if server:
        host, _, port = server.rpartition(":")
        resolver.nameservers = [host]
        resolver.port = int(port)
    try:
        answer = await resolver.resolve(name, "TXT", lifetime=TIMEOUT_S)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError) as error:
        raise DnsAway(f"{name}: {type(error).__name__}") from error
    return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
