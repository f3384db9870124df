"""What a process keeps for those who follow flags: rules as long as they follow; rights and flags that it asks for again."""

import asyncio
from time import monotonic, time
from typing import Any
from uuid import uuid4

import pytest

from api.platform.feature_flag.evaluation import channel, stream
from api.platform.feature_flag.evaluation.seen import Seen
from api.platform.feature_flag.evaluation.stream import Stream, Streams
from cluster.base.ids import OrgId
from cluster.base.principal import GUEST
from cluster.base.problems import Unavailable
from cluster.people.flags import Keeper
from cluster.people.flags import keeper as keeping
from tests.harness import Hub


def rules_in(streams: Streams) -> set[Seen]:
    return set(streams._rules)  # pyright: ignore[reportPrivateUsage]


@pytest.fixture
def streams() -> Streams:
    return Streams(Keeper())


async def guest_of(streams: Streams, org_id: OrgId) -> Stream:
    mine = channel.read(channel.make(GUEST, org_id, time()))
    entered = await streams.enter(mine, "192.0.2.7", None)
    streams.rules(entered.seen)
    return entered


async def test_rules_that_nobody_follows_are_kept_no_longer(hub: Hub, streams: Streams) -> None:
    invented = [OrgId(uuid4()) for _ in range(3)]
    entered = [await guest_of(streams, org_id) for org_id in (*invented, invented[0])]
    seen = {each.seen for each in entered}

    kept = rules_in(streams)
    for each in entered[:3]:
        streams.leave(each)
        streams.leave(each)
    one_left = rules_in(streams)
    streams.leave(entered[3])
    streams.rules(entered[3].seen)

    assert kept == seen
    assert one_left == {entered[3].seen}
    assert rules_in(streams) == set()


async def test_rules_of_rights_that_were_lost_are_kept_no_longer(
    hub: Hub, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = await guest_of(streams, OrgId(uuid4()))
    before, after = entered.seen, entered.seen._replace(all_of_organization=True)

    async def others(*_: Any) -> Seen:
        return after

    monkeypatch.setattr(stream, "seen_by", others)
    await entered.check()
    streams.rules(entered.seen)
    kept = rules_in(streams)
    streams.leave(entered)
    await entered.check()

    assert before != after
    assert kept == {after}
    assert rules_in(streams) == set()


async def test_rights_that_nobody_could_tell_are_asked_for_soon(
    hub: Hub, streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = await guest_of(streams, OrgId(uuid4()))
    before = entered.seen

    async def away(*_: Any) -> Seen:
        raise Unavailable("rbac does not answer")

    monkeypatch.setattr(stream, "seen_by", away)
    entered.check_at = monotonic() + stream.RIGHTS_EVERY_S
    await entered.check()
    soon = entered.check_at
    streams.leave(entered)

    assert soon <= monotonic() + 5
    assert entered.seen == before


@pytest.mark.parametrize("answers", ["never", "with an error"])
async def test_those_who_heard_share_an_attempt_that_fails(
    hub: Hub, answers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    class Away:
        async def flag_changes(self, after: int, limit: int) -> list[Any]:
            nonlocal asked
            asked += 1
            if answers == "never":
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            raise OSError("the server is gone")

    monkeypatch.setattr(keeping, "_ASK_S", 0.2)
    monkeypatch.setattr(keeping, "client", lambda _protocol: Away())  # pyright: ignore[reportUnknownLambdaType]
    late = keeping.Keeper()

    await hub.at_once(*(late.catch_up(2**40) for _ in range(20)))
    await late.stop()

    assert asked == 1
