"""A run with learners and line items, and means to score them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from api.learning.progress.contract import LineItem, NewScore, PostedScore, ProgressCalls, PutLineItem
from cluster.base.ids import UserId, new_id
from cluster.people.calls import client
from tests.api.learning.course.conftest import Draft
from tests.api.learning.progress.conftest import learner_in
from tests.api.media.video_streaming.conftest import Viewer
from tests.harness import Hub, Person, done


@dataclass(frozen=True, slots=True)
class Book:
    """A run's grade book."""

    hub: Hub
    course: Draft

    @property
    def run_id(self) -> str:
        return self.course.course["default_run_id"]

    @property
    def owner(self) -> Person:
        return self.course.owner

    async def learner(self) -> Viewer:
        """Let somebody learn in the run."""
        viewer = await learner_in(self.hub, self.run_id)
        await self.hub.settle()
        return viewer

    async def assistant(self) -> Person:
        """Let somebody assist in the course."""
        person = await self.hub.person("assistant")
        done(await self.owner.put(f"{self.course.path}/staff/{person.id}", {"role": "assistant"}))
        await self.hub.settle()
        await self.hub.broadcasts_arrived()
        return person

    async def item(self, **fields: Any) -> dict[str, Any]:
        """Make a line item by hand."""
        new = {"run_id": self.run_id, "label": "Essay", "score_maximum": 20, "released": True, **fields}
        return done(await self.owner.post("/v1/line-items", new), 201)

    async def change(self, item: dict[str, Any], **changes: Any) -> dict[str, Any]:
        path = f"/v1/line-items/{item['id']}"
        etag = (await self.owner.get(path)).headers["ETag"]
        return done(await self.owner.patch(path, changes, headers={"If-Match": etag}))

    async def enter(self, item: dict[str, Any], learner: Viewer, given: float | None, **fields: Any) -> dict[str, Any]:
        """Enter a score by hand."""
        new = {"line_item_id": item["id"], "enrollment_id": learner.enrollment_id, "score_given": given, **fields}
        return done(await self.owner.post("/v1/scores", new), 201)

    async def service_item(self, **fields: Any) -> LineItem:
        """Put the line item of a quiz."""
        wanted: dict[str, Any] = {
            "course_id": UUID(self.course.id),
            "run_id": UUID(self.run_id),
            "service": "assessment",
            "resource_id": new_id(),
            "label": "Quiz",
            "score_maximum": Decimal(10),
            "released": True,
        }
        return await client(ProgressCalls).put_line_item(PutLineItem(**wanted | fields))


def made(item: LineItem, learner: Viewer, given: str | None, **fields: Any) -> NewScore:
    """Make a score as a service posts it."""
    new: dict[str, Any] = {
        "line_item_id": item.id,
        "user_id": UserId(learner.person.id),
        "source_id": new_id(),
        "scored_at": datetime.now(UTC),
        "score_given": None if given is None else Decimal(given),
    }
    return NewScore(**new | fields)


async def post(*scores: NewScore, service: str = "assessment") -> list[PostedScore]:
    return await client(ProgressCalls).post_scores(service, list(scores))


async def own(learner: Viewer, run_id: str) -> list[tuple[str, float | None]]:
    """Return what a learner sees of their scores, newest first."""
    items = await learner.person.all("/v1/scores", run_id=run_id)
    return [(each["label"], each["result_score"]) for each in items]
