"""The demo school's organization: its owner, and its teacher as a member."""

from cluster.seed import School, made

AFTER = ("user",)
SLUG = "demo-school"


async def seed(school: School) -> None:
    owner = school.owner.client
    found = await made(await owner.get("/v1/organizations", params={"slug": SLUG}))
    if found["items"]:
        organization = found["items"][0]
    else:
        organization = await made(await owner.post("/v1/organizations", json={"name": "Demo School", "slug": SLUG}))
    school.made["organization"] = organization["id"]
    here = {"organization_id": organization["id"]}
    members = await made(await owner.get("/v1/members", params={**here, "user_id": school.teacher.id}))
    if not members["items"]:
        invitation = await made(await owner.post("/v1/invitations", json=here))
        await made(await school.teacher.client.post("/v1/invitations/-/accept", json={"token": invitation["token"]}))
