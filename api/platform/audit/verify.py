"""`./hub audit verify`: compute every chain of the audit trail again and say where one does not hold."""

import asyncio
import sys

from rich.console import Console
from rich.progress import Progress

from api.platform.audit import logic, store
from cluster import migrations, postgres


async def _verify(console: Console) -> int:
    await postgres.connect(await migrations.ensure_login(["audit"]), size=1, application="audit verify")
    try:
        async with postgres.read() as db:
            total = await store.count_sealed(db)
            unsealed = await store.count_unsealed(db)
        with Progress(console=console) as bar:
            task = bar.add_task("Entries", total=total)
            holding, broken = await logic.verify(lambda count: bar.advance(task, count))
    finally:
        await postgres.disconnect()
    for fault in broken:
        console.print(f"[red]organization {fault.chain}: at {fault.seq}: {fault.why}[/red]")
    console.print(f"{holding} entries hold, {len(broken)} chains do not, {unsealed} entries wait to be sealed")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_verify(Console())))
