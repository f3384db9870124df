from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.learning.content.contract import BlockId, BlockNotFound, BlockNotReleased, ContentCalls, OutlineNotFound
from cluster.base.ids import new_id
from cluster.base.problems import Forbidden
from cluster.people.calls import client
from tests.api.learning.content.conftest import Author, Films
from tests.harness import Hub, Person, done, problem

FUTURE = datetime.now(UTC).replace(microsecond=0) + timedelta(days=300)


def flat(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for block in blocks for each in (block, *flat(block["children"]))]


async def test_a_learner_reads_what_the_run_teaches(hub: Hub, author: Author, films: Films) -> None:
    lesson = await author.lesson()
    text = await author.text(lesson, markdown="Some *text*")
    video_id = await films.add(author)
    video = await author.add(lesson, "video", "Film", body={"video_id": video_id})
    await author.publish(hub)
    learner = await author.enrolled(hub)
    outline = done(await learner.get(f"/v1/outlines/{author.run_id}"))
    assert (outline["course_id"], outline["run_id"], outline["revision"]) == (author.course_id, author.run_id, 1)
    (module,) = outline["blocks"]
    assert module["children"][0]["children"] == [
        {
            "id": text,
            "type": "text",
            "title": "Text",
            "version": 1,
            "completes": "marked",
            "min_ratio": None,
            "body": {"markdown": "Some *text*"},
            "html": "<p>Some <em>text</em></p>\n",
            "released": True,
            "release_at": None,
            "children": [],
        },
        {
            "id": video,
            "type": "video",
            "title": "Film",
            "version": 1,
            "completes": "watched",
            "min_ratio": 0.9,
            "body": {"video_id": video_id},
            "html": None,
            "released": True,
            "release_at": None,
            "children": [],
        },
    ]


async def test_who_may_read_and_change_what(hub: Hub, author: Author) -> None:
    text = await author.text()
    await author.publish(hub)
    people = {
        "owner": author.person,
        "instructor": await author.staff(hub, "instructor"),
        "assistant": await author.staff(hub, "assistant"),
        "learner": await author.enrolled(hub),
        "owner of another organization": (await hub.school()).owner,
        "stranger": await hub.person("stranger"),
        "guest": hub.guest,
    }
    new = {"course_id": author.course_id, "type": "module", "title": "X"}

    async def statuses(person: Person) -> list[int]:
        return [
            (await person.get(f"/v1/outlines/{author.run_id}")).status_code,
            (await person.get(f"/v1/outlines/{author.run_id}?draft=true")).status_code,
            (await person.get(f"/v1/blocks?course_id={author.course_id}")).status_code,
            (await person.get(f"/v1/blocks?course_id={author.course_id}&state=deleted")).status_code,
            (await person.get(f"/v1/blocks/{text}")).status_code,
            (await person.post("/v1/blocks", new)).status_code,
            (await person.patch(f"/v1/blocks/{text}", {"title": "X"}, headers={"If-Match": '"0"'})).status_code,
            (await person.post(f"/v1/blocks/{text}/move", {"parent_id": None})).status_code,
            (await person.post(f"/v1/blocks/{text}/restore")).status_code,
        ]

    assert {name: await statuses(person) for name, person in people.items()} == {
        "owner": [200, 200, 200, 200, 200, 201, 412, 422, 200],
        "instructor": [200, 200, 200, 200, 200, 201, 412, 422, 200],
        "assistant": [200, 403, 200, 200, 200, 403, 403, 403, 403],
        "learner": [200, 403, 403, 403, 403, 403, 403, 403, 403],
        "owner of another organization": [403, 403, 403, 403, 403, 403, 403, 403, 403],
        "stranger": [403, 403, 403, 403, 403, 403, 403, 403, 403],
        "guest": [401, 401, 401, 401, 401, 401, 401, 401, 401],
    }
    for name in ("assistant", "learner", "owner of another organization", "stranger", "guest"):
        assert (await people[name].delete(f"/v1/blocks/{text}")).status_code in (401, 403, 404), name
    done(await people["instructor"].delete(f"/v1/blocks/{text}"), 204)


async def test_before_publishing_there_is_nothing_to_read_but_the_draft(hub: Hub, author: Author) -> None:
    await author.text(markdown="draft")
    await hub.settle()
    stranger = await hub.person("stranger")
    problem(await stranger.get(f"/v1/outlines/{author.run_id}"), 404, "outline-not-found")
    problem(await stranger.get(f"/v1/outlines/{author.run_id}?draft=true"), 404, "outline-not-found")
    problem(await author.person.get(f"/v1/outlines/{author.run_id}"), 404, "outline-not-found")
    problem(await author.person.get(f"/v1/outlines/{new_id()}"), 404, "outline-not-found")
    draft = done(await author.person.get(f"/v1/outlines/{author.run_id}?draft=true"))
    assert (draft["revision"], flat(draft["blocks"])[-1]["html"]) == (None, "<p>draft</p>\n")


async def test_learners_see_an_edit_with_the_next_publishing(hub: Hub, author: Author) -> None:
    text = await author.text(markdown="one")
    await author.publish(hub)
    learner = await author.enrolled(hub)
    await author.change(text, {"body": {"markdown": "two"}})
    await hub.settle()

    async def seen() -> tuple[int, str]:
        outline = done(await learner.get(f"/v1/outlines/{author.run_id}"))
        return outline["revision"], flat(outline["blocks"])[-1]["body"]["markdown"]

    assert await seen() == (1, "one")
    await author.publish(hub)
    assert await seen() == (2, "two")


async def test_a_pinned_run_keeps_its_revision(hub: Hub, author: Author) -> None:
    text = await author.text(markdown="one")
    await author.publish(hub)
    new = {"course_id": author.course_id, "title": "Pinned", "pinned_revision": 1}
    pinned = done(await author.person.post("/v1/runs", new), 201)["id"]
    await author.change(text, {"body": {"markdown": "two"}})
    await author.publish(hub)
    outline = done(await author.person.get(f"/v1/outlines/{pinned}"))
    assert (outline["revision"], flat(outline["blocks"])[-1]["body"]["markdown"]) == (1, "one")


async def test_what_is_not_released_shows_its_title_and_date_but_nothing_in_it(hub: Hub, author: Author) -> None:
    module = await author.add(None, "module", release_at=FUTURE.isoformat())
    await author.text(await author.lesson(module), markdown="secret")
    await author.text(markdown="open")
    await author.publish(hub)
    learner = await author.enrolled(hub)
    answer = await learner.get(f"/v1/outlines/{author.run_id}")
    blocks = flat(done(answer)["blocks"])
    assert [(block["type"], block["released"], block["body"]) for block in blocks] == [
        ("module", False, None),
        ("lesson", False, None),
        ("text", False, None),
        ("module", True, {}),
        ("lesson", True, {}),
        ("text", True, {"markdown": "open"}),
    ]
    assert blocks[2]["release_at"] == FUTURE.isoformat().replace("+00:00", "Z")
    assert "secret" not in answer.text
    preview = flat(done(await author.person.get(f"/v1/outlines/{author.run_id}"))["blocks"])
    assert (preview[2]["released"], preview[2]["body"]) == (False, {"markdown": "secret"})


async def test_release_follows_the_start_of_each_run(hub: Hub, author: Author) -> None:
    text = await author.text(release_after_days=10)
    await author.publish(hub)

    async def run(days: int) -> str:
        start = datetime.now(UTC) + timedelta(days=days)
        new = {"course_id": author.course_id, "title": "Run", "starts_at": start.isoformat()}
        return done(await author.person.post("/v1/runs", new), 201)["id"]

    early, late, coming = await run(-11), await run(-9), await run(1)
    await hub.settle()
    learner = await hub.person("learner")
    for each in (early, late, coming, author.run_id):
        done(await learner.post("/v1/enrollments", {"run_id": each}), 201)

    async def released(run_id: str) -> list[bool]:
        blocks = flat(done(await learner.get(f"/v1/outlines/{run_id}"))["blocks"])
        return [blocks[0]["released"], blocks[-1]["released"]]

    assert [await released(each) for each in (early, late, author.run_id)] == [
        [True, True],
        [True, False],
        [True, True],
    ]
    # Nothing of a run opens before the run does.
    assert await released(coming) == [False, False]
    block_id = BlockId(UUID(text))
    assert (await client(ContentCalls).may_open(learner.id, UUID(early), block_id)).preview is False
    with pytest.raises(BlockNotReleased) as refused:
        await client(ContentCalls).may_open(learner.id, UUID(late), block_id)
    assert datetime.fromisoformat(refused.value.extra["release_at"]) > datetime.now(UTC)
    assert (await client(ContentCalls).may_open(author.person.id, UUID(late), block_id)).preview is True


async def test_may_open_is_for_who_is_enrolled_and_for_what_the_revision_has(
    hub: Hub, author: Author, films: Films
) -> None:
    video_id = await films.add(author)
    block_id = BlockId(UUID(await author.add(await author.lesson(), "video", "Film", body={"video_id": video_id})))
    run_id = UUID(author.run_id)
    await author.publish(hub)
    learner, stranger = await author.enrolled(hub), await hub.person("stranger")
    added = BlockId(UUID(await author.text()))
    opened = await client(ContentCalls).may_open(learner.id, run_id, block_id, fresh=True)
    assert (opened.type, opened.body, opened.completes, opened.min_ratio) == (
        "video",
        {"video_id": video_id},
        "watched",
        0.9,
    )
    assert (opened.revision, opened.version, opened.org_id) == (1, 1, author.org_id)
    with pytest.raises(Forbidden):
        await client(ContentCalls).may_open(stranger.id, run_id, block_id)
    with pytest.raises(BlockNotFound):
        await client(ContentCalls).may_open(learner.id, run_id, added)
    with pytest.raises(OutlineNotFound):
        await client(ContentCalls).may_open(learner.id, new_id(), block_id)


async def test_who_leaves_may_not_open_from_then_on(hub: Hub, author: Author) -> None:
    block_id = BlockId(UUID(await author.text()))
    await author.publish(hub)
    learner = await author.enrolled(hub)
    run_id = UUID(author.run_id)
    await client(ContentCalls).may_open(learner.id, run_id, block_id)
    enrollment = done(await learner.get("/v1/enrollments"))["items"][0]["id"]
    done(await learner.post(f"/v1/enrollments/{enrollment}/cancel"))
    with pytest.raises(Forbidden):
        await client(ContentCalls).may_open(learner.id, run_id, block_id, fresh=True)


async def test_an_archived_course_keeps_its_learners_and_is_hidden_from_others(hub: Hub, author: Author) -> None:
    await author.text()
    await author.publish(hub)
    learner, stranger = await author.enrolled(hub), await hub.person("stranger")
    path = f"/v1/outlines/{author.run_id}"
    problem(await stranger.get(path), 403)
    done(await author.person.post(f"/v1/courses/{author.course_id}/archive"))
    await hub.settle()
    problem(await stranger.get(path), 404)
    done(await learner.get(path))
    done(await author.person.post(f"/v1/courses/{author.course_id}/restore"))
    await hub.settle()
    problem(await stranger.get(path), 403)


async def test_a_kept_outline_is_for_who_is_permitted(hub: Hub, author: Author) -> None:
    await author.text(markdown="for learners")
    await author.publish(hub)
    learner, stranger = await author.enrolled(hub), await hub.person("stranger")
    path = f"/v1/outlines/{author.run_id}"

    first, second = [done(await learner.get(path)) for _ in range(2)]

    assert first == second
    problem(await stranger.get(path), 403)
    problem(await hub.guest.get(path), 401)
    problem(await learner.get(path, params={"draft": True}), 403)


async def test_a_kept_outline_closes_when_its_run_gets_a_start(hub: Hub, author: Author) -> None:
    await author.text(markdown="secret")
    await author.publish(hub)
    new = {"course_id": author.course_id, "title": "Run"}
    run = done(await author.person.post("/v1/runs", new), 201)["id"]
    await hub.settle()
    learner = await hub.person("learner")
    done(await learner.post("/v1/enrollments", {"run_id": run}), 201)
    before = await learner.get(f"/v1/outlines/{run}")

    changed = await author.person.get(f"/v1/runs/{run}")
    match = {"If-Match": changed.headers["ETag"]} if "ETag" in changed.headers else {}
    done(await author.person.patch(f"/v1/runs/{run}", {"starts_at": FUTURE.isoformat()}, headers=match))
    await hub.settle()
    after = await learner.get(f"/v1/outlines/{run}")

    assert "secret" in before.text
    assert "secret" not in after.text


async def test_required_are_the_blocks_that_complete(hub: Hub, author: Author, films: Films) -> None:
    lesson = await author.lesson()
    text = await author.text(lesson)
    video = await author.add(lesson, "video", body={"video_id": await films.add(author)}, release_at=FUTURE.isoformat())
    await author.publish(hub)
    required = await client(ContentCalls).required_blocks(UUID(author.run_id), author.person.id)
    assert (str(required.course_id), required.revision) == (author.course_id, 1)
    assert [
        (str(block.block_id), block.completes, block.min_ratio, block.released, block.release_at)
        for block in required.required
    ] == [(text, "marked", None, True, None), (video, "watched", 0.9, False, FUTURE)]
    with pytest.raises(OutlineNotFound):
        await client(ContentCalls).required_blocks(new_id(), author.person.id)
