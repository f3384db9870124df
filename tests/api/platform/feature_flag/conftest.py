"""People and helpers of the tests of feature_flag."""

from typing import Any

import pytest

from api.core.rbac.contract import RbacCalls
from cluster.people.calls import client
from tests.harness import Hub, Person, done


@pytest.fixture(scope="module")
async def operator(hub: Hub) -> Person:
    """Administrates the platform."""
    person = await hub.person("operator")
    await client(RbacCalls).grant(person.id, "platform_admin", "platform", None, None)
    return person


async def declared(operator: Person, key: str) -> dict[str, Any]:
    """Return a flag that a service declares."""
    [found] = done(await operator.get("/v1/flags", params={"key": key}))["items"]
    return found


async def change(by: Person, flag: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Change a flag whatever its version is."""
    path = f"/v1/flags/{flag['id']}"
    etag = (await by.get(path)).headers["ETag"]
    return done(await by.patch(path, changes, headers={"If-Match": etag}))
