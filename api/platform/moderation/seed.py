"""The demo school's rule: one that holds advertising for a moderator."""

from cluster.seed import School, made

AFTER = ("user", "organization")
_SPAM = "01930000-0000-7000-8000-000000000008"
_LABEL = "Advertising"


async def seed(school: School) -> None:
    here = {"organization_id": school.made["organization"]}
    owner = school.owner.client
    rules = await made(await owner.get("/v1/moderation-rules", params=here))
    if any(rule["label"] == _LABEL for rule in rules["items"]):
        return
    rule = {
        **here,
        "clause_id": _SPAM,
        "kind": "words",
        "effect": "hold",
        "label": _LABEL,
        "entries": ["cheap watches", "get rich quick"],
        "state": "active",
    }
    await made(await owner.post("/v1/moderation-rules", json=rule))
