"""People are found by name, by those who may see the members of their organization."""

import pytest

from tests.api.analytics.search.searching import Found
from tests.harness import Hub, Person, School, done

pytestmark = pytest.mark.timeout(300)


async def join(found: Found, school: School, person: Person) -> str:
    """Make somebody a member; return the membership's id."""
    new = {"organization_id": str(school.org_id)}
    token = done(await school.owner.post("/v1/invitations", new), 201)["token"]
    done(await person.post("/v1/invitations/-/accept", {"token": token}))
    await found.settle()
    query = f"/v1/members?organization_id={school.org_id}&user_id={person.id}"
    return done(await school.owner.get(query))["items"][0]["id"]


async def named(person: Person, name: str) -> str:
    """Give somebody a name; return their address."""
    me = await person.get("/v1/users/me")
    done(await person.patch("/v1/users/me", {"name": name}, headers={"If-Match": me.headers["etag"]}))
    return me.json()["email"]


async def people(found: Found, person: Person, q: str) -> list[str]:
    return await found.ids(person, q, kind="person")


async def test_members_are_found_by_name_by_who_may_list_them(hub: Hub, found: Found) -> None:
    school, elsewhere = await hub.school(), await hub.school()
    pupil, other, stranger = await hub.person("pupil"), await hub.person("other"), await hub.person("stranger")
    address = await named(pupil, "Wilhelmina Zażółć")
    member = await join(found, school, pupil)
    await join(found, school, other)

    (hit,) = (await found.ask(school.owner, "wilhelmina", kind="person"))["items"]

    assert (hit["id"], hit["title"], hit["passages"]) == (member, "Wilhelmina Zażółć", [])
    assert hit["url"] == f"/organizations/{school.org_id}/members/{member}"
    assert await people(found, school.owner, "zazolc") == [member]
    assert await people(found, school.owner, "wilhelmine") == [member]
    assert await people(found, pupil, "wilhelmina") == [member]
    nobody = (other, stranger, elsewhere.owner, hub.guest)
    assert [await people(found, each, "wilhelmina") for each in nobody] == [[], [], [], []]
    assert [await people(found, school.owner, f'"{part}"') for part in (address, address.partition("@")[0])] == [[], []]

    await named(pupil, "Brunhilde")
    await found.settle()
    assert [await people(found, school.owner, q) for q in ("wilhelmina", "brunhilde")] == [[], [member]]


async def test_who_is_suspended_left_or_erased_is_not_found(hub: Hub, found: Found) -> None:
    school = await hub.school()
    pupil = await hub.person("pupil")
    await named(pupil, "Ethelfrieda")
    member = await join(found, school, pupil)
    assert await people(found, school.owner, "ethelfrieda") == [member]

    done(await school.owner.post(f"/v1/members/{member}/suspend"))
    await found.settle()
    assert await people(found, school.owner, "ethelfrieda") == []
    done(await school.owner.post(f"/v1/members/{member}/reactivate"))
    await found.settle()
    assert await people(found, school.owner, "ethelfrieda") == [member]

    await hub.erased(pupil.id, "user")
    await hub.erased(pupil.id, "organization")
    await found.settle()

    assert await people(found, school.owner, "ethelfrieda") == []
    await hub.run_cron("search.keep")
    await found.settle()
    assert await people(found, school.owner, "ethelfrieda") == []
