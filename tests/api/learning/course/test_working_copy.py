from api.core.rbac.held_role.store import LIST_HELD_ROLES_ON
from cluster.base.ids import new_id
from cluster.people import org_settings
from tests.api.learning.course.conftest import Draft, add_lesson, new_course
from tests.harness import Hub, School, done, problem
from tests.org_settings import change, in_process, settings_of


async def test_create_answers_the_course_with_its_first_run(hub: Hub, school: School) -> None:
    course = await new_course(school, title="Álgebra für alle")
    assert course["slug"] == "algebra-fur-alle"
    assert course["published_revision"] is None
    assert course["has_draft_changes"] is False
    run = done(await school.owner.get(f"/v1/runs/{course['default_run_id']}"))
    assert (run["course_id"], run["is_default"], run["pace"]) == (course["id"], True, "self")


async def test_a_new_course_is_as_the_organization_says(hub: Hub, school: School) -> None:
    elsewhere = org_settings.new_cache()

    async def created(**fields: str) -> tuple[str, str]:
        new = {"organization_id": str(school.org_id), "title": "Algebra", **fields}
        course = done(await school.owner.post("/v1/courses", new), 201)
        return course["visibility"], course["language"]

    with in_process(elsewhere):
        before = await created()
    chosen = {"course.visibility": "organization", "course.language": "fr"}
    done(await change(school.owner, settings_of(school.org_id), chosen))
    await hub.broadcasts_arrived()

    assert before == ("public", "en")
    assert await created() == ("organization", "fr")
    assert await created(visibility="unlisted", language="de") == ("unlisted", "de")
    with in_process(elsewhere):
        assert await created() == ("organization", "fr")


async def test_create_tells_others_what_happened_and_no_text(hub: Hub, school: School) -> None:
    await hub.settle()
    course = await new_course(school)
    created, run = await hub.events("course.created", "run.created")
    assert created.payload == {
        "course_id": course["id"],
        "org_id": str(school.org_id),
        "default_run_id": course["default_run_id"],
        "source_course_id": None,
    }
    assert (created.version, created.actor.id, created.org_id) == (1, school.owner.id, school.org_id)
    assert run.subject == course["default_run_id"]
    await hub.settle()


async def test_a_slug_made_of_the_title_never_collides_but_a_chosen_one_does(school: School) -> None:
    first = await new_course(school, title="Same")
    second = await new_course(school, title="Same")
    assert first["slug"] == "same"
    assert second["slug"].startswith("same-")
    body = {"organization_id": str(school.org_id), "title": "Third", "slug": "same"}
    refused = problem(await school.owner.post("/v1/courses", body), 409, "slug-taken")
    assert refused["errors"][0]["pointer"] == "/slug"


async def test_twins_with_a_chosen_slug_make_one_course(hub: Hub, school: School) -> None:
    body = {"organization_id": str(school.org_id), "title": "Twins", "slug": "twins"}
    answers = await hub.at_once(*(school.owner.post("/v1/courses", body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


async def test_twins_without_a_slug_make_a_course_each(hub: Hub, school: School) -> None:
    body = {"organization_id": str(school.org_id), "title": "Quadruplets"}
    answers = await hub.at_once(*(school.owner.post("/v1/courses", body) for _ in range(4)))
    slugs = [done(answer, 201)["slug"] for answer in answers]
    assert len(set(slugs)) == 4
    assert all(slug.startswith("quadruplets") for slug in slugs)


async def test_the_same_key_makes_one_course_and_answers_it_again(school: School) -> None:
    body = {"organization_id": str(school.org_id), "title": "Once"}
    headers = {"Idempotency-Key": str(new_id())}
    first = await school.owner.post("/v1/courses", body, headers=headers)
    again = await school.owner.post("/v1/courses", body, headers=headers)
    assert done(again, 201)["id"] == done(first, 201)["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    other = await school.owner.post("/v1/courses", body | {"title": "Another"}, headers=headers)
    problem(other, 422, "key-reused")


async def test_patch_needs_the_version_it_changes(draft: Draft) -> None:
    owner, path = draft.owner, draft.path
    etag = (await owner.get(path)).headers["etag"]
    problem(await owner.patch(path, {"title": "No version"}), 428, "precondition-required")
    changed = await owner.patch(path, {"title": "New title"}, headers={"If-Match": etag})
    assert done(changed)["title"] == "New title"
    assert changed.headers["etag"] != etag
    stale = await owner.patch(path, {"title": "Late"}, headers={"If-Match": etag})
    assert problem(stale, 412, "stale")["current_version"] == int(changed.headers["etag"].strip('"'))


async def test_patch_keeps_what_is_absent_and_refuses_null_and_unknown_fields(draft: Draft) -> None:
    owner, path = draft.owner, draft.path
    etag = {"If-Match": (await owner.get(path)).headers["etag"]}
    refused = problem(await owner.patch(path, {"title": None, "colour": "red"}, headers=etag), 422)
    assert {error["pointer"] for error in refused["errors"]} == {"/title", "/colour"}
    assert done(await owner.patch(path, {"tags": ["x"]}, headers=etag))["summary"] == "Letters."


async def test_a_course_is_invisible_to_everybody_else_until_it_is_published(hub: Hub, draft: Draft) -> None:
    stranger = await hub.school()
    learner = await hub.person("learner")
    for path in (draft.path, f"/v1/runs/{draft.course['default_run_id']}", f"/v1/catalog/{draft.id}"):
        problem(await stranger.owner.get(path), 404)
        problem(await learner.get(path), 404)
    problem(await hub.guest.get(draft.path), 401)
    problem(await learner.post(f"{draft.path}/publish"), 404)
    assert done(await stranger.owner.get("/v1/courses", params={"id": draft.id}))["items"] == []


async def test_once_published_a_learner_is_told_that_editing_is_not_allowed(hub: Hub, published: Draft) -> None:
    learner = await hub.person("learner")
    problem(await learner.post(f"{published.path}/publish"), 403, "forbidden")
    problem(await learner.patch(published.path, {"title": "Mine"}, headers={"If-Match": '"1"'}), 403, "forbidden")


async def test_list_shows_newest_first_in_pages_that_new_courses_do_not_shift(hub: Hub, school: School) -> None:
    ids = [(await new_course(school, title=f"Course {n}"))["id"] for n in range(5)]
    query = {"organization_id": str(school.org_id), "limit": 2}
    first = done(await school.owner.get("/v1/courses", params=query))
    await new_course(school, title="Late")
    second = done(await school.owner.get("/v1/courses", params=query | {"cursor": first["next_cursor"]}))
    third = done(await school.owner.get("/v1/courses", params=query | {"cursor": second["next_cursor"]}))
    assert [c["id"] for page in (first, second, third) for c in page["items"]] == ids[::-1]
    assert third["next_cursor"] is None
    other = {"limit": 2, "cursor": first["next_cursor"]}
    problem(await school.owner.get("/v1/courses", params=other), 400)


async def test_creating_in_an_unknown_organization_is_refused(hub: Hub) -> None:
    person = await hub.person()
    problem(await person.post("/v1/courses", {"organization_id": str(new_id()), "title": "Nowhere"}), 404)


async def test_a_read_takes_one_statement_and_a_write_at_most_five(hub: Hub, draft: Draft) -> None:
    await draft.owner.get(draft.path)
    with hub.statements() as read:
        response = await draft.owner.get(draft.path)
    assert read.count == 1, read.sql
    with hub.statements() as write:
        done(await draft.owner.patch(draft.path, {"title": "Counted"}, headers={"If-Match": response.headers["etag"]}))
    # Screening asks for the author's standing beside it, in moderation.
    own = [sql for sql in write.sql if "moderation." not in sql]
    assert len(own) <= 5, own


async def test_a_drafted_visibility_has_no_effect_before_it_is_published(hub: Hub, school: School) -> None:
    stranger = await hub.person("stranger")
    for shown, drafted, status in (("organization", "public", 404), ("public", "organization", 403)):
        course = await new_course(school, visibility=shown)
        path = f"/v1/courses/{course['id']}"
        await add_lesson(school.owner, course["id"], "# Text")
        published = await school.owner.post(f"{path}/publish")
        done(published)
        etag = {"If-Match": published.headers["etag"]}
        done(await school.owner.patch(path, {"visibility": drafted}, headers=etag))
        problem(await stranger.get(path), status)
    await hub.settle()


async def test_categories_are_those_that_there_are_and_nothing_is_said_twice(hub: Hub, school: School) -> None:
    body = {"organization_id": str(school.org_id), "title": "Filed", "categories": ["mathematics", "mathematic"]}
    refused = problem(await school.owner.post("/v1/courses", body), 422, "category-unknown")
    assert [(error["pointer"], error["params"]) for error in refused["errors"]] == [
        ("/categories/1", {"category": "mathematic"})
    ]
    course = await new_course(school, categories=["arts", "arts"], tags=["ink", "ink", "pen"])
    assert (course["categories"], course["tags"]) == (["arts"], ["ink", "pen"])
    path = f"/v1/courses/{course['id']}"
    etag = {"If-Match": (await school.owner.get(path)).headers["etag"]}
    problem(await school.owner.patch(path, {"categories": ["nothing"]}, headers=etag), 422, "category-unknown")
    assert done(await school.owner.patch(path, {"categories": []}, headers=etag))["categories"] == []


async def test_a_change_that_changes_nothing_is_no_draft_change(hub: Hub, published: Draft) -> None:
    read = await published.owner.get(published.path)
    etag = {"If-Match": read.headers["etag"]}
    same = {name: read.json()[name] for name in ("title", "slug", "summary", "tags", "categories", "visibility")}
    assert done(await published.owner.patch(published.path, same, headers=etag))["has_draft_changes"] is False
    problem(await published.owner.post(f"{published.path}/publish"), 409, "nothing-to-publish")
    await hub.settle()


async def test_creating_asks_once_for_rights_and_writes_in_few_statements(hub: Hub, school: School) -> None:
    await new_course(school)

    with hub.statements() as counted:
        await new_course(school)

    assert counted.sql.count(LIST_HELD_ROLES_ON) == 1
    writes = [sql for sql in counted.sql if not sql.lstrip().startswith("SELECT")]
    assert (writes.count("BEGIN"), len(writes)) == (3, 11), writes
