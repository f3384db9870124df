"""Enrolling with less than all that one may: as an application, and in a session of one's organization."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from api.learning.course.contract import CourseId, RunId
from api.learning.enrollment import logic
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Forbidden
from tests.api.learning.course.conftest import Draft, draft, published, school
from tests.harness import Hub

__all__ = ["draft", "published", "school"]


async def _enrol(published: Draft, principal: Principal, *, by_course: bool = False) -> str:
    run_id = None if by_course else RunId(UUID(published.course["default_run_id"]))
    course_id = CourseId(UUID(published.id)) if by_course else None
    enrollment, _ = await logic.enrol(principal, run_id=run_id, course_id=course_id, now=datetime.now(UTC))
    return enrollment.state


async def test_a_session_of_one_organization_enrols_in_no_others_course(hub: Hub, published: Draft) -> None:
    person = UserId(new_id())
    elsewhere = Principal(kind="person", id=person, bound_org=OrgId(new_id()))
    here = Principal(kind="person", id=person, bound_org=published.school.org_id)
    for by_course in (False, True):
        with pytest.raises(Forbidden):
            await _enrol(published, elsewhere, by_course=by_course)
    assert await _enrol(published, here) == "active"
    for by_course in (False, True):
        with pytest.raises(Forbidden):
            await _enrol(published, elsewhere, by_course=by_course)
    await hub.settle()


async def test_an_application_enrols_only_when_it_may(hub: Hub, published: Draft) -> None:
    person = UserId(new_id())
    with pytest.raises(Forbidden, match="enrollment:create"):
        await _enrol(published, Principal(kind="person", id=person, scopes=frozenset({"enrollment:read"})))
    allowed = Principal(kind="person", id=person, scopes=frozenset({"enrollment:create"}))
    assert await _enrol(published, allowed) == "active"
    await hub.settle()
