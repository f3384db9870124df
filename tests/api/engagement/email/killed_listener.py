"""A listener that a test kills after it has stored a message, and before it says so."""

import asyncio
import sys
from dataclasses import replace

from actors import smtp
from api.engagement.email.contract import ReplyRoute
from api.engagement.email.receiving import addresses
from api.engagement.email.receiving import smtp as sessions
from api.engagement.email.receiving.logic import Result
from cluster.base.services import table
from cluster.base.settings import settings
from cluster.host import open_process


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def never_answer(results: list[Result]) -> str:
    say(" ".join(each.state for each in results))
    while True:
        pass


async def main() -> None:
    await open_process(tuple(table()), name="killed", connections=4)
    named = replace(settings(), smtp_listen=("127.0.0.1", 0))
    smtp.settings = lambda: named  # pyright: ignore[reportAttributeAccessIssue, reportPrivateImportUsage]
    offered = {"talk": ReplyRoute(name="talk", title="Talk")}
    for module in (addresses, sessions, sys.modules["api.engagement.email.receiving.logic"]):
        module.routes = lambda: offered  # pyright: ignore[reportAttributeAccessIssue]
    sessions._answer_of = never_answer  # pyright: ignore[reportPrivateUsage]
    listener = smtp.SmtpListener()
    await listener.step()
    say(str(listener.port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
