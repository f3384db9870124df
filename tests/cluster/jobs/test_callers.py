"""Jobs that act for somebody, and jobs that replace the one that waits."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from cluster import jobs
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import GUEST, Principal
from cluster.jobs import JobRun, cancel_jobs, enqueue
from cluster.jobs.run import run_due_jobs
from tests.kernel import committed, registries_kept, rows

pytestmark = pytest.mark.usefixtures("kernel", "empty", "registry")

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ADA = Principal(
    kind="service_account",
    id=UserId(new_id()),
    session_id=new_id(),
    acting_for=UserId(new_id()),
    scopes=frozenset({"course:read", "course:edit"}),
    bound_org=OrgId(new_id()),
    auth_time=NOON,
    amr=("pwd", "otp"),
)
GRACE = Principal(kind="person", id=UserId(new_id()), scopes=frozenset())
_callers: list[Principal | None] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    note: str


async def _perform(job_run: JobRun, errand: Errand) -> None:
    _callers.append(job_run.caller)


@pytest.fixture
def registry() -> Iterator[None]:
    with registries_kept():
        _callers.clear()
        jobs.job("probe.errand", attempts=3, timeout_s=60, service="speaker")(Errand)
        jobs.perform(Errand)(_perform)
        yield


async def waiting() -> list[tuple[str, datetime]]:
    return [
        (note, due_at)
        for note, due_at in await rows(
            "SELECT args ->> 'note', due_at FROM hub.jobs WHERE state = 'queued' ORDER BY due_at"
        )
    ]


@pytest.mark.parametrize("caller", [ADA, GRACE, GUEST, None], ids=["all-fields", "no-scopes", "guest", "platform"])
async def test_a_job_gets_the_whole_principal_it_acts_for(caller: Principal | None) -> None:
    async with committed() as tx:
        enqueue(tx, Errand(note="x"), as_=caller)

    await run_due_jobs(("speaker",))

    assert _callers == [caller]


async def test_replace_gives_the_waiting_job_arguments_time_and_caller() -> None:
    async with committed() as tx:
        enqueue(tx, Errand(note="old"), dedupe="one", at=NOON, as_=ADA)
    later = datetime.now(UTC) + timedelta(hours=1)
    async with committed() as tx:
        enqueue(tx, Errand(note="new"), dedupe="one", at=later, replace=True, as_=GRACE)

    assert await waiting() == [("new", later)]
    assert await run_due_jobs(("speaker",)) == 0
    async with committed() as tx:
        enqueue(tx, Errand(note="newest"), dedupe="one", replace=True, as_=GRACE)
    assert await run_due_jobs(("speaker",)) == 1
    assert _callers == [GRACE]


async def test_replace_starts_the_attempts_over() -> None:
    async with committed() as tx:
        enqueue(tx, Errand(note="old"), dedupe="one", at=NOON)
        await tx.flush()
        await tx.run("UPDATE hub.jobs SET attempts = 2, put_back = 3, last_error = 'no luck', unfit_since = now()")

        enqueue(tx, Errand(note="new"), dedupe="one", replace=True)

    found = await rows("SELECT attempts, starts, put_back, last_error, unfit_since FROM hub.jobs")
    assert found == [(0, 0, 0, None, None)]


async def test_dedupe_alone_keeps_arguments_and_caller() -> None:
    async with committed() as tx:
        enqueue(tx, Errand(note="old"), dedupe="one", at=NOON + timedelta(hours=1), as_=ADA)
    async with committed() as tx:
        enqueue(tx, Errand(note="new"), dedupe="one", at=NOON, as_=GRACE)

    assert await waiting() == [("old", NOON)]
    await run_due_jobs(("speaker",))
    assert _callers == [ADA]


async def test_the_last_replacement_of_a_transaction_counts() -> None:
    async with committed() as tx:
        enqueue(tx, Errand(note="cancelled"), dedupe="one", at=NOON)
        cancel_jobs(tx, Errand, "one")
        enqueue(tx, Errand(note="first"), dedupe="one", at=NOON)
        enqueue(tx, Errand(note="second"), dedupe="one", at=NOON + timedelta(hours=2), replace=True)
        enqueue(tx, Errand(note="third"), dedupe="one", at=NOON + timedelta(hours=1))
        enqueue(tx, Errand(note="other"), dedupe="two", at=NOON + timedelta(hours=3))

    assert await waiting() == [("second", NOON + timedelta(hours=1)), ("other", NOON + timedelta(hours=3))]


async def test_replace_rejects_a_job_without_a_dedupe_text() -> None:
    async with committed() as tx:
        with pytest.raises(ValueError, match="replace needs dedupe"):
            enqueue(tx, Errand(note="x"), replace=True)
