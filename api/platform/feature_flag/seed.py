"""The demo school's flag: something new for a quarter of those who ask.

There is no experiment: results come from what many people did, and nobody did anything there yet.
"""

from cluster.seed import School, made

AFTER = ("user", "organization")
_KEY = "new-outline"


async def seed(school: School) -> None:
    here = {"organization_id": school.made["organization"]}
    owner = school.owner.client
    flags = await made(await owner.get("/v1/flags", params={**here, "key": _KEY}))
    flag = next(iter(flags["items"]), None)
    if flag is None:
        new = {
            **here,
            "key": _KEY,
            "title": "The new outline",
            "owner": "learning",
            "owner_id": school.owner.id,
            "public": True,
            "rules": [{"name": "A quarter", "percent": 25.0, "serve": [{"variant": "on"}]}],
        }
        flag = await made(await owner.post("/v1/flags", json=new))
    if flag["state"] == "draft":
        await made(await owner.post(f"/v1/flags/{flag['id']}/launch"))
    school.made["flag"] = flag["id"]
