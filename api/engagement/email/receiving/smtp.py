"""SMTP sessions in which mail servers hand over what they have for us (RFC 5321), for operators without a mail server of their own.

Taken is mail to addresses that we made, and nothing is passed on. A message is answered 250 when what follows from it is committed.
A process that dies before that gets it again, and the repeat changes nothing.
"""

import asyncio
import logging
import ssl
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from api.engagement.email.receiving import logic
from api.engagement.email.receiving.addresses import letter_of_bounce, letter_of_reply_address, routes
from api.engagement.email.receiving.door import MOST_BYTES
from api.engagement.email.receiving.logic import Result
from api.engagement.email.sender.logic import platform_sender
from cluster.base.away import is_away
from cluster.base.networks import network_of

log = logging.getLogger(__name__)
# It writes down every command, with the addresses of people.
logging.getLogger("mail.log").setLevel(logging.ERROR)

_AGAIN = "451 4.3.0 this cannot be stored now: try again"
_STRANGER = "550 5.1.1 nobody reads mail to this address"
_COMMANDS = {"MAIL": 100, "RCPT": 500, "DATA": 100, "STARTTLS": 1, "*": 200}
_COMMAND_BYTES = 512
"""Source: RFC 5321, 4.5.3.1.4; what extensions add is told by the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process takes on. Memory: a message under way takes its size twice, and each of its lines 100 bytes more."""

    connections: int = 100
    per_network: int = 10
    messages: int = 4
    messages_per_network: int = 1
    most_bytes: int = MOST_BYTES
    lines: int = 400_000
    """25 MiB in base64 have fewer."""
    recipients: int = 10
    strangers: int = 10
    """So many addresses that we did not make end a session: somebody guesses."""
    command_s: float = 60.0
    data_s: float = 300.0
    slow_s: float = 10.0
    """So long a message may come in slowly; from then on `bytes_a_second` is asked of all of it."""
    bytes_a_second: int = 16 * 1024
    session_s: float = 1800.0


class Reception:
    """What the sessions of a process share."""

    def __init__(self, limits: Limits, tls: ssl.SSLContext | None) -> None:
        self.limits = limits
        self.tls = tls
        self.name = platform_sender().domain
        self.sessions: set[SmtpSession] = set()
        self.networks: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        """Under way now, by network."""

    def session(self) -> "SmtpSession":
        """Return the protocol of one more connection."""
        return SmtpSession(self)

    async def close(self, within_s: float) -> None:
        """End sessions; those that are storing a message may finish that and answer."""
        storing = {answered for each in self.sessions if (answered := each.storing) is not None}
        for each in list(self.sessions):
            each.leave("421 4.3.2 this server stops: come back in a minute")
        if storing:
            await asyncio.wait(storing, timeout=within_s)
        for each in list(self.sessions):
            each.abort()


@dataclass(slots=True)
class _Incoming:
    """What came of a message that is under way."""

    begun_s: float
    size: int = 0
    lines: int = 0
    check: asyncio.TimerHandle | None = None


class SmtpSession(SMTP):
    """One connection."""

    def __init__(self, reception: Reception) -> None:
        limits = reception.limits
        # The library keeps one table for all sessions, which each EHLO makes larger.
        self.command_size_limits = defaultdict(lambda: _COMMAND_BYTES)
        super().__init__(
            _Commands(reception),
            data_size_limit=limits.most_bytes,
            enable_SMTPUTF8=True,
            hostname=reception.name,
            ident="ESMTP",
            tls_context=reception.tls,
            timeout=limits.command_s,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            command_call_limit=_COMMANDS,
            loop=asyncio.get_running_loop(),
        )
        self.storing: asyncio.Future[None] | None = None
        """Done when a message that is complete was answered."""
        self.guesses = False
        """It asked for too many addresses that we did not make."""
        self._leaving = ""
        self._reception = reception
        self._network: str | None = None
        self._end: asyncio.TimerHandle | None = None
        self._refused = False
        self._incoming: _Incoming | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or refuse it; once more for the same one when it goes on under TLS."""
        reception = self._reception
        if self not in reception.sessions:
            peer = transport.get_extra_info("peername")
            address = str(peer[0]) if peer else ""
            network = network_of(address) or address
            if (
                len(reception.sessions) >= reception.limits.connections
                or reception.networks[network] >= reception.limits.per_network
            ):
                self._refused = True
                refused = cast(asyncio.Transport, transport)
                refused.write(b"421 4.7.0 too many connections at once: try again later\r\n")
                refused.close()
                return
            self._network = network
            reception.sessions.add(self)
            reception.networks[network] += 1
            self._end = self.loop.call_later(reception.limits.session_s, self._timeout_cb)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if (incoming := self._incoming) is not None:
            incoming.size += len(data)
            incoming.lines += data.count(b"\n")
            # The library keeps each line by itself until the message ends, and nothing of one that is too large.
            limits = self._reception.limits
            if incoming.lines > limits.lines and incoming.size <= limits.most_bytes:
                self.leave(f"552 5.3.4 a message has {limits.lines} lines at most")
                return
        super().data_received(data)

    def eof_received(self) -> bool | None:
        return False if self._refused else super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        if self._refused:
            return
        if self in self._reception.sessions:
            assert self._network is not None
            assert self._end is not None
            self._end.cancel()
            self._reception.sessions.discard(self)
            self._reception.networks[self._network] -= 1
            self._reception.networks += Counter[str]()
        super().connection_lost(error)

    def _timeout_cb(self) -> None:
        self.leave("421 4.4.2 this takes too long")

    def leave(self, why: str) -> None:
        """End the session; one that is storing a message answers before."""
        if self.storing is not None:
            self._leaving = why
        elif self.transport is not None:
            transport = cast(asyncio.Transport, self.transport)
            if not transport.is_closing():
                transport.write(f"{why}\r\n".encode())
                transport.close()

    def abort(self) -> None:
        for transport in (self.transport, self._original_transport):
            if transport is not None:
                cast(asyncio.Transport, transport).abort()

    async def smtp_RCPT(self, arg: str | None) -> None:
        await super().smtp_RCPT(arg)
        if self.guesses and self.transport is not None:
            self.transport.close()

    def _check_rate(self, incoming: _Incoming) -> None:
        """End the session when its message comes in slower than mail servers send, and look again in a second."""
        if self.storing is not None:
            return
        least = self._reception.limits.bytes_a_second * (self.loop.time() - incoming.begun_s)
        if incoming.size < least:
            self._timeout_cb()
        else:
            incoming.check = self.loop.call_later(1.0, self._check_rate, incoming)

    async def smtp_DATA(self, arg: str) -> None:
        """Take a message while few others are under way."""
        reception, network = self._reception, self._network
        limits, messages = reception.limits, reception.messages
        assert network is not None
        if messages.total() >= limits.messages or messages[network] >= limits.messages_per_network:
            await self.push("451 4.3.2 too many messages at once: try again later")
            return
        messages[network] += 1
        self._reset_timeout(limits.data_s)
        self._incoming = incoming = _Incoming(begun_s=self.loop.time())
        incoming.check = self.loop.call_later(limits.slow_s, self._check_rate, incoming)
        try:
            await super().smtp_DATA(arg)
        finally:
            incoming.check.cancel()
            self._incoming = None
            messages[network] -= 1
            messages += Counter[str]()
            answered, self.storing = self.storing, None
            if answered is not None:
                answered.set_result(None)
        if self._leaving:
            self.leave(self._leaving)
        elif self.transport is not None:
            self._reset_timeout()


class _Commands:
    """What is said to commands."""

    def __init__(self, reception: Reception) -> None:
        self._limits = reception.limits
        self._feedback = f"feedback@{reception.name}"
        self._strangers = 0

    async def handle_EHLO(
        self,
        server: SmtpSession,  # noqa: ARG002
        session: Session,
        envelope: Envelope,  # noqa: ARG002
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        kept = [each for each in responses if not each.startswith("250-AUTH")]
        return [*kept[:-1], "250-PIPELINING", kept[-1]]

    async def handle_RCPT(
        self,
        server: SmtpSession,
        session: Session,  # noqa: ARG002
        envelope: Envelope,
        address: str,
        options: list[str],  # noqa: ARG002
    ) -> str:
        if not self._is_ours(address):
            self._strangers += 1
            server.guesses = self._strangers >= self._limits.strangers
            return "421 4.7.0 too many addresses that are not here" if server.guesses else _STRANGER
        if address.lower() in (each.lower() for each in envelope.rcpt_tos):
            return "250 2.1.5 OK"
        if len(envelope.rcpt_tos) >= self._limits.recipients:
            return "452 4.5.3 too many recipients: send it to the others again"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    def _is_ours(self, address: str) -> bool:
        """Tell whether we made an address for reports or answers, or it is that of feedback loops."""
        if letter_of_bounce(address) is not None or address.lower() == self._feedback:
            return True
        found = letter_of_reply_address(address)
        return found is not None and found[0] in routes()

    async def handle_DATA(self, server: SmtpSession, session: Session, envelope: Envelope) -> str:  # noqa: ARG002
        server.storing = asyncio.get_running_loop().create_future()
        content = envelope.content
        assert isinstance(content, bytes)
        try:
            # Headers that came along vouch for nothing: no mail server of ours wrote one.
            results = await logic.receive_for(envelope.mail_from or "", envelope.rcpt_tos, content, spf="unknown")
        except Exception as error:
            if not is_away(error):
                log.exception("a message could not be taken")
            return _AGAIN
        return _answer_of(results)

    async def handle_exception(self, error: Exception) -> str:
        log.warning("a session has a fault", extra={"error": repr(error)})
        return _AGAIN


def _answer_of(results: list[Result]) -> str:
    """Say what became of a message; it is refused when it is for all that it was sent to."""
    taken = next((each for each in results if each.state != "refused"), None)
    if taken is not None:
        return f"250 2.0.0 {taken.state}"
    return f"550 5.7.1 {_one_line(results[0].reason or 'refused')}"


def _one_line(text: str) -> str:
    """Return words that a reply line can hold (RFC 5321, 4.2), whatever a message had in its headers."""
    return "".join(each if " " <= each <= "~" else "?" for each in text)[:400]
