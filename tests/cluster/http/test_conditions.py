"""Edited together: ETag, If-Match and merge patches."""

import httpx
import pytest

from tests.harness import done, problem


async def a_thing(toy: httpx.AsyncClient, small: int | None = 7) -> str:
    return f"/v1/things/{done(await toy.post('/v1/things', json={'title': 'first', 'small': small}), 201)['id']}"


async def test_a_change_needs_the_version_it_starts_from(toy: httpx.AsyncClient) -> None:
    path = await a_thing(toy)
    problem(await toy.patch(path, json={"title": "second"}), 428, "precondition-required")
    changed = await toy.patch(path, json={"title": "second"}, headers={"If-Match": '"1"'})
    assert done(changed)["title"] == "second"
    assert changed.headers["etag"] == '"2"'
    stale = await toy.patch(path, json={"title": "third"}, headers={"If-Match": '"1"'})
    assert problem(stale, 412, "stale")["current_version"] == 2
    assert stale.headers["etag"] == '"2"'
    assert done(await toy.get(path))["title"] == "second"


@pytest.mark.parametrize("sent", ["*", "7", 'W/"7"', '"7", "8"', '"-1"', '"07"', '""', '"9999999999999999999999"', "x"])
async def test_a_malformed_if_match_is_refused(toy: httpx.AsyncClient, sent: str) -> None:
    response = await toy.patch(await a_thing(toy), json={}, headers={"If-Match": sent})
    assert problem(response, 400, "bad-request")["errors"][0]["pointer"] == "/header/if-match"


async def test_null_clears_absent_keeps(toy: httpx.AsyncClient) -> None:
    path = await a_thing(toy)
    kept = done(await toy.patch(path, json={}, headers={"If-Match": '"1"'}))
    assert (kept["title"], kept["small"]) == ("first", 7)
    cleared = await toy.patch(
        path,
        content=b'{"small": null}',
        headers={"If-Match": '"2"', "Content-Type": "application/merge-patch+json"},
    )
    assert (done(cleared)["title"], done(cleared)["small"]) == ("first", None)


async def test_null_for_what_cannot_be_cleared_is_refused(toy: httpx.AsyncClient) -> None:
    response = await toy.patch(await a_thing(toy), json={"title": None}, headers={"If-Match": '"1"'})
    assert problem(response, 422, "invalid")["errors"] == [
        {"pointer": "/title", "code": "string-type", "params": {}, "detail": "send a text"}
    ]
