"""Where letters are handed over: a laptop's mailbox, a mail server by SMTP (RFC 5321), or SES; `carriers` tries several."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from api.engagement.email.rules import Reply
from cluster.base.problems import Unavailable
from cluster.base.settings import settings

log = logging.getLogger(__name__)

CONNECTIONS = 16
"""At once, of one worker and lane."""
LETTERS_PER_CONNECTION = 100
COMMAND_TIMEOUT_S = 60.0
DATA_TIMEOUT_S = 300.0
"""Source: RFC 5321, 4.5.3.2: who gives up while the server still works on the message sends it twice."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message with its envelope."""

    return_path: str
    to: str
    message: bytes


class RelayAway(ConnectionError):
    """No mail server takes a connection: nothing is wrong with the letters."""


class TakesNoSuchAddress(Exception):
    """A mail server takes no address in other letters than those of ASCII (RFC 6531); nothing was handed over."""


class Transport(Protocol):
    ascii_only: bool
    """It takes no address in other letters."""
    keeps_content: bool
    """What was handed over is shown on a page, so it stays."""
    name: str
    rewrites_headers: bool
    """It may write Date and Message-ID anew: signatures leave these out."""

    async def deliver(self, outgoing: Outgoing) -> Reply:
        """Hand a message over.

        Raises:
            RelayAway, TakesNoSuchAddress
        """
        ...

    async def close(self) -> None: ...


class Mailbox:
    """Keeps letters for the page of a laptop."""

    ascii_only = False
    keeps_content = True
    name = "mailbox"
    rewrites_headers = False

    async def deliver(self, outgoing: Outgoing) -> Reply:  # noqa: ARG002
        return Reply(code=250, text="2.0.0 kept for GET /v1/emails/-/mailbox", stage="data")

    async def close(self) -> None:
        return


class Smtp:
    """Connections to the first mail server of a list that answers, each for many letters."""

    ascii_only = False
    keeps_content = False
    rewrites_headers = False

    def __init__(self, urls: tuple[str, ...], connections: int = CONNECTIONS) -> None:
        self._urls = [urlsplit(url) for url in urls]
        self.name = f"{self._urls[0].scheme}://{self._urls[0].netloc.rpartition('@')[2]}"
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[_Line] = []
        self._open = 0

    async def deliver(self, outgoing: Outgoing) -> Reply:
        line = await self._line()
        try:
            return await line.hand_over(outgoing)
        finally:
            if line.usable:
                self._idle.append(line)
            else:
                self._open -= 1
                line.drop()
            self._slots.release()

    async def _line(self) -> "_Line":
        while True:
            await self._slots.acquire()
            if self._idle:
                return self._idle.pop()
            try:
                line = await self._connect()
            except RelayAway:
                if self._open == 0:
                    self._slots.release()
                    raise
                # The server takes no more connections at once: go on with those that are open, and keep this slot shut.
                continue
            except BaseException:
                self._slots.release()
                raise
            self._open += 1
            return line

    async def _connect(self) -> "_Line":
        why = ""
        for url in self._urls:
            client = _client_of(url)
            try:
                await client.connect()
                return _Line(client)
            except (SMTPException, OSError, TimeoutError, ValueError) as error:
                client.close()
                why = f"{url.hostname}: {type(error).__name__}: {error}"
                log.warning("a mail server takes no connection", extra={"server": url.hostname, "error": why})
        raise RelayAway(why)

    async def close(self) -> None:
        lines, self._idle = self._idle, []
        await asyncio.gather(*(line.quit() for line in lines))


def _client_of(url: SplitResult) -> aiosmtplib.SMTP:
    """Make a client. A password goes over TLS alone, except to this machine."""
    implicit = url.scheme == "smtps"
    must = url.username is not None and url.hostname not in _LOOPBACK
    return aiosmtplib.SMTP(
        hostname=url.hostname,
        port=url.port or (465 if implicit else 587),
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        use_tls=implicit,
        start_tls=None if implicit else True if must else None,
        timeout=COMMAND_TIMEOUT_S,
    )


class _Line:
    """One connection."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client
        self._letters = 0
        self._broken = False

    @property
    def usable(self) -> bool:
        return not self._broken and self._client.is_connected and self._letters < LETTERS_PER_CONNECTION

    async def hand_over(self, outgoing: Outgoing) -> Reply:
        """Hand one message over and return what decided: the first refusal, or the answer to its end.

        Raises:
            TakesNoSuchAddress
        """
        self._letters += 1
        self._broken = True
        stage: Literal["mail", "rcpt", "data"] = "mail"
        try:
            options = [] if outgoing.to.isascii() else ["SMTPUTF8"]
            if options and not self._client.supports_extension("smtputf8"):
                self._broken = False
                raise TakesNoSuchAddress
            encoding = "utf-8" if options else "ascii"
            await self._client.mail(outgoing.return_path, options=options, encoding=encoding)
            stage = "rcpt"
            await self._client.rcpt(outgoing.to, encoding=encoding)
            stage = "data"
            answer = await self._client.data(outgoing.message, timeout=DATA_TIMEOUT_S)
        except SMTPResponseException as error:
            if error.code > 0 and error.code != 421:
                await self._reset()
            return Reply(code=error.code if error.code > 0 else None, text=str(error.message), stage=stage)
        except (SMTPException, OSError, TimeoutError) as error:
            return Reply(code=None, text=f"{type(error).__name__}: {error}", stage=stage)
        self._broken = False
        return Reply(code=answer.code, text=answer.message, stage="data")

    async def _reset(self) -> None:
        """Make the connection fit for the next letter."""
        with suppress(SMTPException, OSError, TimeoutError):
            await self._client.rset()
            self._broken = False

    async def quit(self) -> None:
        with suppress(SMTPException, OSError, TimeoutError):
            await self._client.quit(timeout=5)
        self.drop()

    def drop(self) -> None:
        self._client.close()


def transport() -> Transport:
    """Return where letters go, by the settings.

    Raises:
        Unavailable: no mail server is named, and this is no laptop.
    """
    if settings().smtp_urls:
        from api.engagement.email.delivery.carriers import Carriers
        from api.engagement.email.delivery.ses import Ses

        urls = [urlsplit(url) for url in settings().smtp_urls]
        return Carriers([Ses(url) if url.scheme == "ses" else Smtp((url.geturl(),)) for url in urls])
    if settings().local_mail:
        return Mailbox()
    raise Unavailable("letters wait: HUB_SMTP_URL names no mail server (docs/operate.md)")
