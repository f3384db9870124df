import asyncio
import base64
import re

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from api.core.gateway import logic
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.base.services import Service, table
from cluster.data import write
from cluster.jobs import operations
from cluster.people import calls
from tests.harness import PASSWORD, Hub, done, problem


@pytest.mark.parametrize("path", ["/", "/docs", "/problems/", "/problems/slug-taken"])
async def test_pages_ask_no_other_address_for_anything(hub: Hub, path: str) -> None:
    page = await hub.guest.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert re.findall(r"(?:src|href)=[\"'](?:https?:)?//", page.text) == []


async def test_the_docs_page_has_everything_it_loads(hub: Hub) -> None:
    page = (await hub.guest.get("/docs")).text
    assets = re.findall(r"(?:src|href)=\"(/docs/[^\"]+)\"", page)
    assert len(assets) == 3
    for asset in assets:
        assert (await hub.guest.get(asset)).status_code == 200, asset
    problem(await hub.guest.get("/docs/nothing.js"), 404)


async def test_the_api_document_is_compressed_for_who_takes_it(hub: Hub) -> None:
    plain = await hub.guest.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    zipped = await hub.guest.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert done(plain) == done(zipped)
    assert plain.json()["openapi"].startswith("3.1")
    assert zipped.headers["content-encoding"] == "gzip"


async def test_a_problem_leads_to_its_explanation(hub: Hub) -> None:
    refused = problem(await hub.guest.get("/v1/users/me"), 401)
    explained = await hub.guest.get(refused["type"])
    assert explained.status_code == 200
    assert "Sign in first" in explained.text
    problem(await hub.guest.get("/problems/never-heard-of"), 404, "problem-type-not-found")


async def test_access_tokens_verify_with_the_published_keys(hub: Hub) -> None:
    person = await hub.person()
    session = done(await hub.guest.post("/v1/sessions", {"email": person.email, "password": PASSWORD}), 201)
    keys = done(await hub.guest.get("/.well-known/jwks.json"))["keys"]
    kid = jwt.get_unverified_header(session["access_token"])["kid"]
    key = next(key for key in keys if key["kid"] == kid)
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "=="))
    claims = jwt.decode(session["access_token"], public, algorithms=["EdDSA"], options={"verify_aud": False})
    assert claims["sub"] == str(person.id)


async def test_the_directory_lists_every_service_with_its_health(hub: Hub) -> None:
    listed = done(await hub.guest.get("/v1/gateway/-/services"))["items"]
    assert {each["name"]: each["health"] for each in listed} == dict.fromkeys(table(), "healthy")


async def test_a_service_that_does_not_answer_is_unhealthy(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logic, "_last_check", None)
    monkeypatch.setattr(calls, "_hosted", set(table()) - {"audit"})
    monkeypatch.setattr(calls, "_base", lambda _service: "http://127.0.0.1:9")  # pyright: ignore[reportUnknownLambdaType]
    listed = done(await hub.guest.get("/v1/gateway/-/services"))["items"]
    assert [each["name"] for each in listed if each["health"] == "unhealthy"] == ["audit"]


async def test_guests_who_ask_together_cost_one_round(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def answers(service: Service, _limit_s: float) -> bool:
        asked.append(service.name)
        await asyncio.sleep(0)
        return True

    monkeypatch.setattr(logic, "_last_check", None, raising=False)
    monkeypatch.setattr(calls, "is_healthy", answers)
    await asyncio.gather(*(hub.guest.get("/v1/gateway/-/services") for _ in range(10)))
    assert sorted(asked) == sorted(table())


async def test_an_operation_is_seen_and_cancelled_by_its_owner_alone(hub: Hub) -> None:
    school = await hub.school()
    stranger = await hub.person()
    async with write(PLATFORM) as tx:
        id = await operations.start(tx, "test.long", owner_id=school.owner.id, org_id=school.org_id, total=3)
    path = f"/v1/operations/{id}"
    assert done(await school.owner.get(path))["state"] == "queued"
    problem(await stranger.get(path), 404)
    problem(await stranger.post(f"{path}/cancel"), 404)
    problem(await hub.guest.get(path), 401)
    done(await school.owner.post(f"{path}/cancel"))
    async with write(PLATFORM) as tx:
        assert await operations.progress(tx, id, 1) is True
        await operations.cancelled(tx, id)
    problem(await school.owner.post(f"{path}/cancel"), 409, "operation-finished")
    problem(await school.owner.get(f"/v1/operations/{new_id()}"), 404)


async def test_operations_are_listed_for_their_owner_and_the_administrators(hub: Hub) -> None:
    school, person, stranger = await hub.school(), await hub.person(), await hub.person()
    async with write(PLATFORM) as tx:
        ours = [await operations.start(tx, "test.long", owner_id=person.id, org_id=school.org_id) for _ in range(3)]
        await operations.start(tx, "test.long", owner_id=stranger.id)
        await operations.succeed(tx, ours[1])

    own = done(await person.get("/v1/operations"))["items"]
    page = done(await school.owner.get("/v1/operations?limit=2"))
    rest = done(await school.owner.get(f"/v1/operations?limit=2&cursor={page['next_cursor']}"))
    ended = done(await person.get("/v1/operations?state=succeeded,failed"))["items"]

    newest_first = [str(id) for id in reversed(ours)]
    assert [each["id"] for each in own] == newest_first
    assert [each["id"] for each in (*page["items"], *rest["items"])] == newest_first
    assert [(each["id"], each["state"]) for each in ended] == [(str(ours[1]), "succeeded")]
    assert len(done(await stranger.get("/v1/operations"))["items"]) == 1
    problem(await hub.guest.get("/v1/operations"), 401)
