"""A service token names the host that calls, and the trail of what the call did names it too."""

from dataclasses import replace

import jwt
import msgspec
import pytest

from cluster.base import secrets
from cluster.base.ids import OrgId, new_id
from cluster.base.settings import settings
from cluster.people import identity
from cluster.people.identity import InvalidToken
from tests.harness import Hub, done

ROUTE = "/v1/roles/-/calls/grant"


async def grant(hub: Hub, token: str, org_id: OrgId) -> str:
    """Call rbac as another host would, and return the service that the event names."""
    arguments = {
        "user_id": new_id(),
        "role": "instructor",
        "scope": "organization",
        "scope_id": org_id,
        "org_id": org_id,
        "granted_by": None,
    }
    before = {event.id for event in await hub.events("grant.created")}
    answer = await hub.guest.client.post(
        ROUTE, content=msgspec.msgpack.encode(arguments), headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 200, answer.text
    (event,) = [event for event in await hub.events("grant.created") if event.id not in before]
    return str(event.actor.service)


async def test_a_call_from_another_host_is_told_as_its_services(hub: Hub) -> None:
    school = await hub.school()

    alone = await grant(hub, identity.issue_service_token("rbac", ("course",)), school.org_id)
    packed = await grant(hub, identity.issue_service_token("rbac", ("content", "course")), school.org_id)

    assert (alone, packed) == ("course", "content,course")


async def test_the_audit_trail_names_the_calling_service(hub: Hub) -> None:
    school = await hub.school()
    await grant(hub, identity.issue_service_token("rbac", ("course",)), school.org_id)
    await hub.settle()

    entries = done(await school.owner.get("/v1/audit-entries", params={"organization_id": str(school.org_id)}))["items"]

    granted = [
        entry["actor"] for entry in entries if entry["action"] == "grant.created" and entry["actor"].get("service")
    ]
    assert "course" in [actor["service"] for actor in granted]


def test_a_service_token_is_verified_over_a_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    former = settings()
    (id, secret) = next(iter(former.secrets.items()))
    token = identity.issue_service_token("course", ("media",))
    rotated = replace(former, secrets={"2": "n" * 40, id: secret})
    monkeypatch.setattr(secrets, "settings", lambda: rotated)
    monkeypatch.setattr(identity, "_issued", {})

    newer = identity.issue_service_token("course", ("media",))
    assert jwt.get_unverified_header(newer)["kid"] == "2"
    assert [identity.verify_service_token(each, "course") for each in (token, newer)] == [("media",), ("media",)]

    monkeypatch.setattr(secrets, "settings", lambda: replace(former, secrets={"2": "n" * 40}))
    with pytest.raises(InvalidToken):
        identity.verify_service_token(token, "course")
