"""A projection that is new gets the present state of its source, once, page by page; reactions hear nothing of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from actors import resync
from cluster import events
from cluster.base.ids import OrgId, new_id
from cluster.data import Connection, Transaction
from cluster.events import Envelope, Snapshots, snapshots
from cluster.events.subscriptions import Subscription, delete_subscriptions
from cluster.jobs.run import run_due_jobs
from tests.kernel import committed, registries_kept, rows, run

pytestmark = pytest.mark.usefixtures("kernel", "empty")

LATE = Subscription("latecomer", "probe.renamed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    thing_id: UUID
    org_id: OrgId | None = None


@dataclass
class Stage:
    """The things of the source, and what the latecomer did about them."""

    things: list[UUID]
    projected: list[str]
    reacted: list[str]
    failures: int = 0


class Source(Snapshots):
    """Answers from this process, whose service table does not know the probe's services."""


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    stage = Stage(sorted(new_id() for _ in range(7)), [], [])

    def client(protocol: type[Snapshots], of: str) -> Snapshots:
        return Source()

    monkeypatch.setattr(resync, "client", client)
    monkeypatch.setattr(resync, "PAGE", 3)

    async def list_things(db: Connection, after: UUID, limit: int) -> list[tuple[Renamed, int]]:
        return [(Renamed(thing_id=thing), 5) for thing in stage.things if thing > after][:limit]

    async def project(tx: Transaction, envelope: Envelope, event: Renamed) -> None:
        if stage.failures:
            stage.failures -= 1
            raise ValueError("not now")
        stage.projected.append(envelope.subject)
        await tx.run(
            "INSERT INTO probe.effects (consumer, key, n) VALUES ('latecomer', $1, $2)",
            str(event.thing_id),
            envelope.version,
        )

    async def react(tx: Transaction, envelope: Envelope, event: Renamed) -> None:
        stage.reacted.append(envelope.subject)

    with registries_kept():
        events.event("probe.renamed", subject="thing_id", service="speaker")(Renamed)
        events.snapshot(Renamed)(list_things)
        events.on(Renamed, service="latecomer", projects=True)(project)
        events.on(Renamed, service="latecomer")(react)
        events.on(Renamed, service="notifier")(react)
        resync.declare_jobs(("latecomer", "notifier"))
        yield stage


async def effects() -> list[tuple[str, int]]:
    return [(key, n) for key, n in await rows("SELECT key, n FROM probe.effects ORDER BY position")]


async def test_subscribe_fills_a_new_projection_and_runs_no_reaction(stage: Stage) -> None:
    added = await resync.subscribe(("latecomer", "notifier"))
    await run_due_jobs()

    assert added == [LATE]
    assert await effects() == [(str(thing), 5) for thing in stage.things]
    assert stage.reacted == []


async def test_subscribe_fills_a_projection_once_and_again_after_the_rollout(stage: Stage) -> None:
    await resync.subscribe(("latecomer",))

    again = await resync.subscribe(("latecomer",))
    await run_due_jobs()
    await run("UPDATE hub.jobs SET due_at = now() WHERE state = 'queued'")
    await run_due_jobs()

    assert again == []
    assert await effects() == [(str(thing), 5) for thing in stage.things] * 2
    assert await rows("SELECT count(*) FROM hub.jobs WHERE state <> 'succeeded'") == [(0,)]


async def test_resync_repeats_only_the_page_that_failed(stage: Stage) -> None:
    await resync.subscribe(("latecomer",))
    await run_due_jobs_once()
    stage.failures = 1

    await run_due_jobs()
    await run("UPDATE hub.jobs SET due_at = now() WHERE state = 'queued' AND attempts > 0")
    await run_due_jobs()

    assert await effects() == [(str(thing), 5) for thing in stage.things]


async def test_resync_waits_for_a_source_that_has_no_such_snapshot_yet(stage: Stage) -> None:
    snapshots._lists.clear()  # pyright: ignore[reportPrivateUsage]
    await resync.subscribe(("latecomer",))

    await run_due_jobs()

    [(state, error)] = await rows("SELECT state, last_error FROM hub.jobs WHERE last_error IS NOT NULL")
    assert state == "queued"
    assert "has no snapshot of probe.renamed" in error


async def test_resync_by_a_release_without_the_projection_is_tried_again(stage: Stage) -> None:
    await resync.subscribe(("latecomer",))
    with registries_kept():
        events.handlers_of("latecomer").projections.clear()
        await run_due_jobs()
    [(state, error)] = await rows("SELECT state, last_error FROM hub.jobs WHERE last_error IS NOT NULL")
    await run("UPDATE hub.jobs SET due_at = now() WHERE last_error IS NOT NULL")

    await run_due_jobs()

    assert state == "queued"
    assert error.startswith("LookupError: this release of latecomer does not project probe.renamed")
    assert await effects() == [(str(thing), 5) for thing in stage.things]


async def test_deleting_a_subscription_fills_the_projection_again(stage: Stage) -> None:
    await resync.subscribe(("latecomer",))
    await run_due_jobs()
    async with committed() as tx:
        assert await delete_subscriptions(tx, "latecomer", None) == [LATE]
        assert await delete_subscriptions(tx, "notifier", None) == []

    added = await resync.subscribe(("latecomer",))
    await run_due_jobs()

    assert added == [LATE]
    assert len(await effects()) == 2 * len(stage.things)


async def run_due_jobs_once() -> None:
    """Run what is due now, and not what that enqueues."""
    from cluster.jobs import run as job_runs
    from cluster.jobs.lanes import Slots

    for taken in await job_runs.take({"latecomer.resync": 1}, Slots(shared=1)):
        await job_runs.run(taken)
