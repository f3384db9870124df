from typing import Any
from uuid import UUID

import pytest

from api.learning.course.catalog import kept
from api.learning.course.contract import CourseCalls, CourseId, Published
from api.learning.enrollment.contract import EnrollmentChanged, EnrollmentId, State
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.events import envelope_of, inbox
from cluster.people import relations
from cluster.people.access import Reach
from cluster.people.calls import client
from tests.api.learning.course.conftest import Draft, add_lesson, new_course
from tests.harness import Hub, School, done, problem


async def _publish(hub: Hub, school: School, **fields: object) -> str:
    course = await new_course(school, **fields)
    await add_lesson(school.owner, course["id"], "# Text")
    done(await school.owner.post(f"/v1/courses/{course['id']}/publish"))
    return course["id"]


async def test_the_catalogue_filters_by_category_tag_language_and_counts_facets(hub: Hub, school: School) -> None:
    maths = await _publish(hub, school, title="Maths", categories=["mathematics"], tags=["sums"])
    art = await _publish(hub, school, title="Kunst", categories=["arts"], tags=["sums", "ink"], language="de")
    mine = {"organization_id": str(school.org_id)}

    async def ids(**filters: str) -> list[str]:
        return [c["id"] for c in done(await hub.guest.get("/v1/catalog", params=mine | filters))["items"]]

    assert await ids() == [art, maths]
    assert await ids(category="mathematics") == [maths]
    assert await ids(tag="ink") == [art]
    assert await ids(tag="sums", language="de") == [art]
    facets = done(await hub.guest.get("/v1/catalog/-/facets", params=mine))
    assert facets["tags"] == [{"value": "sums", "courses": 2}, {"value": "ink", "courses": 1}]
    assert {facet["value"] for facet in facets["languages"]} == {"de", "en"}


async def test_unlisted_is_found_by_id_only_and_organization_only_by_members(hub: Hub, school: School) -> None:
    unlisted = await _publish(hub, school, visibility="unlisted")
    internal = await _publish(hub, school, visibility="organization")
    mine = {"organization_id": str(school.org_id)}
    assert done(await hub.guest.get("/v1/catalog", params=mine))["items"] == []
    done(await hub.guest.get(f"/v1/catalog/{unlisted}"))
    stranger = await hub.person("stranger")
    problem(await stranger.get(f"/v1/catalog/{internal}"), 404)
    assert done(await stranger.get("/v1/catalog", params=mine))["items"] == []
    done(await school.owner.get(f"/v1/catalog/{internal}"))
    assert [c["id"] for c in done(await school.owner.get("/v1/catalog", params=mine))["items"]] == [internal]


async def test_learners_are_counted_once_whatever_the_order_of_the_news(hub: Hub, published: Draft) -> None:
    enrollment_id = EnrollmentId(new_id())
    fields: dict[str, Any] = {
        "enrollment_id": enrollment_id,
        "org_id": published.school.org_id,
        "course_id": CourseId(UUID(published.id)),
        "run_id": UUID(published.course["default_run_id"]),
        "user_id": published.owner.id,
    }

    async def learners(version: int, state: State) -> int:
        changed = EnrollmentChanged(**fields, state=state)
        await inbox.receive("course", [envelope_of(changed, version=version, id=new_id())])
        return done(await hub.guest.get(f"/v1/catalog/{published.id}"))["learners"]

    assert await learners(1, "active") == 1
    assert await learners(1, "active") == 1
    assert await learners(2, "suspended") == 1
    assert await learners(3, "cancelled") == 0
    assert await learners(1, "active") == 0


async def test_categories_are_listed_in_their_order(hub: Hub) -> None:
    categories = done(await hub.guest.get("/v1/catalog/-/categories"))
    assert categories[0] == {"slug": "arts", "title": "Arts and humanities"}
    assert categories[-1]["slug"] == "other"


async def test_a_list_asks_for_the_callers_organizations_and_nothing_else(hub: Hub, published: Draft) -> None:
    learner = await hub.person("learner")
    done(await learner.post("/v1/enrollments", {"course_id": published.id}), 201)
    await hub.settle()
    with hub.statements() as counted:
        done(await learner.get("/v1/catalog"))
    assert not [sql for sql in counted.sql if "enrollment." in sql]


@pytest.mark.parametrize("signed_in", [False, True])
async def test_a_kept_listing_costs_no_statement(hub: Hub, published: Draft, signed_in: bool) -> None:
    path = f"/v1/catalog/{published.id}"
    person = published.owner if signed_in else hub.guest
    first = done(await person.get(path))

    with hub.statements() as counted:
        second = done(await person.get(path))

    assert (second, counted.sql) == (first, [])


async def test_the_catalogue_shows_a_change_at_once(hub: Hub, published: Draft) -> None:
    mine = {"organization_id": str(published.school.org_id)}
    paths = (f"/v1/catalog/{published.id}", "/v1/catalog")
    owner = published.owner

    async def shown() -> tuple[int, list[str]]:
        one = await hub.guest.get(paths[0])
        listed = done(await hub.guest.get(paths[1], params=mine))["items"]
        return one.status_code, [run["title"] for each in listed for run in each["runs"]]

    before = await shown()
    done(await owner.post("/v1/runs", {"course_id": published.id, "title": "Autumn"}), 201)
    with_run = await shown()
    done(await owner.post(f"/v1/courses/{published.id}/archive"))
    archived = await shown()
    done(await owner.post(f"/v1/courses/{published.id}/restore"))

    assert [before[0], with_run[0], archived] == [200, 200, (404, [])]
    assert with_run[1] == [*before[1], "Autumn"]
    assert await shown() == with_run


async def test_a_kept_answer_for_members_is_not_shown_to_others(hub: Hub, school: School) -> None:
    internal = await _publish(hub, school, visibility="organization")
    stranger = await hub.person("stranger")
    path = f"/v1/catalog/{internal}"

    answers = [(await who.get(path)).status_code for who in (school.owner, stranger, hub.guest, school.owner)]

    assert answers == [200, 404, 404, 200]


async def test_a_kept_listing_for_members_is_not_shown_to_others(hub: Hub, school: School) -> None:
    internal = f"/v1/catalog/{await _publish(hub, school, visibility='organization')}"
    stranger = await hub.person("stranger")

    first, second = [done(await school.owner.get(internal)) for _ in range(2)]

    assert first == second
    problem(await stranger.get(internal), 404)
    problem(await hub.guest.get(internal), 404)


async def test_what_a_new_member_is_shown_is_not_shown_to_others(
    hub: Hub, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    internal = await _publish(hub, school, visibility="organization")
    newcomer, stranger = await hub.person("newcomer"), await hub.person("stranger")
    path = f"/v1/catalog/{internal}"
    token = done(await school.owner.post("/v1/invitations", {"organization_id": str(school.org_id)}), 201)["token"]

    # This process knows what it knows of rights for some moments, and the news comes to it last.
    await hub.broadcasts_arrived()
    monkeypatch.setattr(relations, "forget", lambda _user_id: None)  # pyright: ignore[reportUnknownLambdaType]

    before = await newcomer.get(path)
    done(await newcomer.post("/v1/invitations/-/accept", {"token": token}))
    after = await newcomer.get(path)

    assert (before.status_code, after.status_code) == (404, 200)
    problem(await stranger.get(path), 404)


async def test_a_list_made_while_somebody_joins_is_not_shown_to_others(
    hub: Hub, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _publish(hub, school, visibility="organization")
    newcomer, stranger = await hub.person("newcomer"), await hub.person("stranger")
    token = done(await school.owner.post("/v1/invitations", {"organization_id": str(school.org_id)}), 201)["token"]
    mine = {"organization_id": str(school.org_id)}
    reach_of = kept.reach_of
    joins = [newcomer]

    async def reach_before_joining(caller: Principal, permission: str) -> Reach:
        found = await reach_of(caller, permission)
        if joins:
            done(await joins.pop().post("/v1/invitations/-/accept", {"token": token}))
            relations.forget(newcomer.id)
        return found

    monkeypatch.setattr(kept, "reach_of", reach_before_joining)
    done(await newcomer.get("/v1/catalog", params=mine))

    assert done(await stranger.get("/v1/catalog", params=mine))["items"] == []


async def test_find_published_answers_whose_it_is_until_archived(hub: Hub, draft: Draft) -> None:
    course_id = CourseId(UUID(draft.id))
    before = await client(CourseCalls).find_published(course_id)
    done(await draft.owner.post(f"{draft.path}/publish"))

    published = await client(CourseCalls).find_published(course_id)
    done(await draft.owner.post(f"{draft.path}/archive"))
    archived = await client(CourseCalls).find_published(course_id)

    assert before is None
    assert published == Published(org_id=draft.school.org_id, visibility="public")
    assert archived is None
    assert await client(CourseCalls).find_published(CourseId(new_id())) is None
