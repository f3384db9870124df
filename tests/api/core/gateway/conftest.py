"""An administrator of the platform, and rules of the door that a test leaves as it found them."""

from collections.abc import AsyncIterator

import pytest

from api.core.rbac.contract import RbacCalls
from cluster.people import door
from cluster.people.calls import client
from tests.harness import Hub, Person, done


@pytest.fixture(scope="module")
async def operator(hub: Hub) -> Person:
    person = await hub.person("operator")
    # The first administrator of a platform comes from its command line.
    await client(RbacCalls).grant(person.id, "platform_admin", "platform", None, None)
    # What tests of other folders left in this database would be told of in answers too.
    await _end_all(person)
    return person


@pytest.fixture
async def tidy(operator: Person) -> AsyncIterator[None]:
    yield
    await _end_all(operator)


async def _end_all(operator: Person) -> None:
    for window in await operator.all("/v1/maintenance-windows", limit=100):
        if window["state"] != "over":
            done(await operator.post(f"/v1/maintenance-windows/{window['id']}/end"))
    for override in await operator.all("/v1/rate-overrides", limit=100):
        done(await operator.post(f"/v1/rate-overrides/{override['id']}/end"))
    for plan in await operator.all("/v1/rate-plans", state="active", limit=100):
        done(await operator.post(f"/v1/rate-plans/{plan['id']}/retire"))
    await door.refresh()
