"""Who hands mail over by SMTP in tests, as a mail server does or as it should not."""

import asyncio
import smtplib
from collections.abc import Callable
from typing import Any, TypeVar

from actors.smtp import SmtpListener

T = TypeVar("T")


async def client(listener: SmtpListener, of: str = "127.0.0.1") -> smtplib.SMTP:
    assert listener.port is not None
    return await asyncio.to_thread(
        smtplib.SMTP, "127.0.0.1", listener.port, "mx.people.example", 30, source_address=(of, 0)
    )


async def told(call: Callable[..., T], *args: Any) -> T | tuple[int, str]:
    """Return what a call of the client returns, or how it was refused."""
    try:
        return await asyncio.to_thread(call, *args)
    except smtplib.SMTPRecipientsRefused as error:
        [(code, text)] = error.recipients.values()
        return code, text.decode()
    except smtplib.SMTPServerDisconnected:
        return -1, ""
    except smtplib.SMTPResponseException as error:
        return error.smtp_code, error.smtp_error.decode() if isinstance(error.smtp_error, bytes) else error.smtp_error


async def handed_over(listener: SmtpListener, to: str, content: bytes, mail_from: str = "ada@people.example") -> Any:
    """Hand a message over as a mail server does; {}: it was taken."""
    server = await client(listener)
    try:
        return await told(server.sendmail, mail_from, [to], content)
    finally:
        await asyncio.to_thread(server.close)


async def spoken(listener: SmtpListener, *parts: bytes) -> list[str]:
    """Send parts without waiting for answers, and return every line until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    async with asyncio.timeout(60):
        answers = (await reader.read(-1)).decode().splitlines()
    writer.close()
    return answers


async def dripping(listener: SmtpListener, begin: bytes, drop: bytes = b"x\r\n") -> list[str]:
    """Send a little again and again until the server ends it; return its answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(begin)
    reading = asyncio.create_task(reader.read(-1))
    async with asyncio.timeout(60):
        while not reading.done():
            writer.write(drop)
            await asyncio.wait([reading], timeout=0.05)
        answers = (await reading).decode().splitlines()
    writer.close()
    return answers
