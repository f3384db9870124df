"""`./hub audit verify`: compute every chain of the audit trail again, compare them with checkpoints, and print the differences."""

import asyncio
import sys

from rich.console import Console
from rich.progress import Progress

from api.platform.audit import checkpoints, logic, store
from cluster.base.problems import Unavailable
from cluster.data import objects, postgres, roles


async def _verify(console: Console) -> int:
    await postgres.connect(await roles.ensure_login(["audit"]), size=1, application="audit verify")
    try:
        async with postgres.read() as db:
            total = await store.count_sealed(db)
            unsealed = await store.count_unsealed(db)
        try:
            found = await checkpoints.read_checkpoints()
        except Unavailable as error:
            found = checkpoints.CheckpointFindings(
                {}, [f"the checkpoints cannot be read ({error.detail}): repeat it when they can"]
            )
        with Progress(console=console) as bar:
            task = bar.add_task("Entries", total=total)
            holding, broken = await logic.verify(lambda count: bar.advance(task, count), found.ends)
    finally:
        await objects.close()
        await postgres.disconnect()
    for fault in broken:
        console.print(f"[red]organization {fault.chain}: at {fault.seq}: {fault.why}[/red]")
    for checkpoint_fault in found.faults:
        console.print(f"[red]{checkpoint_fault}[/red]")
    console.print(f"{holding} entries hold, {len(broken)} chains do not, {unsealed} entries wait to be sealed")
    return 1 if broken or found.faults else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_verify(Console())))
