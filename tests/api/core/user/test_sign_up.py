"""Signing up: what is taken, what is refused, and what happens when it breaks off."""

from uuid import UUID

from cluster.ids import new_id
from tests.harness import PASSWORD, Hub, done


def new_email() -> str:
    return f"Ada.{new_id().hex[-12:]}@people.example"


async def test_sign_up_sign_in_and_found_an_organization(hub: Hub) -> None:
    email = new_email()
    user = done(
        await hub.guest.post(
            "/v1/users", {"email": email, "password": PASSWORD, "name": "Ada Lovelace", "locale": "en-GB"}
        ),
        201,
    )
    assert {key: user[key] for key in ("email", "name", "locale", "email_verified")} == {
        "email": email,
        "name": "Ada Lovelace",
        "locale": "en-GB",
        "email_verified": False,
    }
    assert UUID(user["id"]).version == 7

    session = done(await hub.guest.post("/v1/sessions", {"email": email.upper(), "password": PASSWORD}), 201)
    assert session["token_type"] == "Bearer"
    assert session["expires_in"] == 300
    assert session["refresh_token"]

    token = {"Authorization": f"Bearer {session['access_token']}"}
    assert done(await hub.guest.get("/v1/users/me", headers=token)) == user

    slug = f"school-{new_id().hex[-12:]}"
    organization = done(
        await hub.guest.post("/v1/organizations", {"name": "Analytical School", "slug": slug}, headers=token), 201
    )
    assert (organization["name"], organization["slug"]) == ("Analytical School", slug)
    mine = done(await hub.guest.get("/v1/organizations", headers=token))
    assert mine == {"items": [organization], "next_cursor": None}
