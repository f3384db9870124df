import asyncio
from typing import Any
from uuid import UUID

import pytest

from api.learning.content.seed import seed
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.data import read, uses, write
from cluster.data.uses import Ref
from cluster.people.access import Reach
from cluster.seed import DemoPerson, School
from tests.api.learning.content.conftest import Author, Films, new_author
from tests.harness import Hub, done, problem


async def test_a_teacher_builds_an_outline(hub: Hub, author: Author) -> None:
    module = await author.add(None, "module", "Films")
    lesson = await author.add(module, "lesson", "What a film is")
    new = {
        "course_id": author.course_id,
        "parent_id": lesson,
        "type": "text",
        "title": "Pictures",
        "body": {"markdown": "# They *move*"},
    }
    answer = await author.person.post("/v1/blocks", new)
    text = done(answer, 201)
    assert answer.headers["location"] == f"/v1/blocks/{text['id']}"
    assert answer.headers["etag"] == '"1"'
    assert (text["type"], text["position"], text["completes"]) == ("text", 0, "marked")
    assert (text["body"], text["html"]) == ({"markdown": "# They *move*"}, "<h1>They <em>move</em></h1>\n")
    assert done(await author.person.get(f"/v1/blocks/{text['id']}")) == text
    assert await author.outline() == [("Films", None, 0), ("What a film is", module, 0), ("Pictures", lesson, 0)]


async def test_every_change_is_told_with_ids_and_never_with_text(hub: Hub, author: Author) -> None:
    await hub.settle()
    lesson = await author.lesson()
    secret = "a title that nobody must be told"
    text = await author.text(lesson, title=secret)
    await author.change(text, {"title": secret + "!"})
    done(await author.person.post(f"/v1/blocks/{text}/move", {"parent_id": lesson, "position": 0}))
    done(await author.person.delete(f"/v1/blocks/{text}"), 204)
    done(await author.person.post(f"/v1/blocks/{text}/restore"))
    events = await hub.events()
    assert [(event.type, event.version) for event in events if event.subject == text] == [
        ("block.created", 1),
        ("block.updated", 2),
        ("block.moved", 3),
        ("block.deleted", 4),
        ("block.restored", 5),
    ]
    assert [event.version for event in events if event.type == "outline.changed"] == list(range(2, 9))
    assert all(event.org_id == author.org_id and event.actor.id == author.person.id for event in events)
    assert secret not in "".join(event.encode() for event in events)
    await hub.settle()


async def test_a_block_stands_only_where_its_type_may(author: Author) -> None:
    lesson = await author.lesson()

    async def refused(**fields: Any) -> dict[str, Any]:
        new = {"course_id": author.course_id, "parent_id": None, "type": "lesson", "title": "X", **fields}
        return problem(await author.person.post("/v1/blocks", new), 422)

    assert (await refused())["errors"][0] == {
        "pointer": "/parent_id",
        "code": "wrong-parent",
        "params": {},
        "detail": "a lesson stands in a module",
    }
    assert (await refused(parent_id=lesson))["type"] == "/problems/wrong-parent"
    assert (await refused(parent_id=str(new_id())))["type"] == "/problems/wrong-parent"
    assert (await refused(type="quizzz"))["errors"][0]["pointer"] == "/type"


async def test_a_block_of_another_course_is_no_parent(hub: Hub, author: Author) -> None:
    other = await new_author(await hub.school())
    module = await other.add(None, "module")
    new = {"course_id": author.course_id, "parent_id": module, "type": "lesson", "title": "X"}
    problem(await author.person.post("/v1/blocks", new), 422, "wrong-parent")


@pytest.mark.parametrize(
    ("type", "body", "pointer"),
    [
        ("text", {"markdown": 1}, "/body/markdown"),
        ("text", {"markdown": "x", "more": 1}, "/body/more"),
        ("text", {"markdown": "ä" * 100_001}, "/body/markdown"),
        ("video", {}, "/body/video_id"),
        ("video", {"video_id": "film"}, "/body/video_id"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_where_it_does_not(
    author: Author, type: str, body: dict[str, Any], pointer: str
) -> None:
    lesson = await author.lesson()
    new = {"course_id": author.course_id, "parent_id": lesson, "type": type, "title": "X", "body": body}
    refused = problem(await author.person.post("/v1/blocks", new), 422, "body-not-valid")
    assert [error["pointer"] for error in refused["errors"]] == [pointer]
    assert len(await author.titles()) == 2


async def test_a_container_has_no_body(author: Author) -> None:
    new = {"course_id": author.course_id, "type": "module", "title": "X", "body": {"markdown": "x"}}
    problem(await author.person.post("/v1/blocks", new), 422, "body-not-valid")


async def test_a_film_must_be_one_of_this_course(hub: Hub, author: Author, films: Films) -> None:
    other = await new_author(await hub.school())
    lesson = await author.lesson()
    for video_id in (str(new_id()), await films.add(author, course_id=other.course_id), await films.add(other)):
        new = {"course_id": author.course_id, "parent_id": lesson, "type": "video", "title": "X"}
        refused = problem(
            await author.person.post("/v1/blocks", new | {"body": {"video_id": video_id}}), 422, "thing-gone"
        )
        assert [error["pointer"] for error in refused["errors"]] == ["/body/video_id"]
    block = await author.add(lesson, "video", body={"video_id": await films.add(author, "processing")})
    refused = await author.person.patch(
        f"/v1/blocks/{block}", {"body": {"video_id": await films.add(other)}}, headers={"If-Match": '"1"'}
    )
    problem(refused, 422, "thing-gone")


async def used_by(author: Author, video_id: str) -> list[str]:
    async with read() as db:
        users = await uses.used_by(db, Ref("video", UUID(video_id)), reach=Reach(org_ids=(author.org_id,)))
    return [str(user.id) for user in users.shown]


async def test_a_deleted_block_lets_go_and_takes_its_film_again(author: Author, films: Films) -> None:
    module = await author.add(None, "module")
    lesson = await author.lesson(module)
    video_id = await films.add(author)
    block = await author.add(lesson, "video", body={"video_id": video_id})
    assert await used_by(author, video_id) == [block]
    done(await author.person.delete(f"/v1/blocks/{module}"), 204)
    assert await used_by(author, video_id) == []
    await films.remove(video_id)

    refused = problem(await author.person.post(f"/v1/blocks/{module}/restore"), 422, "thing-gone")
    await films.restore(video_id)
    done(await author.person.post(f"/v1/blocks/{module}/restore"))

    assert refused["errors"][0]["params"] == {"kind": "video", "id": video_id}
    assert await used_by(author, video_id) == [block]


async def test_a_changed_block_uses_its_new_film_alone(author: Author, films: Films) -> None:
    old, new = await films.add(author), await films.add(author)
    block = await author.add(await author.lesson(), "video", body={"video_id": old})

    await author.change(block, {"body": {"video_id": new}})

    assert (await used_by(author, old), await used_by(author, new)) == ([], [block])


async def test_concurrent_inserts_at_one_position_all_find_room(author: Author) -> None:
    lesson = await author.lesson()
    names = [f"T{number}" for number in range(12)]
    await asyncio.gather(*(author.add(lesson, "text", name, position=0) for name in names))
    blocks = (await author.outline())[2:]
    assert sorted(title for title, _, _ in blocks) == sorted(names)
    assert [position for _, _, position in blocks] == list(range(12))


async def test_concurrent_moves_neither_lose_blocks_nor_make_gaps(author: Author) -> None:
    module = await author.add(None, "module")
    lessons = [await author.add(module, "lesson", f"L{number}") for number in range(3)]
    texts = [await author.text(lessons[0], title=f"T{number}") for number in range(6)]
    places = [(text, lesson, position) for text in texts for lesson in lessons[1:] for position in (0, 5)]
    await asyncio.gather(
        *(
            author.person.post(f"/v1/blocks/{text}/move", {"parent_id": lesson, "position": position})
            for text, lesson, position in places
        )
    )
    blocks = await author.outline()
    assert len(blocks) == 10
    for lesson in lessons:
        positions = [position for _, parent, position in blocks if parent == lesson]
        assert positions == list(range(len(positions)))
    assert not [title for title, parent, _ in blocks if parent == lessons[0]]


async def test_a_move_takes_along_what_is_below(author: Author) -> None:
    one, two = await author.add(None, "module", "One"), await author.add(None, "module", "Two")
    lesson = await author.add(one, "lesson", "L")
    await author.text(lesson, title="T")
    moved = done(await author.person.post(f"/v1/blocks/{lesson}/move", {"parent_id": two}))
    assert (moved["parent_id"], moved["position"]) == (two, 0)
    assert await author.titles() == ["One", "Two", "L", "T"]
    problem(await author.person.post(f"/v1/blocks/{one}/move", {"parent_id": lesson}), 422, "wrong-parent")
    problem(await author.person.post(f"/v1/blocks/{new_id()}/move", {"parent_id": None}), 404, "block-not-found")


async def test_a_change_needs_the_version_it_was_made_from(author: Author) -> None:
    text = await author.text()
    path = f"/v1/blocks/{text}"
    problem(await author.person.patch(path, {"title": "X"}), 428, "precondition-required")
    changed = await author.person.patch(path, {"title": "X"}, headers={"If-Match": '"1"'})
    assert (done(changed)["title"], changed.headers["etag"]) == ("X", '"2"')
    stale = await author.person.patch(path, {"title": "Y"}, headers={"If-Match": '"1"'})
    assert (problem(stale, 412, "stale")["current_version"], stale.headers["etag"]) == (2, '"2"')


async def test_of_racing_changes_one_wins_and_the_others_are_told(author: Author) -> None:
    text = await author.text()
    answers = await asyncio.gather(
        *(
            author.person.patch(f"/v1/blocks/{text}", {"title": f"T{number}"}, headers={"If-Match": '"1"'})
            for number in range(5)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]
    winner = next(answer for answer in answers if answer.status_code == 200)
    assert done(await author.person.get(f"/v1/blocks/{text}"))["title"] == winner.json()["title"]


async def test_a_changed_body_is_merged_and_rendered_again(author: Author) -> None:
    text = await author.text(markdown="old")
    changed = await author.change(text, {"body": {"markdown": "**new**"}})
    assert (changed["body"], changed["html"]) == ({"markdown": "**new**"}, "<p><strong>new</strong></p>\n")
    refused = await author.person.patch(f"/v1/blocks/{text}", {"body": {"html": "x"}}, headers={"If-Match": '"2"'})
    assert problem(refused, 422, "body-not-valid")["errors"][0]["pointer"] == "/body/html"
    refused = await author.person.patch(f"/v1/blocks/{text}", {"title": None}, headers={"If-Match": '"2"'})
    assert problem(refused, 422)["errors"][0]["pointer"] == "/title"


async def test_release_is_a_date_or_days_after_the_start(author: Author) -> None:
    text = await author.text(release_at="2031-05-04T08:00:00Z")
    changed = await author.change(text, {"release_after_days": 3})
    assert (changed["release_at"], changed["release_after_days"]) == (None, 3)
    changed = await author.change(text, {"release_after_days": None})
    assert (changed["release_at"], changed["release_after_days"]) == (None, None)
    both = {"release_at": "2031-05-04T08:00:00Z", "release_after_days": 3}
    refused = await author.person.patch(f"/v1/blocks/{text}", both, headers={"If-Match": '"3"'})
    problem(refused, 422, "release-ambiguous")


async def test_a_deleted_lesson_comes_back_whole_and_where_it_was(author: Author) -> None:
    module = await author.add(None, "module", "M")
    lessons = [await author.add(module, "lesson", f"L{number}") for number in range(3)]
    text = await author.text(lessons[1], title="T")
    before = await author.outline()
    done(await author.person.delete(f"/v1/blocks/{lessons[1]}"), 204)
    assert await author.outline() == [("M", None, 0), ("L0", module, 0), ("L2", module, 1)]
    for block in (lessons[1], text):
        problem(await author.person.get(f"/v1/blocks/{block}"), 404, "block-not-found")
        problem(await author.person.delete(f"/v1/blocks/{block}"), 404, "block-not-found")
    refused = problem(await author.person.post(f"/v1/blocks/{text}/restore"), 409, "parent-is-deleted")
    assert refused["deleted_block_id"] == lessons[1]
    listed = done(await author.person.get(f"/v1/blocks?course_id={author.course_id}&state=deleted"))["items"]
    assert [block["id"] for block in listed] == [lessons[1]]
    answers = await asyncio.gather(*(author.person.post(f"/v1/blocks/{lessons[1]}/restore") for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert await author.outline() == before


async def test_a_child_that_was_deleted_first_waits_for_its_parent(author: Author) -> None:
    lesson = await author.lesson()
    text = await author.text(lesson)
    done(await author.person.delete(f"/v1/blocks/{text}"), 204)
    done(await author.person.delete(f"/v1/blocks/{lesson}"), 204)
    refused = problem(await author.person.post(f"/v1/blocks/{text}/restore"), 409, "parent-is-deleted")
    assert refused["deleted_block_id"] == lesson
    done(await author.person.post(f"/v1/blocks/{lesson}/restore"))
    assert await author.titles() == ["Module", "Lesson"]
    done(await author.person.post(f"/v1/blocks/{text}/restore"))
    assert await author.titles() == ["Module", "Lesson", "Text"]


async def test_after_the_undo_window_a_block_is_gone_for_good(hub: Hub, author: Author) -> None:
    lesson = await author.lesson()
    text, kept = await author.text(lesson), await author.text()
    for block in (text, lesson, kept):
        done(await author.person.delete(f"/v1/blocks/{block}"), 204)
    async with write(PLATFORM) as tx:
        await tx.run(
            "UPDATE content.blocks SET deleted_at = deleted_at - interval '32 days' WHERE deleted_root = ANY($1::uuid[])",
            [UUID(text), UUID(lesson)],
        )
    problem(await author.person.post(f"/v1/blocks/{lesson}/restore"), 404, "block-not-found")
    await hub.run_cron("content.purge")
    async with read() as db:
        left = await db.rows(
            "SELECT id FROM content.blocks WHERE id = ANY($1::uuid[])", [UUID(text), UUID(lesson), UUID(kept)]
        )
    assert [str(row["id"]) for row in left] == [kept]
    done(await author.person.post(f"/v1/blocks/{kept}/restore"))


async def test_the_outline_is_listed_in_pages_as_it_is_read(author: Author) -> None:
    for number in range(3):
        lesson = await author.lesson(await author.add(None, "module", f"M{number}"))
        await author.text(lesson, title=f"T{number}")
    whole = await author.titles()
    assert whole == ["M0", "Lesson", "T0", "M1", "Lesson", "T1", "M2", "Lesson", "T2"]
    seen: list[str] = []
    cursor = ""
    while True:
        page = done(await author.person.get(f"/v1/blocks?course_id={author.course_id}&limit=2{cursor}"))
        seen += [block["title"] for block in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == whole
    some = done(await author.person.get(f"/v1/blocks?course_id={author.course_id}&limit=3"))["items"]
    chosen = f"/v1/blocks?course_id={author.course_id}&id={some[2]['id']},{some[0]['id']},{new_id()}"
    assert [block["title"] for block in done(await author.person.get(chosen))["items"]] == ["M0", "T0"]
    other = await author.person.get(f"/v1/blocks?course_id={author.course_id}&state=deleted{cursor}")
    problem(other, 400, "bad-request")


async def test_an_idempotency_key_makes_one_block(author: Author) -> None:
    new = {"course_id": author.course_id, "type": "module", "title": "Once"}
    headers = {"Idempotency-Key": str(new_id())}
    first = await author.person.post("/v1/blocks", new, headers=headers)
    again = await author.person.post("/v1/blocks", new, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert done(again, 201) == done(first, 201)
    assert await author.titles() == ["Once"]


async def test_the_types_of_blocks_are_told_with_the_schema_of_their_bodies(hub: Hub, author: Author) -> None:
    types = {type["name"]: type for type in done(await author.person.get("/v1/blocks/-/types"))["items"]}
    assert types["lesson"]["parents"] == ["module"]
    assert (types["video"]["completes"], types["video"]["min_ratio"]) == ("watched", 0.9)
    assert list(types["text"]["body_schema"]["properties"]) == ["markdown"]


async def test_the_demo_outline_is_made_once_and_published(hub: Hub, author: Author) -> None:
    teacher = DemoPerson("", "", author.person.client)
    school = School(owner=teacher, teacher=teacher, learner=teacher, made={"course": author.course_id})
    for _ in range(2):
        await seed(school)
    assert await author.titles() == ["The basics", "What a film is", "Twenty-four pictures a second"]
    assert done(await author.person.get(f"/v1/courses/{author.course_id}"))["published_revision"] == 1
