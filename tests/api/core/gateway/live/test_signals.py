"""What followers of a topic tell each other: to all processes, to nobody without the right, within limits."""

import asyncio

import pytest

from cluster.base.ids import new_id
from cluster.people.live import signals
from tests.api.core.gateway.live.conftest import Socket, events, socket
from tests.api.core.gateway.live.probe import new_topic, say
from tests.api.core.gateway.live.test_exactly_once import another_host
from tests.api.core.gateway.live.test_rights import new_course, teacher_of
from tests.harness import Hub, School, done
from tests.own_server import OwnServer


async def frames_until(connection: Socket, seq: int) -> list[str]:
    """Return the kinds of signals until this message arrives."""
    heard: list[str] = []
    while (frame := await connection.next()).get("seq") != seq:
        heard.append(frame["signal"])
    return heard


async def test_signals_reach_the_other_followers_in_all_processes(hub: Hub, port: int) -> None:
    sender, other = await hub.person(), await hub.person()
    id = await new_topic()
    topic = f"hall:{id}"
    async with (
        another_host() as (far_port, _),
        socket(port, sender) as sending,
        socket(port, sender) as second_tab,
        socket(far_port, other) as far,
        events(port, other, topic) as stream,
        socket(port, other) as elsewhere,
    ):
        for each in (sending, second_tab, far):
            await each.subscribe(topic)
        await stream.next()
        await elsewhere.subscribe(f"hall:{await new_topic()}")

        await sending.send(signal={"topic": topic, "kind": "typing", "data": {"in": "Zürich \U0001f600"}})
        heard = [await each.next() for each in (second_tab, far, stream)]
        last_id = stream.last_id
        await far.send(signal={"topic": topic, "kind": "viewing"})
        back = await sending.next()
        await say("hall", id, "hello")
        told = [(await each.next())["seq"] for each in (sending, far)]
        await elsewhere.send(signal={"topic": topic, "kind": "typing"})
        refused = await elsewhere.next()

    typing = {"topic": topic, "signal": "typing", "user_id": str(sender.id), "data": {"in": "Zürich \U0001f600"}}
    assert heard == [typing] * 3
    assert last_id == "0"
    assert back == {"topic": topic, "signal": "viewing", "user_id": str(other.id), "data": {}}
    assert told == [1, 1]
    assert refused == {"topic": topic, "signal": "typing", "denied": 403}


async def test_who_lost_the_right_neither_sends_nor_hears_signals(hub: Hub, port: int, school: School) -> None:
    course_id = await new_course(school)
    teacher, grant_id = await teacher_of(hub, school, course_id)
    id = await new_topic(org_id=school.org_id, course_id=course_id)
    topic = f"channel:{id}"
    hall_id = await new_topic()
    hall = f"hall:{hall_id}"
    async with socket(port, school.owner) as owner, socket(port, teacher) as lost:
        for each in (owner, lost):
            await each.subscribe(topic)
        await lost.subscribe(hall)
        await owner.send(signal={"topic": topic, "kind": "typing"})
        before = await lost.next()

        done(await school.owner.post(f"/v1/grants/{grant_id}/end"))
        denied = await lost.next()
        await owner.send(signal={"topic": topic, "kind": "typing"})
        await lost.send(signal={"topic": topic, "kind": "typing"})
        refused = await lost.next()
        await say("channel", id, "last")
        heard = await frames_until(owner, 1)
        await say("hall", hall_id, "last")
        told = await frames_until(lost, 1)

    assert before["signal"] == "typing"
    assert denied["denied"] in (403, 404)
    assert refused == {"topic": topic, "signal": "typing", "denied": 403}
    assert (heard, told) == ([], [])


async def test_signals_are_refused_that_nobody_declared_or_are_too_large(hub: Hub, port: int) -> None:
    person, id = await hub.person(), await new_topic()
    topic = f"hall:{id}"
    async with socket(port, person) as sending, socket(port, person) as hearing:
        for each in (sending, hearing):
            await each.subscribe(topic)
        attempts = [
            {"topic": topic, "kind": "shouting"},
            {"topic": f"hall:{new_id()}", "kind": "typing"},
            {"topic": topic, "kind": "typing", "data": {"a": "x" * 1024}},
        ]
        denied: list[int] = []
        for attempt in attempts:
            await sending.send(signal=attempt)
            denied.append((await sending.next())["denied"])
        await sending.send(signal={"topic": topic, "kind": "typing", "data": {"a": "x" * (1024 - len('{"a":""}'))}})
        heard = await hearing.next()
        await sending.send(signal={"topic": topic, "kind": "typing", "data": []})
        code, _ = await sending.closed()

    assert denied == [404, 403, 413]
    assert len(heard["data"]["a"]) == 1016
    assert code == 4400


async def test_a_connection_sends_five_signals_a_second(hub: Hub, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    person, id = await hub.person(), await new_topic()
    topic = f"hall:{id}"
    async with socket(port, person) as sending, socket(port, person) as hearing:
        for each in (sending, hearing):
            await each.subscribe(topic)
        now = asyncio.get_running_loop().time()
        monkeypatch.setattr(signals, "monotonic", lambda: now)
        for _ in range(12):
            await sending.send(signal={"topic": topic, "kind": "typing"})
        heard = [(await hearing.next())["signal"] for _ in range(signals.RATE_PER_S)]
        now += 0.3
        await sending.send(signal={"topic": topic, "kind": "viewing"})
        heard.append((await hearing.next())["signal"])

    assert heard == ["typing"] * 5 + ["viewing"]


async def test_a_signal_is_lost_without_valkey_and_messages_are_not(hub: Hub, port: int, valkey: OwnServer) -> None:
    person, id = await hub.person(), await new_topic()
    topic = f"hall:{id}"
    async with socket(port, person) as sending, socket(port, person) as hearing:
        for each in (sending, hearing):
            await each.subscribe(topic)
        await valkey.kill()
        await sending.send(signal={"topic": topic, "kind": "typing"})
        await say("hall", id, "hello")
        told = await frames_until(hearing, 1)
        await valkey.start()

    assert told == []
