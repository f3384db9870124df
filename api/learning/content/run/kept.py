"""The state of runs, kept by each process for a second at most: every learner who opens an outline asks for it."""

from uuid import UUID

from api.learning.content.run import store
from api.learning.content.run.store import RunState
from cluster.data import read
from cluster.people.access import Guarded
from cluster.signals.kept import Kept

RUNS: Kept[UUID, Guarded[RunState] | None] = Kept("content.runs", size=20_000, key=UUID)


async def find_run(run_id: UUID) -> Guarded[RunState] | None:
    """Find a run as `store.find_run` does, at most a second late."""

    async def load() -> Guarded[RunState] | None:
        async with read() as db:
            return await store.find_run(db, run_id)

    return await RUNS.get(run_id, load)
