"""Listen for mail servers that have mail for us, on `HUB_SMTP_LISTEN`: bounces, complaints and answers to letters.

Every worker host of a machine listens at the same address, and the kernel gives each connection to one of them.
"""

import asyncio
import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from actors.loops import Loop
from cluster.base.settings import settings

if TYPE_CHECKING:
    from api.engagement.email.receiving.smtp import Limits, Reception

log = logging.getLogger(__name__)

_LOOK_S = 5.0
_STOP_S = 5.0
_BACKLOG = 128


class SmtpListener:
    """Listens for sessions, and reads the certificate again when it changes."""

    def __init__(self, limits: "Limits | None" = None) -> None:
        self._limits = limits
        self._reception: Reception | None = None
        self._server: asyncio.Server | None = None
        self._read_at: tuple[int, ...] = ()
        self.loops = (Loop("smtp", self.step),)

    @property
    def port(self) -> int | None:
        """The port at which it listens now."""
        return None if self._server is None else int(self._server.sockets[0].getsockname()[1])

    def start(self) -> None:
        for loop in self.loops:
            loop.start()

    async def stop(self) -> None:
        """Take no more connections, and let messages that are being stored be answered."""
        for loop in self.loops:
            await loop.stop(grace_s=2.0)
        server, self._server = self._server, None
        if server is not None and self._reception is not None:
            server.close()
            await self._reception.close(_STOP_S)

    async def step(self) -> float:
        """Listen, unless it does; return how long to rest.

        Raises:
            OSError: the port is taken, or the certificate cannot be read.
        """
        if self._reception is None:
            # Only here: the library takes half a second to import.
            from api.engagement.email.receiving.smtp import Limits, Reception

            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if settings().smtp_certificate else None
            self._reception = Reception(self._limits or Limits(), tls)
        if self._reception.tls is not None:
            self._read_certificate(self._reception.tls)
        if self._server is None and (where := settings().smtp_listen) is not None:
            self._server = await asyncio.get_running_loop().create_server(
                self._reception.session, where[0] or None, where[1], reuse_port=True, backlog=_BACKLOG
            )
            log.info("listens for mail", extra={"port": self.port})
        return _LOOK_S

    def _read_certificate(self, tls: ssl.SSLContext) -> None:
        """Read certificate and key when one is new; new sessions get them."""
        certificate, key = settings().smtp_certificate, settings().smtp_key or None
        changed_at = tuple(Path(each).stat().st_mtime_ns for each in (certificate, key) if each)
        if changed_at != self._read_at:
            tls.load_cert_chain(certificate, key)
            self._read_at = changed_at
