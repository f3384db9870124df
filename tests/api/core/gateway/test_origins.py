"""Origins whose pages may ask: who registers them, and what is no origin."""

import pytest

from api.core.gateway.cors_origin import logic
from api.core.gateway.cors_origin.rules import origin_of
from cluster.base.problems import Invalid
from tests.harness import Hub, Person, done, problem


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("HTTPS://Learn.School.Example/", "https://learn.school.example"),
        ("https://learn.school.example:443", "https://learn.school.example"),
        ("https://bücher.example:8443", "https://xn--bcher-kva.example:8443"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("https://[2001:DB8:0::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(text: str, origin: str) -> None:
    assert origin_of(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "*",
        "https://*.example",
        "http://school.example",
        "https://a.example/x",
        "https://u@a.example",
        "https://a:b",
        "https://a b.example",
        "https://a.example\x7f",
        "https://a.example,b.example",
        "https://[v1.a]",
        "https://a..example",
    ],
)
def test_what_is_no_origin_is_rejected(text: str) -> None:
    with pytest.raises(Invalid):
        origin_of(text)


async def test_an_organization_registers_origins_and_removes_them(
    hub: Hub, operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    school, rival = await hub.school(), await hub.school()
    new = {"organization_id": str(school.org_id), "origin": "https://learn.school.example"}

    made = done(await school.owner.post("/v1/cors-origins", new), 201)
    again = await school.owner.post("/v1/cors-origins", new)
    with_cookies = await school.owner.post(
        "/v1/cors-origins", new | {"origin": "https://a.example", "credentials": True}
    )
    by_staff = await operator.post("/v1/cors-origins", new | {"origin": "https://a.example", "credentials": True})
    monkeypatch.setattr(logic, "MOST_ORIGINS", 2)
    too_many = await school.owner.post("/v1/cors-origins", new | {"origin": "https://b.example"})
    path = f"/v1/cors-origins/{made['id']}"
    hidden = await rival.owner.get(path)
    listed = done(await school.owner.get("/v1/cors-origins"))["items"]
    removed = await school.owner.delete(path)

    problem(again, 409, "cors-origin-taken")
    problem(with_cookies, 403)
    assert done(by_staff, 201)["credentials"] is True
    problem(too_many, 409, "too-many-cors-origins")
    problem(hidden, 404)
    assert [each["origin"] for each in listed] == ["https://a.example", "https://learn.school.example"]
    assert removed.status_code == 204
    problem(await school.owner.get(path), 404, "cors-origin-not-found")
    await hub.settle()
