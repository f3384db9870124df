"""`./hub privacy replay`: repeat the erasures of the ledger that a restored backup has undone."""

import asyncio
import sys

from rich.console import Console

from api.core.user.privacy_request import ledger, logic
from cluster.base.principal import platform
from cluster.data import objects, postgres, roles


async def replay() -> tuple[int, list[str]]:
    """Repeat every erasure of the ledger that is not done in the database; return their number, and the faults of the ledger."""
    count = 0
    faults: list[str] = []
    async for entry in ledger.entries():
        if isinstance(entry, str):
            faults.append(entry)
        elif await logic.replay(platform("user"), entry):
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
