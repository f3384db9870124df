"""Usage: what is counted, who sees it, and that nothing is added twice or lost between processes."""

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from api.core.gateway.usage import store
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.data import Connection, read
from cluster.data.postgres import pool
from cluster.people import calls, usage
from cluster.people.calls import client
from cluster.people.usage import EVERYBODY, Usage, UsageKeeper, Used
from tests.harness import Hub, Person, done, problem

USAGE = "/v1/gateway/-/usage"
HOUR = datetime(2031, 5, 4, 20, tzinfo=UTC)


def used(subject_id: UUID, *, hour: datetime = HOUR, route: str = "GET /v1/walked", **others: Any) -> Used:
    return Used(
        of=others.get("of", "person"),
        subject_id=subject_id,
        org_id=others.get("org_id"),
        hour=hour,
        route=route,
        calls=2,
        units=6,
    )


def person() -> Principal:
    return Principal(kind="person", id=UserId(new_id()))


async def stored(subject_id: UUID) -> dict[str, tuple[int, int]]:
    """Return calls and units by route."""
    async with read() as db:
        rows = await db.rows(
            "SELECT route, sum(calls)::int, sum(units)::int FROM gateway.usage WHERE subject_id = $1 GROUP BY route",
            subject_id,
        )
    return {route: (calls, units) for route, calls, units in rows}


def by_route(answer: httpx.Response) -> dict[str, tuple[int, int]]:
    """Add up the hours of an answer: a test may run from one into the next."""
    calls, units = Counter[str](), Counter[str]()
    for each in done(answer)["items"]:
        calls[each["route"]] += each["calls"]
        units[each["route"]] += each["units"]
    return {route: (count, units[route]) for route, count in calls.items()}


async def test_requests_count_for_who_asked_and_where_by_their_cost(hub: Hub, operator: Person) -> None:
    begun = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    school = await hub.school()
    path = f"/v1/organizations/{school.org_id}"
    for _ in range(2):
        done(await school.owner.get(path))
    problem(await school.owner.patch(path, {"name": "Other"}), 428)
    await hub.guest.get("/v1/catalog")
    problem(await school.owner.get("/v1/nowhere"), 404)

    await usage.current().hand_over()
    own = by_route(await school.owner.get(USAGE, params={"limit": 100}))
    of_school = by_route(await school.owner.get(USAGE, params={"organization_id": str(school.org_id)}))
    items = done(await operator.get(USAGE, params={"everybody": "true", "limit": 100, "from": begun.isoformat()}))

    assert own["GET /v1/organizations/{organization_id}"] == (2, 2)
    assert own["POST /v1/organizations"] == (1, 3)
    assert own["PATCH /v1/organizations/{organization_id}"] == (1, 3)
    assert of_school["GET /v1/organizations/{organization_id}"] == (2, 2)
    assert "POST /v1/organizations" not in of_school
    assert not any("nowhere" in route for route in own)
    by_all = {each["route"]: each for each in items["items"]}
    assert by_all["GET /v1/catalog"]["calls"] >= 1
    assert all(datetime.fromisoformat(each["begins_at"]) >= begun for each in items["items"])
    await hub.settle()


async def test_usage_is_shown_to_who_may_know_of_it(hub: Hub, operator: Person) -> None:
    school, rival = await hub.school(), await hub.school()
    key, keeper = new_id(), client(UsageKeeper)
    of_key = used(key, of="key", org_id=school.org_id)
    await keeper.add_usage(new_id(), [of_key, used(school.owner.id), used(school.org_id, of="organization")])

    async def asks(who: Person, **params: Any) -> int:
        return (await who.get(USAGE, params={name: str(value) for name, value in params.items()})).status_code

    seen = {
        "own": [await asks(each) for each in (school.owner, operator, hub.guest)],
        "school": [await asks(each, organization_id=school.org_id) for each in (school.owner, rival.owner, operator)],
        "person": [await asks(each, caller_id=school.owner.id) for each in (school.owner, rival.owner, operator)],
        "key": [await asks(each, caller_id=key) for each in (school.owner, rival.owner, operator)],
        "unknown": [await asks(each, caller_id=new_id()) for each in (school.owner, operator)],
        "everybody": [await asks(each, everybody=True) for each in (school.owner, operator)],
        "zeros": [await asks(each, caller_id=EVERYBODY) for each in (school.owner, operator)],
    }

    assert seen == {
        "own": [200, 200, 401],
        "school": [200, 404, 200],
        "person": [200, 404, 200],
        "key": [200, 404, 200],
        "unknown": [404, 200],
        "everybody": [403, 200],
        "zeros": [404, 200],
    }
    assert by_route(await school.owner.get(USAGE, params={"caller_id": str(key)})) == {"GET /v1/walked": (2, 6)}
    assert by_route(await operator.get(USAGE, params={"caller_id": str(school.org_id)})) == {}
    assert by_route(await operator.get(USAGE, params={"caller_id": str(EVERYBODY)})) == {}
    await hub.settle()


async def test_pages_go_back_in_time_within_the_hours_asked_for(hub: Hub) -> None:
    reader = await hub.person("pages")
    hours = [HOUR + timedelta(hours=n) for n in range(4)]
    routes = ["GET /v1/a", "GET /v1/b"]
    lot = [used(reader.id, hour=hour, route=route) for hour in hours for route in routes]
    await client(UsageKeeper).add_usage(new_id(), lot)
    between = {"from": hours[1].isoformat(), "until": hours[3].isoformat(), "limit": "3"}

    first = done(await reader.get(USAGE, params=between))
    second = done(await reader.get(USAGE, params=between | {"cursor": first["next_cursor"]}))
    elsewhere = await reader.get(USAGE, params={"limit": "3", "cursor": first["next_cursor"]})

    found = [(each["begins_at"], each["route"]) for each in (*first["items"], *second["items"])]
    assert found == [(hour.isoformat().replace("+00:00", "Z"), route) for hour in (hours[2], hours[1]) for route in "ba"
                     for route in [f"GET /v1/{route}"]]  # fmt: skip
    assert second["next_cursor"] is None
    problem(elsewhere, 400)


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"from": "2031-05-04T20:00:00Z", "until": "2031-05-04T20:00:00Z"}, "/query/until"),
        ({"everybody": "true", "caller_id": str(new_id())}, "/query/everybody"),
        ({"organization_id": str(new_id()), "caller_id": str(new_id())}, "/query/everybody"),
        ({"from": "yesterday"}, "/query/from"),
    ],
)
async def test_usage_rejects_what_names_nothing(hub: Hub, params: dict[str, str], pointer: str) -> None:
    reader = await hub.person("wrong")

    refused = problem(await reader.get(USAGE, params=params), 422)

    assert [each["pointer"] for each in refused["errors"]] == [pointer]


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_times_at_the_ends_of_the_calendar_find_what_they_say(hub: Hub, since: str) -> None:
    reader = await hub.person("ends")
    await client(UsageKeeper).add_usage(new_id(), [used(reader.id)])

    found = by_route(await reader.get(USAGE, params={"from": since}))

    assert found == ({"GET /v1/walked": (2, 6)} if since.startswith("0001") else {})


async def test_processes_that_hand_over_at_once_add_up(hub: Hub) -> None:
    people, routes = [person() for _ in range(40)], [f"GET /v1/{letter}" for letter in "abcde"]
    org = OrgId(new_id())
    processes = [Usage() for _ in range(4)]
    asked = [(each, route) for each in people for route in routes]
    for n, process in enumerate(processes):
        # Each in another order: they must not wait for each other in a ring.
        for each, route in asked[n * 50 :] + asked[: n * 50]:
            process.count(each, (org,), route, n + 1)

    await hub.at_once(*(process.hand_over() for process in processes))

    assert await stored(org) == dict.fromkeys(routes, (160, 400))
    assert [await stored(UUID(str(each.id))) for each in people] == [dict.fromkeys(routes, (4, 10))] * 40


async def test_a_lot_that_comes_twice_is_added_once(hub: Hub) -> None:
    caller, lot_id = new_id(), new_id()
    keeper = client(UsageKeeper)

    await hub.at_once(*(keeper.add_usage(lot_id, [used(caller)]) for _ in range(3)))
    await keeper.add_usage(lot_id, [used(caller)])

    assert await stored(caller) == {"GET /v1/walked": (2, 6)}


async def test_what_gateway_does_not_take_is_handed_over_later(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    process, caller = Usage(), person()
    process.count(caller, (), "GET /v1/walked", 1)

    with monkeypatch.context() as away:
        away.delitem(calls._local, "gateway")  # pyright: ignore[reportPrivateUsage]
        away.setattr(calls, "_base", lambda _service: "http://127.0.0.1:9")  # pyright: ignore[reportUnknownLambdaType]
        with pytest.raises(calls.RemoteUnavailable):
            await process.hand_over()
    process.count(caller, (), "GET /v1/walked", 1)
    await process.hand_over()

    assert await stored(UUID(str(caller.id))) == {"GET /v1/walked": (2, 2)}


async def test_an_answer_that_is_lost_adds_nothing_twice(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    process, caller = Usage(), person()
    process.count(caller, (), "GET /v1/walked", 1)
    keeper = client(UsageKeeper)

    class Deaf(UsageKeeper):
        async def add_usage(self, lot_id: UUID, used: list[Used]) -> None:
            await keeper.add_usage(lot_id, used)
            raise TimeoutError

    with monkeypatch.context() as deaf:
        deaf.setattr(usage, "client", lambda _protocol: Deaf())  # pyright: ignore[reportUnknownLambdaType]
        with pytest.raises(TimeoutError):
            await process.hand_over()
    await process.hand_over()

    assert await stored(UUID(str(caller.id))) == {"GET /v1/walked": (1, 1)}


async def test_handing_over_ends_while_requests_go_on(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    process, caller, lots = Usage(), person(), list[UUID]()
    keeper = client(UsageKeeper)

    class Busy(UsageKeeper):
        async def add_usage(self, lot_id: UUID, used: list[Used]) -> None:
            lots.append(lot_id)
            if len(lots) == 1:
                raise TimeoutError
            if len(lots) < 20:
                process.count(caller, (), f"GET /v1/meanwhile-{len(lots)}", 1)
            await keeper.add_usage(lot_id, used)

    process.count(caller, (), "GET /v1/first", 1)
    with monkeypatch.context() as busy:
        busy.setattr(usage, "client", lambda _protocol: Busy())  # pyright: ignore[reportUnknownLambdaType]
        with pytest.raises(TimeoutError):
            await process.hand_over()
        process.count(caller, (), "GET /v1/second", 1)
        await process.hand_over()
    handed_over = await stored(UUID(str(caller.id)))
    await process.hand_over()

    # The lot that got no answer, and one more: what was counted during the first goes with it, the rest waits.
    assert len(lots) == 3
    assert handed_over.keys() == {"GET /v1/first", "GET /v1/second", "GET /v1/meanwhile-2"}
    assert await stored(UUID(str(caller.id))) == handed_over | {"GET /v1/meanwhile-3": (1, 1)}


async def test_a_process_that_ends_hands_over_what_is_left(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = person()
    monkeypatch.setattr(usage, "_usage", usage.current())
    monkeypatch.setattr(usage, "_keeping", None)
    await usage.start()
    usage.current().count(caller, (), "GET /v1/walked", 1)

    await usage.stop()

    assert await stored(UUID(str(caller.id))) == {"GET /v1/walked": (1, 1)}


async def test_counts_are_handed_over_by_themselves(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = person()
    monkeypatch.setattr(usage, "_usage", usage.current())
    monkeypatch.setattr(usage, "_keeping", None)
    monkeypatch.setattr(usage, "HAND_OVER_S", 0.01)
    await usage.start()

    usage.current().count(caller, (), "GET /v1/walked", 1)

    async with asyncio.timeout(30):
        while not await stored(UUID(str(caller.id))):  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)
    await usage.stop()


def test_a_process_counts_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MOST_COUNTS", 2)
    process, caller = Usage(), person()

    for route in ("GET /v1/a", "GET /v1/b", "GET /v1/c", "GET /v1/a"):
        process.count(caller, (), route, 1)

    counts = process._counts  # pyright: ignore[reportPrivateUsage]
    assert {asked[1]: count for asked, count in counts.items()} == {"GET /v1/a": [2, 2], "GET /v1/b": [1, 1]}
    assert process.full.is_set()


async def test_a_bound_key_counts_for_its_organization_too(hub: Hub) -> None:
    process, org, elsewhere = Usage(), OrgId(new_id()), new_id()
    key = Principal(kind="service_account", id=UserId(new_id()), bound_org=org)
    bound = Principal(kind="person", id=UserId(new_id()), bound_org=org)

    process.count(key, (elsewhere,), "GET /v1/walked", 1)
    process.count(bound, (org,), "GET /v1/walked", 3)
    await process.hand_over()

    assert await stored(org) == {"GET /v1/walked": (2, 4)}
    assert await stored(elsewhere) == {"GET /v1/walked": (1, 1)}
    async with read() as db:
        assert await store.find_organization_of_key(db, UUID(str(key.id))) == org
        assert await store.find_organization_of_key(db, UUID(str(bound.id))) is None


async def test_old_hours_and_lots_are_purged_and_others_kept(hub: Hub) -> None:
    caller, key, org, old, new = new_id(), new_id(), OrgId(new_id()), new_id(), new_id()
    now = datetime.now(UTC)
    keeper = client(UsageKeeper)

    def of_all(days: int, days_of_person: int, route: str) -> list[Used]:
        hour = now - timedelta(days=days)
        return [
            used(caller, hour=now - timedelta(days=days_of_person), route=route),
            used(key, hour=hour, route=route, of="key", org_id=org),
            used(org, hour=hour, route=route, of="organization", org_id=org),
        ]

    await keeper.add_usage(old, of_all(91, 31, "GET /v1/old"))
    await keeper.add_usage(new, of_all(89, 29, "GET /v1/new"))
    async with pool().acquire() as raw:
        aged = "UPDATE gateway.usage_lots SET added_at = now() - interval '2 days' WHERE id = $1"
        await Connection(raw).run(aged, old)

    await hub.run_cron("gateway.purge_usage")

    assert [list(await stored(each)) for each in (caller, key, org)] == [["GET /v1/new"]] * 3
    async with read() as db:
        left = await db.rows("SELECT id FROM gateway.usage_lots WHERE id = ANY($1::uuid[])", [old, new])
    assert [row["id"] for row in left] == [new]


async def test_what_somebody_asked_is_exported_and_forgotten(hub: Hub) -> None:
    leaving, staying = await hub.person("leaves"), await hub.person("stays")
    await client(UsageKeeper).add_usage(new_id(), [used(leaving.id), used(staying.id)])

    before = await hub.exported(leaving.id, "gateway")
    part = await hub.erased(leaving.id, "gateway")
    # What was under way when the person was erased is not counted afterwards.
    await client(UsageKeeper).add_usage(new_id(), [used(leaving.id), used(staying.id)])

    assert [row["route"] for row in before.rows["gateway.usage"] if row["calls"] == 2] == ["GET /v1/walked"]
    assert part.outcome == "done"
    assert await stored(leaving.id) == {}
    assert (await stored(staying.id))["GET /v1/walked"] == (4, 12)
    await hub.settle()


MUCH_USAGE = """
INSERT INTO gateway.usage (subject_id, hour, route, subject, calls, units)
SELECT md5((n % 25)::text)::uuid, timestamptz '2031-05-04 12:00Z' - interval '1 hour' * (n / 25), 'GET /',
    CASE WHEN n % 5 = 0 THEN 'person' ELSE 'key' END, 1, 1
FROM generate_series(0, 49999) AS n;
INSERT INTO gateway.usage_lots (id, added_at)
SELECT gen_random_uuid(), timestamptz '2031-05-04 12:00Z' - interval '15 minutes' * n FROM generate_series(0, 9999) AS n;
ANALYZE gateway.usage, gateway.usage_lots
"""


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (store.LIST_USAGE, "usage_pkey"),
        (store.FIND_ORGANIZATION_OF_KEY, "usage_pkey"),
        (store.DELETE_OLD_USAGE, "usage_hour"),
        (store.DELETE_OLD_USAGE_OF_PEOPLE, "usage_hour_of_person"),
        (store.DELETE_OLD_LOTS, "usage_lots_added"),
    ],
)
async def test_usage_is_found_and_purged_by_an_index(hub: Hub, sql: str, index: str) -> None:
    wanted = {
        "subject_id": new_id(),
        "key_id": new_id(),
        "subjects": ["person"],
        "since": HOUR - timedelta(days=90),
        "until": HOUR,
        "before": HOUR - timedelta(days=90),
        "before_hour": HOUR,
        "before_route": "",
        "limit": 20,
    }
    named = {name: value for name, value in wanted.items() if re.search(rf"\${name}\b", sql)}
    async with pool().acquire() as raw:
        transaction = raw.transaction()
        await transaction.start()
        await raw.execute(MUCH_USAGE)
        plan = await Connection(raw).rows("EXPLAIN " + sql, **named)
        await transaction.rollback()

    text = "\n".join(row[0] for row in plan)
    assert index in text
    assert "Seq Scan" not in text
