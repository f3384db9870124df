"""A mail server for tests: it speaks SMTP, keeps what it takes, and answers as it is told."""

import asyncio
import email
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from typing import Any, Literal, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

Stage = Literal["MAIL", "RCPT", "DATA"]
CUT = "cut"
"""Takes the message and closes the connection before it says so."""
STALL = "stall"
"""Answers nothing until the client leaves."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that the server took."""

    return_path: str
    to: str
    content: bytes

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.content, policy=POLICY)

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        assert body is not None
        return str(body.get_content())

    @property
    def html(self) -> str:
        body = self.message.get_body(("html",))
        assert body is not None
        return str(body.get_content())


class MailServer:
    """`answers("RCPT", "ada@x.example", "450 4.2.0 later")`: what it says next, once each; then it takes everything."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.connections = 0
        self.open = threading.Event()
        """While it is cleared, what is sent to an address that begins with `slow` waits."""
        self.open.set()
        self._more = threading.Condition()
        self._answers: dict[tuple[Stage, str], deque[str]] = defaultdict(deque)

    def answers(self, stage: Stage, address: str, *replies: str) -> None:
        self._answers[stage, address.lower()].extend(replies)

    def wait_for(self, count: int, limit_s: float = 60.0) -> bool:
        """Block until so many messages were taken."""
        with self._more:
            return self._more.wait_for(lambda: len(self.taken) >= count, limit_s)

    def to(self, address: str) -> list[Taken]:
        return [each for each in self.taken if each.to == address]

    async def _answer(self, stage: Stage, server: SMTP, address: str) -> str | None:
        waiting = self._answers.get((stage, address.lower())) or self._answers.get((stage, "*"))
        if not waiting:
            return None
        reply = waiting.popleft()
        if reply in (CUT, STALL):
            if reply == STALL:
                await asyncio.sleep(3)
            cast(Any, server).transport.close()
            return "421 4.4.2 gone"
        return reply

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._answer("MAIL", server, "*")
        if reply is None:
            envelope.mail_from = address
        return reply or "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = await self._answer("RCPT", server, address)
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        to = envelope.rcpt_tos[0]
        if to.startswith("slow"):
            await asyncio.to_thread(self.open.wait, 30)
        waiting = self._answers.get(("DATA", to.lower()))
        if not waiting or waiting[0] == CUT:
            content = envelope.content or b""
            assert isinstance(content, bytes)
            with self._more:
                self.taken.append(Taken(envelope.mail_from or "", to, content))
                self._more.notify_all()
        return await self._answer("DATA", server, to) or "250 2.0.0 taken"


@contextmanager
def mail_server(*, utf8: bool = True) -> Generator[tuple[MailServer, str]]:
    """Run a server in a thread of its own; yield it with its URL."""
    server = MailServer()
    controller = Controller(server, hostname="127.0.0.1", port=0, decode_data=False, enable_SMTPUTF8=utf8)
    controller.port = _free_port()
    controller.start()
    try:
        yield server, f"smtp://127.0.0.1:{controller.port}"
    finally:
        server.open.set()
        controller.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
