"""The demo school's people and organization, made through the API and made once."""

import httpx

from api.core.organization import seed as organizations
from api.core.user import seed as people
from cluster.base.ids import new_id
from cluster.seed import DemoPerson, School
from tests.harness import Hub, done


async def test_the_demo_school_is_made_once(hub: Hub) -> None:
    mark = new_id().hex[-12:]

    def person(name: str) -> DemoPerson:
        transport = httpx.ASGITransport(app=hub.host)
        return DemoPerson(
            f"{name}-{mark}@school.example",
            name.title(),
            httpx.AsyncClient(transport=transport, base_url="http://hub.test"),
        )

    school = School(person("ada"), person("grace"), person("alan"))
    for _ in range(2):
        await people.seed(school)
        await organizations.seed(school)
    here = {"organization_id": school.made["organization"]}
    members = done(await school.owner.client.get("/v1/members", params=here))["items"]
    assert {member["user_id"] for member in members} == {school.owner.id, school.teacher.id}
    assert done(await school.learner.client.get("/v1/organizations"))["items"] == []
