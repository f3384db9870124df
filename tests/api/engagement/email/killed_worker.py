"""A worker process that a test kills while it hands letters over. Argument: the URL of the mail server."""

import asyncio
import sys

from cluster.base.principal import platform
from cluster.base.services import table
from cluster.host import open_process


async def main(url: str) -> None:
    await open_process(tuple(table()), name="killed", connections=4)
    from api.engagement.email.delivery.pump import Pump
    from api.engagement.email.delivery.transport import Smtp
    from api.engagement.email.template import texts
    from tests.api.engagement.email.conftest import LANES, SOURCE

    real = texts.sources
    texts.sources = lambda name: {"en": SOURCE} if name in LANES else real(name)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownLambdaType]
    sys.stdout.write("started\n")
    sys.stdout.flush()
    await Pump(platform("email"), "bulk", Smtp((url,))).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
