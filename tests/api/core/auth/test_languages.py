"""Letters of auth come in the language of their readers."""

import pytest

from cluster.http.languages import preferred_language
from tests.harness import PASSWORD, Hub, done


async def test_letters_come_in_the_language_of_the_profile(hub: Hub) -> None:
    email = "ada-reads-german@people.example"
    new = {"email": email, "password": PASSWORD, "name": "Ada", "locale": "de-AT"}
    done(await hub.guest.post("/v1/users", new, headers={"Accept-Language": "en"}), 201)
    session = done(await hub.guest.post("/v1/sessions", {"email": email, "password": PASSWORD}), 201)
    ada = {"Authorization": f"Bearer {session['access_token']}"}
    done(await hub.guest.post("/v1/users/me/resend-verification", headers=ada))
    change = {"email": f"new-{email}", "password": PASSWORD}
    done(await hub.guest.post("/v1/users/me/change-email", change, headers=ada))

    first, again = await hub.letters(email)
    [changed] = await hub.letters(f"new-{email}")

    assert {first.subject, again.subject, changed.subject} == {"Bestätigen Sie Ihre E-Mail-Adresse"}


async def test_letters_to_strangers_come_in_the_language_of_the_request(hub: Hub) -> None:
    email = "eve-reads-german@people.example"
    german = {"Accept-Language": "fr;q=0.3, de-CH, en;q=0.9"}
    user = done(
        await hub.guest.post("/v1/users", {"email": email, "password": PASSWORD, "name": "Eve"}, headers=german), 201
    )
    done(await hub.guest.post("/v1/identities/-/forgot", {"email": email}, headers=german), 204)
    await hub.settle()
    done(await hub.guest.post("/v1/identities/-/forgot", {"email": email}), 204)
    await hub.settle()

    subjects = [letter.subject for letter in await hub.letters(email)]

    assert user["locale"] == "de-CH"
    assert subjects == ["Choose a new password", "Wählen Sie ein neues Passwort", "Bestätigen Sie Ihre E-Mail-Adresse"]


@pytest.mark.parametrize(
    ("accepted", "preferred"),
    [
        (None, None),
        ("", None),
        ("*", None),
        ("de;q=0, en;q=0.1", "en"),
        ("en;q=0.8,  de-CH ; q=0.9", "de-CH"),
        ("../../etc, {{ x }}, de", "de"),
        ("x" * 100_000, None),
        ("a," * 50_000 + "de", None),
        ("de;q=nan, en;q=2", None),
    ],
)
def test_preferred_language_is_the_first_of_greatest_weight(accepted: str | None, preferred: str | None) -> None:
    assert preferred_language(accepted) == preferred
