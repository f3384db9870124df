"""What tests of the core services share."""

from collections.abc import Awaitable, Callable

import pytest

from tests.harness import Hub, Person, done

Mails = Callable[[str], Awaitable[list[dict[str, str]]]]


@pytest.fixture
def mails(hub: Hub) -> Mails:
    """Read the letters to an address, newest first."""

    async def read(to: str) -> list[dict[str, str]]:
        page = done(await hub.guest.get("/v1/identities/-/mails", params={"limit": 100}))
        return [letter for letter in page["items"] if letter["to"] == to]

    return read


@pytest.fixture
def verified(hub: Hub, mails: Mails) -> Callable[[str], Awaitable[Person]]:
    """Make somebody new who has verified their address."""

    async def make(name: str) -> Person:
        person = await hub.person(name)
        token = (await mails(person.email))[0]["token"]
        done(await person.post("/v1/users/me/verify-email", {"token": token}))
        return person

    return make
