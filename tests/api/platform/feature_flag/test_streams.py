"""Event streams of OFREP: who follows hears of what changed for them, from whichever process, and nothing else."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.core.rbac.contract import RbacCalls
from api.platform.feature_flag.evaluation import channel, stream
from cluster.base.principal import GUEST, Principal
from cluster.base.settings import REPOSITORY
from cluster.people import flags, live
from cluster.people.calls import client
from cluster.people.flags import keeper as keeping
from tests.api.platform.feature_flag.conftest import change
from tests.api.platform.feature_flag.following import Following, following, where
from tests.api.platform.feature_flag.test_evaluation import school, url
from tests.api.platform.feature_flag.test_flags import new
from tests.api.platform.feature_flag.test_kill import valkey_of_its_own
from tests.harness import Hub, School, done, problem

__all__ = ["school", "url"]


async def launched(school: School, key: str, **fields: Any) -> dict[str, Any]:
    flag = done(await school.owner.post("/v1/flags", new(school, key, **fields)), 201)
    return done(await school.owner.post(f"/v1/flags/{flag['id']}/launch"))


async def told(stream: Following) -> tuple[str, dict[str, Any]]:
    found = await stream.next()
    assert found is not None
    id, content = found
    assert id is not None
    return id, content


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.01)


def streams_here() -> int:
    keeper = flags.current()
    assert keeper is not None
    return stream.of(keeper).count


async def test_a_bulk_answer_names_a_stream_of_the_drafts_form(hub: Hub, school: School, url: str) -> None:
    sent = {"context": {"organization_id": str(school.org_id)}}

    answer = await school.owner.post("/ofrep/v1/evaluate/flags", sent)
    again = await school.owner.post("/ofrep/v1/evaluate/flags", sent)

    [found] = done(answer)["eventStreams"]
    assert found.keys() == {"type", "endpoint", "inactivityDelaySec"}
    assert (found["type"], found["inactivityDelaySec"]) == ("sse", 120)
    assert found["endpoint"].keys() == {"origin", "requestUri"}
    assert found["endpoint"]["requestUri"].startswith("/ofrep/v1/events?channel=")
    assert answer.headers["Cache-Control"] == "no-store"
    assert done(again)["eventStreams"] == [found], "a client keeps its connection while the address stays"
    await hub.settle()


async def test_a_kill_is_told_to_who_follows_and_asked_for_once(hub: Hub, school: School, url: str) -> None:
    flag = await launched(school, "followed", default_variant="on")
    path = await where(school.owner, school.org_id)

    async with following(url, path) as stream:
        first, _ = await told(stream)
        done(await school.owner.post(f"/v1/flags/{flag['id']}/kill"))
        second, content = await told(stream)
    bulk = await school.owner.post(
        "/ofrep/v1/evaluate/flags",
        {"context": {"organization_id": str(school.org_id)}},
        params={"flagConfigEtag": content["etag"]},
    )

    assert content == {"type": "refetchEvaluation", "etag": f'"{second}"'}
    assert stream.retry == "2000"
    assert first != second
    assert {each["key"]: each["value"] for each in done(bulk)["flags"]}["followed"] is False
    await hub.settle()


async def test_who_comes_back_hears_what_changed_and_nothing_else(hub: Hub, school: School, url: str) -> None:
    flag = await launched(school, "resumed")
    path = await where(school.owner, school.org_id)

    async with following(url, path) as stream:
        seen, _ = await told(stream)
    await change(school.owner, flag, default_variant="on")
    async with following(url, path, after=seen) as stream:
        missed, _ = await told(stream)
    async with following(url, path, after=missed) as stream:
        await change(school.owner, flag, default_variant="off")
        later, _ = await told(stream)
    async with following(url, path, after="nonsense") as stream:
        whole, _ = await told(stream)

    assert len({seen, missed, later}) == 3
    assert whole == later
    await hub.settle()


async def test_only_what_the_caller_may_ask_for_is_told(hub: Hub, school: School, url: str) -> None:
    hidden = await launched(school, "hidden-from-guests")
    shown = await launched(school, "shown-to-guests", public=True)
    elsewhere = await hub.school()
    foreign = await launched(elsewhere, "foreign", public=True)
    path = await where(hub.guest, school.org_id)
    stranger = await where(await hub.person(), school.org_id)

    async with following(url, path) as stream, following(url, stream_of := stranger) as strange:
        first = [await told(each) for each in (stream, strange)]
        done(await school.owner.post(f"/v1/flags/{hidden['id']}/kill"))
        done(await elsewhere.owner.post(f"/v1/flags/{foreign['id']}/kill"))
        done(await school.owner.post(f"/v1/flags/{shown['id']}/kill"))
        second = [await told(each) for each in (stream, strange)]
    seen = flags.current()
    assert seen is not None

    assert stream_of != path
    assert [id.partition("-")[2] for id, _ in first] == [first[0][0].partition("-")[2]] * 2
    # One event for three changes: those of others were not told.
    assert {id.partition("-")[0] for id, _ in second} == {str(seen.seq)}
    await hub.settle()


async def test_a_hidden_flag_that_a_public_one_needs_is_told(hub: Hub, school: School, url: str) -> None:
    needed = await launched(school, "needed", default_variant="on")
    prerequisites = [{"flag": "needed", "variants": ["on"]}]
    await launched(school, "needing", public=True, prerequisites=prerequisites, default_variant="on")
    path = await where(hub.guest, school.org_id)

    async with following(url, path) as stream:
        first, _ = await told(stream)
        done(await school.owner.post(f"/v1/flags/{needed['id']}/kill"))
        second, _ = await told(stream)

    assert first != second
    await hub.settle()


async def test_a_step_of_a_ramp_is_told_at_its_time(hub: Hub, school: School, url: str) -> None:
    at = datetime.now(UTC) + timedelta(seconds=2)
    ramp = {"steps": [{"at": at.isoformat(), "percent": 100}], "serve": [{"variant": "on"}]}
    await launched(school, "ramped", rules=[ramp])
    path = await where(school.owner, school.org_id)

    async with following(url, path) as stream:
        first, _ = await told(stream)
        second, _ = await told(stream)

    assert first.partition("-")[0] == second.partition("-")[0]
    assert first != second
    assert datetime.now(UTC) >= at
    await hub.settle()


async def test_a_right_that_was_lost_or_won_is_told(hub: Hub, school: School, url: str) -> None:
    await launched(school, "for-members")
    person = await hub.person()
    path = await where(person, school.org_id)

    async with following(url, path) as stream:
        before, _ = await told(stream)
        await client(RbacCalls).grant(person.id, "org_admin", "organization", school.org_id, school.org_id)
        await hub.settle()
        after, _ = await told(stream)

    assert before != after
    await hub.settle()


async def test_a_session_that_ends_ends_its_streams(hub: Hub, school: School, url: str) -> None:
    person = await hub.person()
    path = await where(person, school.org_id)

    async with following(url, path) as stream:
        await told(stream)
        done(await person.post("/v1/sessions/me/end"))
        await hub.settle()
        end = await stream.next()
    refused = await hub.guest.get(path)

    assert end is None
    problem(refused, 404, "channel-not-found")


async def test_a_channel_that_was_changed_or_is_over_is_refused(hub: Hub, school: School, url: str) -> None:
    caller = Principal(kind="person", id=school.owner.id)
    mine = channel.make(GUEST, None, datetime.now(UTC).timestamp())
    raw = urlsafe_b64decode(mine + "=" * (-len(mine) % 4))
    forged = urlsafe_b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
    wrong = [
        forged,
        mine[:-4],
        "x",
        "ÿ",
        "A" * 1999,
        channel.make(caller, school.org_id, datetime.now(UTC).timestamp() - 3 * channel.PERIOD_S),
    ]

    for each in wrong:
        problem(await hub.guest.get("/ofrep/v1/events", params={"channel": each}), 404, "channel-not-found")
    problem(await hub.guest.get("/ofrep/v1/events", params={"channel": "A" * 2001}), 422)
    problem(await hub.guest.get("/ofrep/v1/events"), 422)


async def test_a_person_has_so_many_streams_and_no_more(hub: Hub, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_OF_PERSON", 3)
    person, other = await hub.person(), await hub.person()
    path = await where(person)

    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(following(url, path)) for _ in range(3)]
        for each in streams:
            await told(each)
        refused = await hub.guest.get(path)
        more = await stack.enter_async_context(following(url, await where(other)))
        await told(more)
    await until(lambda: streams_here() == 0)
    async with following(url, path) as again:
        await told(again)

    problem(refused, 429)


async def test_a_process_has_so_many_guests_and_no_more(hub: Hub, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_OF_GUESTS", 2)
    path, person = await where(hub.guest), await hub.person()

    async with AsyncExitStack() as stack:
        for _ in range(2):
            await told(await stack.enter_async_context(following(url, path)))
        refused = await hub.guest.get(path)
        await told(await stack.enter_async_context(following(url, await where(person))))
    await until(lambda: streams_here() == 0)
    async with following(url, path) as again:
        await told(again)

    problem(refused, 503)


async def test_a_silent_stream_is_kept_alive(hub: Hub, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_S", 0.1)
    path = await where(hub.guest)

    async with following(url, path) as stream_:
        await told(stream_)
        reading = asyncio.create_task(stream_.next())
        await until(lambda: stream_.comments > 1)
        reading.cancel()


async def test_a_client_that_does_not_read_is_dropped(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "UNWRITABLE_S", 0.1)
    keeper = flags.current()
    assert keeper is not None
    streams = stream.of(keeper)
    path = await where(hub.guest)
    mine = await streams.enter(channel.read(path.partition("=")[2]), "192.0.2.7", None)
    before, never = streams.count, asyncio.Event()

    async def receive() -> dict[str, Any]:
        await never.wait()
        return {}

    async def send(_: Any) -> None:
        await never.wait()

    await asyncio.wait_for(mine({"type": "http"}, receive, send), 30)

    assert streams.count == before - 1


async def test_a_host_that_ends_sends_its_streams_elsewhere(
    hub: Hub, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await where(hub.guest)

    async with following(url, path) as stream_:
        await told(stream_)
        monkeypatch.setattr(live.current(), "draining", True)
        end = await stream_.next()
        refused = await hub.guest.get(path)

    assert end is None
    assert 200 <= int(stream_.retry) <= 5000
    problem(refused, 503)


@asynccontextmanager
async def replica(env: dict[str, str]) -> AsyncGenerator[str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.api.platform.feature_flag.replica"),
        cwd=REPOSITORY,
        env=env,
        stdin=PIPE,
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        port = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def other(url: str, tmp_path: Path) -> AsyncIterator[tuple[str, Any]]:
    """Another replica with a Valkey of its own, that hears no broadcast of ours: its address, and the Valkey."""
    async with valkey_of_its_own(tmp_path) as (valkey, process):
        env = os.environ | {"HUB_REDIS_URL": valkey.url, "HUB_SERVICE_URL": url}
        async with replica(env) as address:
            yield address, process


async def test_another_replica_tells_of_a_kill_while_valkey_is_dead(
    hub: Hub, school: School, other: tuple[str, Any]
) -> None:
    address, valkey = other
    flag = await launched(school, "killed-elsewhere", default_variant="on")
    path = await where(school.owner, school.org_id)
    valkey.send_signal(signal.SIGKILL)
    await valkey.wait()

    async with following(address, path) as stream:
        await told(stream)
        await school.owner.post(f"/v1/flags/{flag['id']}/kill")
        id, _ = await told(stream)
        keeper = flags.current()
        assert keeper is not None
        while int(id.partition("-")[0]) < keeper.seq:
            id, _ = await told(stream)

    assert int(id.partition("-")[0]) >= keeper.seq
    await hub.settle()


async def test_a_replica_that_is_late_answers_by_what_was_heard(
    hub: Hub, school: School, other: tuple[str, Any]
) -> None:
    """Its own Valkey says nothing of a change and looks fresh: only the tag tells it."""
    address, _ = other
    flag = await launched(school, "heard-elsewhere", default_variant="on")
    path = await where(school.owner, school.org_id)
    headers = {"Authorization": school.owner.client.headers["authorization"], "Host": "hub.test"}
    sent = {"context": {"organization_id": str(school.org_id)}}
    async with following(address, path) as stream:
        await told(stream)
    done(await school.owner.post(f"/v1/flags/{flag['id']}/kill"))
    keeper = flags.current()
    assert keeper is not None

    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as direct:
        tag = f'"{keeper.seq}-{"0" * 32}"'
        heard = done(await direct.post("/ofrep/v1/evaluate/flags", json=sent, params={"flagConfigEtag": tag}))
        nonsense = await direct.post("/ofrep/v1/evaluate/flags", json=sent, params={"flagConfigEtag": "?"})

    assert {each["key"]: each["value"] for each in heard["flags"]}["heard-elsewhere"] is False
    done(nonsense)
    await hub.settle()


async def test_who_heard_of_a_change_gets_it_right_after_another(
    hub: Hub, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_CATCH_UP_EVERY_S", 1.0)
    monkeypatch.setattr(keeping, "_ASK_S", 30.0)
    late = keeping.Keeper()
    flag = await launched(school, "heard-right-after", default_variant="on")
    await late.catch_up(2**40)
    before = late.seq

    done(await school.owner.post(f"/v1/flags/{flag['id']}/kill"))
    keeper = flags.current()
    assert keeper is not None
    await hub.at_once(*(late.catch_up(keeper.seq) for _ in range(3)))

    assert before < keeper.seq
    assert late.seq >= keeper.seq
    assert late.of(school.org_id)["heard-right-after"].row.state == "killed"
    await hub.settle()
