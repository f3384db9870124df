"""A request that is sent twice has its effect once, also when both are on their way at the same time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import Response

from cluster.base.ids import UserId, new_id
from cluster.base.principal import GUEST, PLATFORM, Principal
from cluster.base.problems import Conflict
from cluster.data import idempotency, read, write
from cluster.data.postgres import count_statements
from cluster.http import Body, Caller, Edge, Router, build_app, once
from tests.harness import done, problem


class NewThing(Body):
    title: str


@dataclass(slots=True)
class Steps:
    """Where handlers pause until a test lets them go on, and whether they fail."""

    entered: asyncio.Event
    go_on: asyncio.Event
    fail: bool = False


steps = Steps(asyncio.Event(), asyncio.Event())
router = Router("toy")


async def _create(caller: Principal, new: NewThing) -> UUID:
    id = new_id()
    async with write(caller, result=id, status=201) as tx:
        await tx.run("INSERT INTO toy.things (id, title) VALUES ($1, $2)", id, f"{new.title} {id}")
        steps.entered.set()
        await steps.go_on.wait()
        if steps.fail:
            raise Conflict("not now")
    return id


async def _again(id: UUID) -> UUID:
    return id


@router.post("/v1/things", status_code=201)
async def create_thing(caller: Caller, new: NewThing, response: Response) -> dict[str, UUID]:
    return {"id": await once(response, _create(caller, new), again=_again)}


@router.post("/v1/secrets", status_code=201)
async def create_secret(caller: Caller, new: NewThing) -> dict[str, UUID]:
    return {"id": await _create(caller, new)}


@router.post("/v1/twice", status_code=201)
async def create_twice(caller: Caller, new: NewThing, response: Response) -> dict[str, UUID]:
    async def both() -> UUID:
        first = await _create(caller, new)
        await _create(caller, new)
        with idempotency.outside():
            await _create(caller, new)
        return first

    return {"id": await once(response, both, again=_again)}


@router.delete("/v1/things/{thing_id}", status_code=204)
async def delete_thing(thing_id: UUID, response: Response) -> None:
    async def delete() -> None:
        async with write(PLATFORM, status=204) as tx:
            await tx.run("DELETE FROM toy.things WHERE id = $1", thing_id)

    async def nothing(_: Any) -> None: ...

    await once(response, delete, again=nothing)


@pytest.fixture
async def client(process: None) -> AsyncIterator[httpx.AsyncClient]:
    steps.entered.clear()
    steps.go_on.set()
    steps.fail = False
    async with write(PLATFORM) as tx:
        await tx.run("DELETE FROM toy.things")
        await tx.run("DELETE FROM hub.idempotency_keys")
    transport = httpx.ASGITransport(Edge(build_app([router])), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as made:
        yield made


async def things() -> int:
    async with read() as db:
        return await db.value("SELECT count(*) FROM toy.things")


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


async def test_a_repeated_request_answers_the_same_and_does_nothing(client: httpx.AsyncClient) -> None:
    first = await client.post("/v1/things", json={"title": "a"}, headers=key("k"))
    with count_statements() as statements:
        second = await client.post("/v1/things", json={"title": "a"}, headers=key("k"))
    assert done(second, 201) == done(first, 201)
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert statements.count == 1
    assert await things() == 1


async def test_another_body_under_a_key_is_refused(client: httpx.AsyncClient) -> None:
    done(await client.post("/v1/things", json={"title": "a"}, headers=key("k")), 201)
    problem(await client.post("/v1/things", json={"title": "b"}, headers=key("k")), 422, "key-reused")
    problem(await client.post("/v1/things?x=1", json={"title": "a"}, headers=key("k")), 422, "key-reused")
    assert await things() == 1


async def test_keys_are_apart_by_path_and_without_one_nothing_is_kept(client: httpx.AsyncClient) -> None:
    done(await client.post("/v1/things", json={"title": "a"}, headers=key("k")), 201)
    done(await client.post("/v1/twice", json={"title": "a"}, headers=key("k")), 201)
    for _ in range(2):
        done(await client.post("/v1/things", json={"title": "a"}), 201)
    assert await things() == 6


@pytest.mark.parametrize("sent", ["", " ", "x" * 256, "a b", "é"])
async def test_a_malformed_key_is_refused(client: httpx.AsyncClient, sent: str) -> None:
    response = await client.post("/v1/things", json={"title": "a"}, headers=[(b"Idempotency-Key", sent.encode())])
    assert problem(response, 400, "bad-request")["errors"][0]["pointer"] == "/header/idempotency-key"
    assert await things() == 0


async def test_a_twin_of_a_request_in_flight_is_told_to_wait(client: httpx.AsyncClient) -> None:
    steps.go_on.clear()
    first = asyncio.create_task(client.post("/v1/things", json={"title": "a"}, headers=key("k")))
    await asyncio.wait_for(steps.entered.wait(), 5)
    twin = await client.post("/v1/things", json={"title": "a"}, headers=key("k"))
    problem(twin, 409, "key-in-flight")
    assert twin.headers["retry-after"] == "1"
    steps.go_on.set()
    assert done(await client.post("/v1/things", json={"title": "a"}, headers=key("other")), 201) != done(
        await first, 201
    )
    assert await things() == 2


async def test_a_failed_request_keeps_no_key(client: httpx.AsyncClient) -> None:
    steps.fail = True
    problem(await client.post("/v1/things", json={"title": "a"}, headers=key("k")), 409, "conflict")
    steps.fail = False
    done(await client.post("/v1/things", json={"title": "a"}, headers=key("k")), 201)
    assert await things() == 1


async def test_only_the_first_write_of_a_request_claims(client: httpx.AsyncClient) -> None:
    first = done(await client.post("/v1/twice", json={"title": "a"}, headers=key("k")), 201)
    assert done(await client.post("/v1/twice", json={"title": "a"}, headers=key("k")), 201) == first
    assert await things() == 3


async def test_a_route_without_once_takes_no_keys(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        done(await client.post("/v1/secrets", json={"title": "a"}, headers=key("k")), 201)
    assert await things() == 2
    async with read() as db:
        assert await db.value("SELECT count(*) FROM hub.idempotency_keys") == 0


async def test_an_empty_answer_is_replayed_too(client: httpx.AsyncClient) -> None:
    id = done(await client.post("/v1/things", json={"title": "a"}), 201)["id"]
    for replayed in (None, "true"):
        response = await client.delete(f"/v1/things/{id}", headers=key("k"))
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers.get("idempotent-replayed") == replayed


async def test_a_key_counts_for_a_day(client: httpx.AsyncClient) -> None:
    done(await client.post("/v1/things", json={"title": "a"}, headers=key("k")), 201)
    async with write(PLATFORM) as tx:
        await tx.run("UPDATE hub.idempotency_keys SET created_at = now() - interval '25 hours'")
    done(await client.post("/v1/things", json={"title": "b"}, headers=key("k")), 201)
    assert await things() == 2
    async with write(PLATFORM) as tx:
        assert await idempotency.purge(tx) == 0
        await tx.run("UPDATE hub.idempotency_keys SET created_at = now() - interval '25 hours'")
        assert await idempotency.purge(tx) == 1


async def test_neither_key_nor_body_can_be_read_back(client: httpx.AsyncClient) -> None:
    done(await client.post("/v1/things", json={"title": "my password"}, headers=key("my key")), 400)
    done(await client.post("/v1/things", json={"title": "my password"}, headers=key("my-key")), 201)
    async with read() as db:
        rows = await db.rows("SELECT * FROM hub.idempotency_keys")
    assert len(rows) == 1
    assert "my" not in str({name: value for name, value in rows[0].items() if name != "created_at"})
    assert len(rows[0]["key_hash"]) == len(rows[0]["fingerprint"]) == 32


def test_principals_do_not_share_keys() -> None:
    hashes: set[bytes] = set()
    one, other = UserId(new_id()), UserId(new_id())
    for principal in (
        GUEST,
        Principal(kind="person", id=one),
        Principal(kind="person", id=other),
        Principal(kind="service_account", id=one),
        Principal(kind="person", id=one, acting_for=other),
    ):
        idempotency.begin("k", principal=principal, method="POST", path="/v1/x", query=b"", body=b"")
        current = idempotency._key.get()  # pyright: ignore[reportPrivateUsage]
        assert current is not None
        hashes.add(current.hash)
        with idempotency.outside():
            assert idempotency._key.get() is None  # pyright: ignore[reportPrivateUsage]
    idempotency.begin(None, principal=GUEST, method="POST", path="/v1/x", query=b"", body=b"")
    assert len(hashes) == 5


@given(sent=st.lists(st.tuples(st.sampled_from("kl"), st.sampled_from("ab")), min_size=2, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_racing_twins_have_one_effect(client: httpx.AsyncClient, sent: list[tuple[str, str]]) -> None:
    """Send all at once; then for each key exactly one body won, once, and everybody else was told the truth."""
    round_id = new_id().hex
    answers = await asyncio.gather(
        *(client.post("/v1/things", json={"title": body + round_id}, headers=key(k + round_id)) for k, body in sent)
    )
    made = Counter[str]()
    for k in {k for k, _ in sent}:
        ids = {a.json()["id"] for (each, _), a in zip(sent, answers, strict=True) if each == k and a.status_code == 201}
        winners = {b for (each, b), a in zip(sent, answers, strict=True) if each == k and a.status_code == 201}
        assert len(ids) == len(winners) == 1
        made.update(ids)
        for (each, body), answer in zip(sent, answers, strict=True):
            if each == k and body not in winners:
                assert answer.json()["type"] in ("/problems/key-reused", "/problems/key-in-flight")
            elif each == k and answer.status_code != 201:
                problem(answer, 409, "key-in-flight")
    async with read() as db:
        assert await db.value("SELECT count(*) FROM toy.things WHERE title LIKE $1", f"%{round_id}%") == len(made)
