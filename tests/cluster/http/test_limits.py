"""What the edge does about rate limits and maintenance, by the rules of the door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import monotonic

import pytest

from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.http import Edge
from cluster.http.asgi import Receive, Scope, Send
from cluster.http.passage import Passage, QuotaExceeded, UnderMaintenance
from cluster.people import door, usage
from cluster.people.door import DoorRules, Limit, Override, Plan, Rules, Window
from cluster.signals.buckets import Quota, SharedBuckets
from tests.cluster.http.conftest import Adopt, client_of, gate, new_edge
from tests.harness import done, problem

NOW = datetime(2031, 5, 4, 20, tzinfo=UTC)


@pytest.fixture
async def edges(process: None) -> AsyncIterator[list[Edge]]:
    found = [new_edge() for _ in range(4)]
    yield found
    for edge in found:
        assert edge.buckets is not None
        await edge.buckets.stop()


def of_address(units: int, window_s: int = 60) -> Plan:
    return Plan(name="default", limits=[Limit(bucket="address", units=units, window_s=window_s)])


async def test_calls_beyond_the_plan_are_429_with_what_is_left(edges: list[Edge], adopt: Adopt) -> None:
    adopt(DoorRules(version=1, plans=[of_address(100)]))
    address, begun = f"10.1.{new_id().int % 250}.7", monotonic()

    async with client_of(edges[0], **{"X-Forwarded-For": address}) as client:
        answers = [await client.get(f"/v1/things/{new_id()}/caller") for _ in range(1000)]

    admitted = [each for each in answers if each.status_code == 200]
    refused = [each for each in answers if each.status_code != 200]
    assert 95 <= len(admitted) <= 105 + (monotonic() - begun) * 100 / 60
    assert {each.headers["ratelimit-policy"] for each in answers} == {'"address";q=100;w=60'}
    left = [int(each.headers["ratelimit"].split(";")[1].removeprefix("r=")) for each in admitted[:90]]
    assert left[0] == 99
    assert all(later <= before + 2 for before, later in pairwise(left))
    assert refused[-1].json()["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert refused[-1].json()["violated-policies"] == ["address"]
    assert 1 <= int(refused[-1].headers["retry-after"]) <= 60
    assert refused[-1].headers["ratelimit"].startswith('"address";r=0;t=')


async def test_replicas_together_admit_the_plan_whatever_clients_claim(edges: list[Edge], adopt: Adopt) -> None:
    adopt(DoorRules(version=1, plans=[of_address(100)]))
    address, begun = f"10.2.{new_id().int % 250}.7", monotonic()

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(edge)) for edge in edges]
        answers = [
            await clients[turn % 4].get(
                f"/v1/things/{new_id()}/caller",
                # What the ingress saw stands last; the rest is the client's own claim.
                headers={"X-Forwarded-For": f"192.0.2.{turn % 250}, {address}"},
            )
            for turn in range(400)
        ]

    admitted = [each for each in answers if each.status_code == 200]
    assert 95 <= len(admitted) <= 105 + (monotonic() - begun) * 100 / 60


async def test_addresses_of_one_network_share_a_bucket(edges: list[Edge], adopt: Adopt) -> None:
    adopt(DoorRules(version=1, plans=[of_address(3)]))
    network = f"2001:db8:{new_id().int % 60000:x}:1"

    async with client_of(edges[0]) as client:
        statuses = [
            (await client.get("/v1/nowhere" if n < 2 else f"/v1/things/{new_id()}/caller", headers=headers)).status_code
            for n in range(6)
            for headers in [{"X-Forwarded-For": f"{network}::{n + 1:x}"}]
        ]

    assert statuses == [404, 404, 200, 200, 200, 429]


async def test_what_the_door_refuses_is_not_counted_as_usage(
    edges: list[Edge], adopt: Adopt, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(DoorRules(version=1, plans=[of_address(3, window_s=3600)]))
    counting = usage.Usage()
    monkeypatch.setattr(usage, "_usage", counting)

    async with client_of(edges[0], **{"X-Forwarded-For": f"10.4.{new_id().int % 250}.7"}) as client:
        statuses = [(await client.get(f"/v1/things/{new_id()}/caller")).status_code for _ in range(5)]
        statuses.append((await client.get("/v1/nowhere")).status_code)

    counts = counting._counts  # pyright: ignore[reportPrivateUsage]
    assert statuses == [200, 200, 200, 429, 429, 404]
    assert [(route, kind, id) for _, route, kind, id, _, _ in counts] == [
        ("GET /v1/things/{thing_id}/caller", "guest", None)
    ]
    assert list(counts.values()) == [[3, 3]]


def test_most_specific_override_replaces_bucket_by_bucket() -> None:
    key, org = new_id(), OrgId(new_id())
    rules = Rules(
        DoorRules(
            version=1,
            plans=[
                Plan(
                    name="default",
                    limits=[
                        Limit(bucket="key", units=100, window_s=60),
                        Limit(bucket="organization", units=1000, window_s=60),
                        Limit(bucket="route", units=5, window_s=60, route="GET /v1/search"),
                    ],
                ),
                Plan(name="school", limits=[Limit(bucket="organization", units=50, window_s=60)]),
                Plan(name="robot", limits=[Limit(bucket="key", units=7, window_s=1)]),
            ],
            overrides=[
                Override(plan="school", org_id=org),
                Override(plan="robot", key_id=key),
                Override(plan="robot", key_id=new_id(), until=NOW - timedelta(days=10_000)),
                Override(plan="never-heard-of", org_id=OrgId(new_id())),
            ],
        )
    )

    both, other = rules.limits(key, org), rules.limits(new_id(), org)

    assert (both.plan, both.key, both.organization) == ("robot", Quota(7, 1), Quota(50, 60))
    assert (other.plan, other.key, other.organization) == ("school", Quota(100, 60), Quota(50, 60))
    assert both.routes == {"GET /v1/search": Quota(5, 60)}
    assert rules.limits(None, None).organization == Quota(1000, 60)


async def test_a_key_counts_by_itself_and_for_its_organization(process: None, adopt: Adopt) -> None:
    key, org = UserId(new_id()), OrgId(new_id())
    limits = [Limit(bucket="key", units=10, window_s=60), Limit(bucket="organization", units=6, window_s=60)]
    adopt(DoorRules(version=1, plans=[Plan(name="default", limits=limits)]))
    shared = SharedBuckets()

    async def ask(principal: Principal, *entered: OrgId) -> tuple[str, ...] | None:
        passage = Passage(shared, principal, "", "course", False)
        try:
            for waiting in (passage.charge("GET /x", 2), *(passage.enter_organization(each) for each in entered)):
                if waiting is not None:
                    await waiting
        except QuotaExceeded as refused:
            return tuple(refused.extra["violated-policies"])
        return None

    bound = Principal(kind="service_account", id=key, bound_org=org)
    person = Principal(kind="person", id=UserId(new_id()))
    answers = [await ask(bound, org), await ask(person, org, org), await ask(bound, org), await ask(person, org)]
    own = [await ask(Principal(kind="service_account", id=key)) for _ in range(4)]
    await shared.stop()

    assert answers == [None, None, None, ("organization",)]
    assert own == [None, None, None, ("key",)]


async def test_an_organization_is_closed_for_its_own_keys_too(process: None, adopt: Adopt) -> None:
    org, now = OrgId(new_id()), datetime.now(UTC)
    window = Window(
        id=new_id(), scope="organization", mode="closed", org_id=org, starts_at=now, ends_at=now + timedelta(hours=1)
    )
    plan = Plan(name="default", limits=[Limit(bucket="organization", units=60, window_s=60)])
    adopt(DoorRules(version=1, plans=[plan], windows=[window]))
    shared, guest = SharedBuckets(), Principal(kind="guest", bound_org=org)
    passage = Passage(shared, guest, "192.0.2.1", "course", False)

    waiting = passage.charge("GET /x", 1)
    if waiting is not None:
        await waiting
    closed = passage.enter_organization(org)

    assert closed is not None
    with pytest.raises(UnderMaintenance):
        await closed
    await shared.stop()


def test_an_override_that_ends_leaves_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    org = OrgId(new_id())
    plans = [Plan(name=name, limits=[Limit(bucket="person", units=n, window_s=1)]) for n, name in enumerate("abc", 1)]
    overrides = [Override(plan="a", org_id=org), Override(plan="b", org_id=org, until=NOW)]
    rules = Rules(DoorRules(version=1, plans=plans, overrides=overrides))

    before = rules.limits(None, org).plan
    monkeypatch.setattr(door, "time", NOW.timestamp)
    after = rules.limits(None, org).plan

    assert (before, after) == ("b", "a")


async def test_maintenance_is_announced_then_closes_and_running_writes_end(edges: list[Edge], adopt: Adopt) -> None:
    now = datetime.now(UTC)
    window = Window(
        id=new_id(),
        scope="platform",
        mode="read_only",
        starts_at=now + timedelta(hours=1),
        ends_at=now + timedelta(hours=2),
    )
    adopt(DoorRules(version=1, windows=[window]))
    thing = f"/v1/courses/{new_id()}"
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["method"])
        if scope["method"] == "PUT":
            gate.entered.set()
            await gate.open.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    gate.entered.clear()
    gate.open.clear()
    async with client_of(Edge(app)) as client:
        announced = await client.get(thing)
        running = asyncio.create_task(client.put(thing))
        await asyncio.wait_for(gate.entered.wait(), 5)
        begun = Window(id=window.id, scope="platform", mode="read_only", starts_at=now, ends_at=window.ends_at)
        adopt(DoorRules(version=2, windows=[begun]))
        refused = await client.post(thing)
        reads = await client.get(thing)
        health = await client.get("/v1/courses/-/health")
        signing_in = await client.post("/v1/sessions")
        gate.open.set()
        ended = await running
        adopt(DoorRules(version=3, windows=[Window(id=window.id, scope="service", service="course", mode="closed",
                                                   starts_at=now, ends_at=window.ends_at)]))  # fmt: skip
        closed = await client.get(thing)
        elsewhere = await client.get("/v1/organizations")

    starts, ends = int(window.starts_at.timestamp()), int(window.ends_at.timestamp())
    assert announced.headers["maintenance"] == f"starts=@{starts}, ends=@{ends}, mode=read_only"
    assert problem(refused, 503, "under-maintenance")["mode"] == "read_only"
    assert 7190 <= int(refused.headers["retry-after"]) <= 7200
    assert [each.status_code for each in (announced, reads, health, signing_in, ended, elsewhere)] == [200] * 6
    problem(closed, 503, "under-maintenance")
    assert seen == ["GET", "PUT", "GET", "GET", "POST", "GET"]


async def test_without_limits_nothing_is_counted(process: None, adopt: Adopt) -> None:
    adopt(DoorRules(version=1, plans=[of_address(1)]))
    edge = new_edge()
    edge.buckets = None

    async with client_of(edge) as client:
        answers = [await client.get(f"/v1/things/{new_id()}/caller") for _ in range(5)]

    assert [done(each)["kind"] for each in answers] == ["guest"] * 5
    assert all("ratelimit" not in each.headers for each in answers)
