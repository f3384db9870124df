"""Projections: each can be filled from a snapshot, ends there as it would have by events, and ignores old news."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from actors import resync
from api.learning.content.contract import FrozenId, OutlineChanged
from api.learning.course.contract import CourseChanged, CourseId, RunChanged, RunId
from api.learning.enrollment.contract import EnrollmentChanged, EnrollmentId
from cluster import events
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.registry import load
from cluster.base.services import table
from cluster.data import Connection, read
from cluster.data.postgres import pool
from cluster.events import Snapshots, snapshots
from cluster.events.subscriptions import delete_subscriptions, subscriptions
from cluster.people.calls import answerers
from tests.api.learning.course.conftest import Draft, draft, published, school
from tests.harness import Hub, done

__all__ = ["draft", "published", "school"]

PROJECTED = {
    "rbac": "SELECT scope, scope_id, org_id FROM rbac.places WHERE org_id = $1 AND scope IN ('course', 'run')",
    "media": "SELECT id, kind, course_id, org_id FROM media.places WHERE org_id = $1",
    "content courses": """SELECT course_id, org_id, revision, frozen_id, visibility, archived
        FROM content.courses WHERE org_id = $1""",
    "content runs": """SELECT run_id, course_id, org_id, starts_at, ends_at, pinned_revision, pinned_frozen_id
        FROM content.runs WHERE org_id = $1""",
    "course learners": """SELECT c.course_id, c.enrollment_id, c.active, k.learners
        FROM course.learner_counts c JOIN course.catalog k USING (course_id) WHERE k.org_id = $1""",
    "course outlines": "SELECT id, outline_version FROM course.courses WHERE org_id = $1",
    "enrollment members": "SELECT user_id, shut_out FROM enrollment.members WHERE org_id = $1",
    "enrollment organizations": "SELECT suspended FROM enrollment.organizations WHERE org_id = $1",
    "progress": """SELECT enrollment_id, course_id, run_id, user_id, learns FROM progress.learners WHERE org_id = $1""",
}
"""What services copied of others' state, without the versions: a snapshot may have newer ones."""
FORGET = (
    "DELETE FROM rbac.places WHERE org_id = $1 AND scope IN ('course', 'run')",
    "DELETE FROM media.places WHERE org_id = $1",
    "DELETE FROM content.courses WHERE org_id = $1",
    "DELETE FROM content.runs WHERE org_id = $1",
    "DELETE FROM course.learner_counts WHERE course_id IN (SELECT id FROM course.courses WHERE org_id = $1)",
    "UPDATE course.catalog SET learners = 0 WHERE org_id = $1",
    "UPDATE course.courses SET outline_version = 0 WHERE org_id = $1",
    "DELETE FROM enrollment.members WHERE org_id = $1",
    "DELETE FROM enrollment.organizations WHERE org_id = $1",
    "DELETE FROM progress.learners WHERE org_id = $1",
)


async def projected(org_id: OrgId) -> dict[str, list[tuple[Any, ...]]]:
    async with read() as db:
        return {
            name: sorted(tuple(map(str, row)) for row in await db.rows(sql, org_id)) for name, sql in PROJECTED.items()
        }


@pytest.fixture
async def life(hub: Hub, published: Draft) -> Draft:
    """A school whose courses and learners have been through everything that a projection shows."""
    owner, run_id = published.owner, published.course["default_run_id"]
    run = await owner.get(f"/v1/runs/{run_id}")
    pin = {"pinned_revision": 1, "starts_at": "2031-05-04T00:00:00Z"}
    done(await owner.patch(f"/v1/runs/{run_id}", pin, headers={"If-Match": run.headers["ETag"]}))
    for fate in ("stays", "leaves", "is kept out"):
        learner = await hub.person("learner")
        enrolled = done(await learner.post("/v1/enrollments", {"course_id": published.id}), 201)
        if fate == "leaves":
            done(await learner.post(f"/v1/enrollments/{enrolled['id']}/cancel"))
        elif fate == "is kept out":
            done(await owner.post(f"/v1/enrollments/{enrolled['id']}/suspend"))
    body = {"organization_id": str(published.school.org_id), "title": "Old", "summary": "Gone.", "language": "en"}
    archived = done(await owner.post("/v1/courses", body), 201)
    done(await owner.post(f"/v1/courses/{archived['id']}/archive"))
    await hub.settle()
    return published


def test_every_projected_type_is_in_the_snapshot_of_its_source(hub: Hub) -> None:
    load(table(), "handlers", "snapshots")

    wanted = {each.type for each in subscriptions(table())}

    assert wanted == {
        "course.changed",
        "enrollment.changed",
        "member.updated",
        "organization.updated",
        "outline.changed",
        "run.changed",
    }
    assert wanted - snapshots.told_types() == set()
    for type in wanted:
        declared = events.event_type(type)
        assert declared is not None
        assert declared.service in answerers(Snapshots)


async def test_a_service_that_joins_late_ends_equal_to_one_from_the_start(
    hub: Hub, life: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync, "PAGE", 2)
    org_id = life.school.org_id
    from_the_start = await projected(org_id)
    async with pool().acquire() as raw:
        for sql in FORGET:
            await Connection(raw).run(sql, org_id)
        for service in table():
            await delete_subscriptions(Connection(raw), service, None)
    forgotten = await projected(org_id)

    added = await resync.subscribe(tuple(table()))
    await hub.settle()

    assert {each.consumer for each in added} == {"content", "course", "enrollment", "media", "progress", "rbac"}
    assert all(from_the_start.values())
    assert forgotten != from_the_start
    assert await projected(org_id) == from_the_start


async def test_old_news_changes_no_projection(hub: Hub, life: Draft) -> None:
    """The news says something else than the present state, so that a projection that believes it is found out."""
    org_id, course_id = life.school.org_id, CourseId(UUID(life.id))
    before = await projected(org_id)

    for event in old_news(org_id, course_id, before):
        await hub.old_news(event, 0 if isinstance(event, OutlineChanged) else 1)

    assert await projected(org_id) == before


def old_news(org_id: OrgId, course_id: CourseId, before: dict[str, list[tuple[Any, ...]]]) -> Iterator[object]:
    yield CourseChanged(course_id=course_id, org_id=org_id, revision=7, frozen_id=FrozenId(new_id()), archived=True)
    yield OutlineChanged(course_id=course_id, org_id=org_id, outline_version=0)
    for run_id, course, *_ in before["content runs"]:
        yield RunChanged(run_id=RunId(UUID(run_id)), course_id=CourseId(UUID(course)), org_id=org_id, pinned_revision=7)
    for enrollment_id, course, run_id, user_id, learns in before["progress"]:
        changed = EnrollmentChanged(
            enrollment_id=EnrollmentId(UUID(enrollment_id)),
            org_id=org_id,
            course_id=UUID(course),
            run_id=UUID(run_id),
            user_id=UserId(UUID(user_id)),
            state="cancelled",
        )
        yield changed if learns == "True" else replace(changed, state="active")
