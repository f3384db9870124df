"""What tests of the core services share."""

from collections.abc import Awaitable, Callable

import pytest

from tests.harness import Hub, Person, done


@pytest.fixture
def verified(hub: Hub) -> Callable[[str], Awaitable[Person]]:
    """Make somebody new who has verified their address."""

    async def make(name: str) -> Person:
        person = await hub.person(name)
        done(await person.post("/v1/users/me/verify-email", {"token": (await hub.letters(person.email))[0].token}))
        return person

    return make
