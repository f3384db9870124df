"""Every error is a problem document that says where, which and what to do."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import httpx
import pytest

from cluster.base.ids import new_id
from tests.cluster.http.conftest import client_of, gate, new_edge
from tests.harness import problem


def errors_of(response: httpx.Response) -> list[tuple[str, str]]:
    return [(error["pointer"], error["code"]) for error in response.json()["errors"]]


async def test_all_faults_of_a_body_are_told_at_once(toy: httpx.AsyncClient) -> None:
    response = await toy.post("/v1/things", json={"title": "x" * 21, "small": "many", "colour": 1})
    document = problem(response, 422, "invalid")
    assert errors_of(response) == [
        ("/title", "string-too-long"),
        ("/small", "int-parsing"),
        ("/colour", "extra-forbidden"),
    ]
    assert document["errors"][0] == {
        "pointer": "/title",
        "code": "string-too-long",
        "params": {"max_length": 20},
        "detail": "use at most 20 characters",
    }


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/v1/things?limit=0", "/query/limit"),
        ("/v1/things?limit=101", "/query/limit"),
        ("/v1/things/x", "/path/thing_id"),
    ],
)
async def test_faults_outside_the_body_name_their_place(toy: httpx.AsyncClient, path: str, pointer: str) -> None:
    response = await toy.get(path)
    problem(response, 422, "invalid")
    assert [place for place, _ in errors_of(response)] == [pointer]


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"{", 400, "bad-request"),
        (b"", 422, "invalid"),
        (b"nonsense", 400, "bad-request"),
        (b'{"title": NaN}', 400, "bad-request"),
        (b'{"title": "\xff"}', 400, "bad-request"),
        (b'{"title": "\\ud800"}', 400, "bad-request"),
        (b'{"title": "a\\u0000b"}', 422, "invalid"),
        (b'{"a\\u0000": "b"}', 422, "invalid"),
        (b"[]", 422, "invalid"),
        (b"null", 422, "invalid"),
        (b'"text"', 422, "invalid"),
        (b"[" * 10_000 + b"]" * 10_000, 400, "bad-request"),
        (b'{"title":' + b"[" * 64 + b"]" * 64 + b"}", 400, "bad-request"),
        (b'{"title":' + b"[" * 63 + b"]" * 63 + b"}", 422, "invalid"),
        (b'{"title": "' + b"x" * 1024 * 1024 + b'"}', 413, "too-large"),
    ],
)
async def test_an_unreadable_body_is_refused(toy: httpx.AsyncClient, body: bytes, status: int, slug: str) -> None:
    problem(await toy.post("/v1/things", content=body, headers={"Content-Type": "application/json"}), status, slug)


async def test_a_backslash_before_an_escaped_nul_is_text(toy: httpx.AsyncClient) -> None:
    response = await toy.post("/v1/things", content=b'{"title": "a\\\\u0000b"}')
    assert (response.status_code, response.json()["title"]) == (201, "a\\u0000b")


async def test_a_body_without_length_is_counted(toy: httpx.AsyncClient) -> None:
    taken = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b" " * 65536

    problem(await toy.post("/v1/things", content=chunks()), 413, "too-large")
    assert taken < 30


async def test_a_body_of_another_kind_is_refused(toy: httpx.AsyncClient) -> None:
    response = await toy.post("/v1/things", content=b"title=x", headers={"Content-Type": "text/plain"})
    problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("kind", [None, "application/json", "application/merge-patch+json; charset=utf-8"])
async def test_json_is_taken_under_its_names_and_without_one(toy: httpx.AsyncClient, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    assert (await toy.post("/v1/things", content=b'{"title": "x"}', headers=headers)).status_code == 201


async def test_nul_in_path_and_query_is_refused(toy: httpx.AsyncClient) -> None:
    problem(await toy.get("/v1/things?sort=a%00"), 422, "invalid")
    problem(await toy.get("/v1/things/a%00b"), 422, "invalid")


async def test_unknown_paths_are_not_found(toy: httpx.AsyncClient) -> None:
    problem(await toy.get("/v1/nothing"), 404, "not-found")
    problem(await toy.get("/v1/things/"), 404, "not-found")


async def test_a_wrong_method_names_all_right_ones(toy: httpx.AsyncClient) -> None:
    response = await toy.delete("/v1/things")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, POST"


async def test_a_guest_is_told_how_to_sign_in(toy: httpx.AsyncClient) -> None:
    response = await toy.get("/v1/things/me/private")
    problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == 'Bearer realm="learninghub"'


async def test_a_bug_is_500_and_leaks_nothing(toy: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    response = await toy.get("/v1/things/me/break/bug")
    problem(response, 500, "internal-error")
    assert "1234" not in response.text
    assert "secret: 1234" in caplog.text
    problem(await toy.get("/v1/things/me/break/misuse"), 500)


@pytest.mark.parametrize("how", ["postgres", "refused", "timeout", "cancelled", "pool", "idle"])
async def test_a_server_that_is_away_is_503(toy: httpx.AsyncClient, how: str) -> None:
    response = await toy.get(f"/v1/things/me/break/{how}")
    problem(response, 503, "unavailable")
    assert int(response.headers["retry-after"]) > 0


async def test_a_database_connection_that_breaks_is_503(toy: httpx.AsyncClient) -> None:
    request = asyncio.create_task(toy.get("/v1/things/me/sleep"))
    await asyncio.wait_for(gate.entered.wait(), 5)
    sleeping = "FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    admin = await asyncpg.connect(os.environ["HUB_POSTGRES_URL"])
    while not request.done():
        await admin.execute(f"SELECT pg_terminate_backend(pid) {sleeping}")
        await asyncio.wait([request], timeout=0.05)
    await admin.close()
    problem(await request, 503, "unavailable")
    assert (await toy.get("/v1/things")).status_code == 200


async def test_a_statement_that_takes_too_long_is_503(toy: httpx.AsyncClient) -> None:
    problem(await toy.get("/v1/things/me/timeout"), 503, "unavailable")


async def test_a_route_says_when_it_will_end(toy: httpx.AsyncClient) -> None:
    response = await toy.get("/v1/things/me/old")
    problem(response, 404)
    assert response.headers["deprecation"] == "@1767225600"
    assert response.headers["sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"


async def test_a_number_beyond_the_column_is_422(toy: httpx.AsyncClient) -> None:
    problem(await toy.post("/v1/things", json={"title": "x", "small": 40_000}), 422, "invalid")
    problem(await toy.post("/v1/things", json={"title": "x", "small": 2**70}), 422, "invalid")


async def test_a_constraint_that_nobody_foresaw_is_409(toy: httpx.AsyncClient) -> None:
    assert (await toy.post("/v1/things", json={"title": "twin"})).status_code == 201
    problem(await toy.post("/v1/things", json={"title": "twin"}), 409, "conflict")


async def test_a_mounted_application_that_breaks_answers_a_problem(toy: httpx.AsyncClient) -> None:
    problem(await toy.put("/v1/uploads/broken", content=b"x"), 500, "internal-error")


async def test_a_mounted_application_gets_its_body_unlimited(toy: httpx.AsyncClient) -> None:
    response = await toy.put("/v1/uploads/1/parts/2", content=b"x" * 2 * 1024 * 1024)
    assert (response.status_code, response.text) == (200, str(2 * 1024 * 1024))


async def test_a_problem_carries_the_trace_of_its_request(process: None) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with client_of(new_edge(), traceparent=f"00-{trace_id}-00f067aa0ba902b7-01") as client:
        assert problem(await client.get(f"/v1/things/{new_id()}"), 404)["trace_id"] == trace_id
        first = problem(await client.get("/v1/nothing", headers={"traceparent": "garbage"}), 404)["trace_id"]
        assert first != trace_id
        assert UUID(first).int


async def test_a_problem_is_json_however_odd_its_members(toy: httpx.AsyncClient) -> None:
    response = await toy.patch(f"/v1/things/{new_id()}", json={"at": "not a time"}, headers={"If-Match": '"1"'})
    assert json.loads(response.content)["errors"][0]["pointer"] == "/at"
