"""`./hub privacy replay`: erase again what a restored backup has brought back, as the ledger outside the database says."""

import asyncio
import sys

from rich.console import Console

from api.core.user.privacy_request import ledger, logic
from cluster.base.principal import platform
from cluster.data import objects, postgres, roles


async def replay() -> tuple[int, list[str]]:
    """Run every erasure of the ledger that the database does not know as done; return how many, and what is no entry."""
    count = 0
    faults: list[str] = []
    async for noted in ledger.entries():
        if isinstance(noted, str):
            faults.append(noted)
        elif await logic.replay(platform("user"), noted):
            count += 1
    return count, faults


async def _main(console: Console) -> int:
    await postgres.connect(await roles.ensure_login(["user"]), size=1, application="privacy replay")
    try:
        count, faults = await replay()
    finally:
        await objects.close()
        await postgres.disconnect()
    for fault in faults:
        console.print(f"[red]{fault}[/red]")
    console.print(f"{count} erasures run again; GET /v1/privacy-requests/{{id}} shows how far each is")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(Console())))
