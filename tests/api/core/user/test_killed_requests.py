"""Privacy requests whose worker is killed: they go on where it stopped, count once, and leave nothing half done."""

import asyncio
import io
import json
import os
import sys
import zipfile
from asyncio.subprocess import PIPE
from typing import Any
from uuid import UUID

import pytest

from api.core.user.privacy_request import archive, signing
from cluster.base.ids import new_id
from cluster.base.settings import REPOSITORY
from cluster.people import erasure, export
from tests.api.core.user.privacy import begun, own_file, rows
from tests.harness import Hub, Person, done

ROWS = 2500


async def completed(person: Person, count: int = ROWS) -> None:
    """Let somebody have done so many blocks."""
    await rows(
        """INSERT INTO progress.completions
               (enrollment_id, block_id, block_version, org_id, course_id, run_id, user_id, completed_at, recorded_at)
           SELECT $2, gen_random_uuid(), 1, $2, $2, $2, $1, now(), now() FROM generate_series(1, $3)""",
        *(person.id, new_id(), count),
    )


async def left_of(person: Person) -> int:
    return (await rows("SELECT count(*) FROM progress.completions WHERE user_id = $1", person.id))[0][0]


async def killed(service: str, place: str, call: int) -> None:
    """Have a worker process run the waiting jobs of a service, and kill it when it comes to this place."""
    await rows("UPDATE hub.jobs SET due_at = now() WHERE service = $1 AND state = 'queued' AND put_back > 0", service)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.api.core.user.killed_worker", service, place, str(call)),
        stdout=PIPE,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": "."},
    )
    assert worker.stdout is not None
    try:
        said = await asyncio.wait_for(worker.stdout.readline(), 120)
    finally:
        worker.kill()
        await worker.wait()
    assert said == b"there\n"
    # Its leases run out by themselves within 12 s; the test does not wait for it.
    await rows("UPDATE hub.jobs SET due_at = now() WHERE service = $1 AND state = 'running'", service)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let progress, and the packing of archives, wait: until `undo`, some server is away."""
    erase_part, write_part = erasure.erase_part, export._write_part  # pyright: ignore[reportPrivateUsage]

    async def erase(run: Any, service: str, *args: Any, **named: Any) -> Any:
        if service == "progress":
            raise ConnectionRefusedError
        return await erase_part(run, service, *args, **named)

    async def write(run: Any, service: str, *args: Any) -> Any:
        if service == "progress":
            raise ConnectionRefusedError
        return await write_part(run, service, *args)

    monkeypatch.setattr(erasure, "erase_part", erase)
    monkeypatch.setattr(export, "_write_part", write)
    return monkeypatch


@pytest.mark.parametrize(
    ("place", "call", "left"),
    [
        ("cluster.people.erasure:count", 2, ROWS - 1000),
        ("cluster.jobs.job_run:JobRun.extend", 2, ROWS - 1000),
        ("cluster.people.erasure:_tell", 1, 0),
    ],
    ids=["before a lot commits", "after a lot committed", "before it answers"],
)
async def test_a_killed_erasure_goes_on_and_counts_each_row_once(
    hub: Hub, away: pytest.MonkeyPatch, place: str, call: int, left: int
) -> None:
    ada = await hub.person("ada")
    await completed(ada)
    request = await begun(hub, ada)

    await killed("progress", place, call)
    away.undo()
    before = await left_of(ada)
    await hub.settle()

    assert (before, await left_of(ada)) == (left, 0)
    report = signing.verified(done(await hub.guest.get(request["report_url"]))["jws"], "privacy-report+jws")
    (part,) = [each for each in report["parts"] if each["service"] == "progress"]
    assert part == {
        "service": "progress",
        "outcome": "done",
        "rows_erased": ROWS,
        "rows_kept": 0,
        "rows_exported": 0,
        "files_erased": 0,
        "files_exported": 0,
        "grounds": [],
    }


async def test_a_killed_erasure_of_files_counts_each_file_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await hub.person("ada")
    for number in range(3):
        await own_file(ada, f"{number}.txt", b"mine")
    erase_part = erasure.erase_part

    async def erase(run: Any, service: str, *args: Any, **named: Any) -> Any:
        if service == "media":
            raise ConnectionRefusedError
        return await erase_part(run, service, *args, **named)

    monkeypatch.setattr(erasure, "erase_part", erase)
    request = await begun(hub, ada)

    # The bytes of the second file are gone, its row is not.
    await killed("media", "cluster.people.erasure:count", 2)
    monkeypatch.undo()
    await hub.settle()

    report = signing.verified(done(await hub.guest.get(request["report_url"]))["jws"], "privacy-report+jws")
    (part,) = [each for each in report["parts"] if each["service"] == "media"]
    assert (part["outcome"], part["rows_erased"], part["files_erased"]) == ("done", 3, 3)
    assert await rows("SELECT FROM media.assets WHERE owner_id = $1", ada.id) == []


async def asked_for_export(hub: Hub, person: Person) -> str:
    request = done(await person.post("/v1/privacy-requests", {"kind": "export"}), 201)
    done(await person.post(f"/v1/privacy-requests/{request['id']}/confirm"))
    await hub.settle()
    return request["id"]


async def completions_in(person: Person, request_id: str) -> list[str]:
    """Return the blocks in an archive that somebody downloads."""
    answer = await person.get(f"/v1/privacy-requests/{request_id}/archive")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archived:
        assert archived.testzip() is None
        tables = json.loads(archived.read("data/progress.json"))["tables"]
    return [row["block_id"] for each in tables if each["table"] == "progress.completions" for row in each["rows"]]


async def test_a_killed_export_writes_its_part_again(hub: Hub, away: pytest.MonkeyPatch) -> None:
    ada = await hub.person("ada")
    await completed(ada)
    request_id = await asked_for_export(hub, ada)
    key = export.key_of(UUID(request_id), "progress")

    await killed("progress", "cluster.jobs.job_run:JobRun.extend", 1)
    half = await export.exports().head(key)
    # An older part, as of a start that was killed before it answered.
    await export.exports().put(key, b"half of a line")
    away.undo()
    await hub.settle()

    blocks = await completions_in(ada, request_id)
    assert (half, len(blocks), len(set(blocks))) == (None, ROWS, ROWS)
    shown = done(await ada.get(f"/v1/privacy-requests/{request_id}"))
    assert {each["service"]: each["rows_exported"] for each in shown["parts"]}["progress"] == ROWS


@pytest.mark.parametrize(
    ("place", "call", "written"),
    [
        ("api.core.user.privacy_request.archive:Entry", 5, False),
        ("api.core.user.privacy_request.logic:finish", 1, True),
    ],
    ids=["in the middle", "before it is told"],
)
async def test_a_killed_packing_makes_the_archive_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, place: str, call: int, written: bool
) -> None:
    ada = await hub.person("ada")
    await completed(ada)

    async def refuse(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(archive, "pack", refuse)
    request_id = await asked_for_export(hub, ada)

    await killed("user", place, call)
    before = await export.exports().head(f"{request_id}.zip")
    monkeypatch.undo()
    await hub.settle()

    blocks = await completions_in(ada, request_id)
    assert (before is not None, len(blocks), len(set(blocks))) == (written, ROWS, ROWS)
    assert [stored.key async for stored in export.exports().list(f"{request_id}/")] == []
