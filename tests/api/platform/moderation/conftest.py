"""A school whose texts are moderated, and the people who report, judge and appeal."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.learning.course.conftest import Draft, draft, new_course, published, school
from tests.harness import Hub, Person, School, done

__all__ = ["draft", "new_course", "published", "school"]

HARASSMENT = "01930000-0000-7000-8000-000000000003"
SPAM = "01930000-0000-7000-8000-000000000008"


@dataclass(frozen=True, slots=True)
class Court:
    """A published course that somebody reports, and two who judge in its organization."""

    hub: Hub
    draft: Draft
    first: Person
    second: Person

    @property
    def author(self) -> Person:
        return self.draft.owner

    @property
    def org_id(self) -> str:
        return str(self.draft.school.org_id)

    async def report(self, by: Person | None = None, clause_id: str = HARASSMENT) -> dict[str, Any]:
        by = by or await self.hub.person("reporter")
        new = {"kind": "course", "thing_id": self.draft.id, "clause_id": clause_id, "text": "It insults us."}
        return done(await by.post("/v1/moderation-reports", new), 201)

    async def case_id(self) -> str:
        """Return the case of the course."""
        params = {"organization_id": self.org_id, "decided": True}
        [case] = done(await self.first.get("/v1/moderation-cases", params=params))["items"]
        return case["id"]

    async def decide(self, *actions: str, by: Person | None = None, **fields: Any) -> dict[str, Any]:
        """Take the case and judge it."""
        by, case_id = by or self.first, await self.case_id()
        done(await by.post(f"/v1/moderation-cases/{case_id}/lease"))
        new = {
            "case_id": case_id,
            "actions": list(actions),
            "clause_id": HARASSMENT,
            "facts": "The summary insults a class.",
            **fields,
        }
        decision = done(await by.post("/v1/moderation-decisions", new), 201)
        await self.hub.settle()
        return decision

    async def appeal(self, decision_id: str) -> str:
        new = {"decision_id": decision_id, "text": "It quotes a novel."}
        return done(await self.author.post("/v1/appeals", new), 201)["id"]


async def moderator(hub: Hub, school: School, name: str = "judge") -> Person:
    person = await hub.person(name)
    grant = {
        "user_id": str(person.id),
        "role": "moderator",
        "scope": "organization",
        "organization_id": str(school.org_id),
    }
    done(await school.owner.post("/v1/grants", grant), 201)
    return person


@pytest.fixture
async def court(hub: Hub, published: Draft) -> Court:
    first = await moderator(hub, published.school)
    second = await moderator(hub, published.school, "appellate")
    return Court(hub, published, first, second)


async def new_rule(school: School, *entries: str, effect: str = "refuse", **fields: Any) -> dict[str, Any]:
    rule = {
        "organization_id": str(school.org_id),
        "clause_id": HARASSMENT,
        "kind": "words",
        "effect": effect,
        "label": "Insults",
        "entries": list(entries),
        "state": "active",
        **fields,
    }
    return done(await school.owner.post("/v1/moderation-rules", rule), 201)
