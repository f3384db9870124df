"""How fast letters go out, beside a bare loop that signs too, and how long one that somebody waits for takes meanwhile.

The mail server is a process of its own; its work is in both figures.
"""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.message import EmailMessage
from email.policy import SMTP

import aiosmtplib
import asyncpg

from api.engagement.email.contract import MOST_LETTERS, EmailCalls, Lane, NewLetter
from api.engagement.email.delivery import logic as delivery
from api.engagement.email.delivery import transport
from api.engagement.email.delivery.transport import CONNECTIONS
from api.engagement.email.sender.logic import platform_sender
from api.engagement.email.sender.signing import Signer, make_keys
from bench.figures import Figure, hand_over, progress, quick
from bench.stack import own_host
from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.base.settings import REPOSITORY, settings
from cluster.data import read
from cluster.people.calls import client
from cluster.servers.home import free_port

_LETTERS = 200 if quick() else 800
_BACKLOG = 500 if quick() else 20_000
_WAITED_FOR = 10 if quick() else 60
_DOMAINS = 20
_GOAL_RATIO = 0.6
_GOAL_S = 2.0
_FIELDS = {
    "personal": (
        "notification.digest",
        {"title": "2 notifications", "lines": "", "more": "0", "url": "https://school.example/n"},
    ),
    "security": ("auth.reset", {"url": "https://school.example/reset#x"}),
}


async def run() -> list[Figure]:
    async with own_host("letters"), _sink() as port:
        return await _measure(port)


@asynccontextmanager
async def _sink() -> AsyncGenerator[int]:
    """Run a mail server that takes everything and keeps nothing."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.letters", str(port)), cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _measure(port: int) -> list[Figure]:
    named = replace(settings(), smtp_urls=(f"smtp://127.0.0.1:{port}",))
    transport.settings = lambda: named  # pyright: ignore[reportAttributeAccessIssue]
    signer = await _signing()
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(1 if quick() else 2):
        bare.append(await _bare(port, signer))
        await _send("personal", _LETTERS)
        begun = time.perf_counter()
        await _deliver_all("personal")
        ours.append(_LETTERS / (time.perf_counter() - begun))
        progress(f"{ours[-1]:.0f} letters/s, a bare loop {bare[-1]:.0f}/s")
    await _send("personal", _BACKLOG)
    backlog = asyncio.create_task(_deliver_all("personal"))
    waits = sorted([await _wait_for_one() for _ in range(_WAITED_FOR)])
    left = await _count("personal")
    progress(f"{left} letters still waited after the last of {_WAITED_FOR} that were waited for")
    backlog.cancel()
    await asyncio.gather(backlog, return_exceptions=True)
    p99_s = waits[int(len(waits) * 0.99) - 1]
    return [
        Figure(name="letters handed over", value=max(ours), unit="1/s", peer=max(bare), goal=_GOAL_RATIO),
        Figure(
            name=f"a letter into an account, p99, {_BACKLOG:,} wait",
            value=p99_s,
            unit="s",
            goal=_GOAL_S,
            better="less",
        ),
    ]


async def _signing() -> Signer:
    """Have the platform's letters signed, and return who signs them."""
    sender_id, domain = new_id(), platform_sender().domain
    keys = make_keys(sender_id, 1)
    raw = await asyncpg.connect(settings().postgres_url)
    try:
        await raw.execute(
            """INSERT INTO email.senders (id, domain, mail_from, name, state, check_at, created_at)
            VALUES ($1, $2, $3, 'Bench', 'verified', now() + interval '1 day', now())""",
            *(sender_id, domain, platform_sender().address),
        )
        await raw.execute(
            """INSERT INTO email.signing_keys
            (sender_id, generation, selector, rsa, rsa_public, ed25519, ed25519_public, created_at)
            VALUES ($1, 1, $2, $3, $4, $5, $6, now())""",
            *(sender_id, keys.selector, keys.rsa, keys.rsa_public, keys.ed25519, keys.ed25519_public),
        )
    finally:
        await raw.close()
    return Signer(domain, keys.selector, keys.rsa, keys.ed25519)


async def _bare(port: int, signer: Signer) -> float:
    """Return letters per second of connections that only write, sign and send."""
    waiting = iter(range(_LETTERS))

    async def work() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port) as smtp:
            for number in waiting:
                message = EmailMessage(policy=SMTP)
                message["From"], message["To"] = platform_sender().address, f"p{number}@d{number % _DOMAINS}.example"
                message["Subject"], message["Message-ID"] = "News", f"<{number}@{signer.domain}>"
                message.set_content("There is something new.\n" * 5, cte="quoted-printable")
                message.add_alternative(
                    "<p>There is something new.</p>\n" * 100, subtype="html", cte="quoted-printable"
                )
                content = signer.sign(message.as_bytes(), at_s=0)
                await smtp.mail(platform_sender().address)
                await smtp.rcpt(message["To"])
                await smtp.data(content)

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return _LETTERS / (time.perf_counter() - begun)


def _letter(lane: Lane, number: int) -> NewLetter:
    template, fields = _FIELDS[lane]
    to = f"p{number}@d{number % _DOMAINS}.example"
    return NewLetter(
        id=new_id(), template=template, to=to, locale="en", user_id=None, org_id=None, fields=fields, expires_at=None
    )


async def _send(lane: Lane, count: int) -> None:
    letters = [_letter(lane, number) for number in range(count)]
    for start in range(0, count, MOST_LETTERS):
        for state in await client(EmailCalls).send(letters[start : start + MOST_LETTERS]):
            # A letter that is not taken would make us look fast.
            assert state.state == "queued", state


async def _deliver_all(lane: Lane) -> None:
    while await _count(lane):
        await delivery.deliver(platform("email"), lane)


async def _count(lane: str) -> int:
    async with read() as db:
        waiting = "SELECT count(*) FROM email.letters WHERE lane = $1 AND state IN ('queued', 'deferred', 'sending')"
        return await db.value(waiting, lane)


async def _wait_for_one() -> float:
    """Return how many seconds pass until a letter that somebody waits for is with the mail server."""
    begun = time.perf_counter()
    await _send("security", 1)
    await delivery.deliver(platform("email"), "security")
    return time.perf_counter() - begun


def _serve(port: int) -> None:
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink

    controller = Controller(Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _serve(int(sys.argv[1]))
    else:
        hand_over(asyncio.run(run()))
