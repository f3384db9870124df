"""The names this platform goes by. A page of another name may have been pointed at this machine (DNS rebinding)."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from cluster.base.problems import Forbidden, MisdirectedRequest
from cluster.base.settings import Settings


class Names:
    """Refuses requests for other names than the public URL's, the allowed ones and loopback's. Ports do not matter."""

    def __init__(self, settings: Settings) -> None:
        self._ours = settings.allowed_hosts | {urlsplit(settings.public_url).hostname or ""}
        self._seen: set[bytes] = set()

    def check(self, hosts: list[bytes]) -> None:
        """Let a request with these Host headers pass.

        Raises:
            MisdirectedRequest
        """
        if self._seen.issuperset(hosts):
            return
        for host in hosts:
            name = host_name(host)
            if not name or (name not in self._ours and not is_loopback(name)):
                raise MisdirectedRequest("use the public address; the operator allows others by HUB_ALLOWED_HOSTS")
            if len(self._seen) < 100:
                self._seen.add(host)

    def check_origin(self, origin: bytes | None) -> None:
        """Let a WebSocket pass that a page of this platform opens, or a program, which sends no Origin (RFC 6455, section 10.2).

        Raises:
            Forbidden
        """
        if origin is not None:
            scheme, _, host = origin.partition(b"://")
            name = host_name(host)
            if scheme not in (b"http", b"https") or (name not in self._ours and not is_loopback(name)):
                raise Forbidden("connect from a page of this platform")


def host_name(host: bytes) -> str:
    """Return the name in a Host header without its port, in lower case and without brackets; empty: there is none."""
    try:
        parts = urlsplit(b"//" + host)
        name = (parts.hostname or b"").decode("ascii")
    except ValueError:
        return ""
    return "" if parts.username is not None else name


def is_loopback(name: str) -> bool:
    """Tell whether a name or an address is this machine's own; nobody else's DNS can say so."""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
