import asyncio
from uuid import UUID

import asyncpg
import pytest

from api.learning.content.contract import ContentCalls, OutlineNotEmpty, OutlineNotFound
from api.learning.content.frozen import memory
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import PLATFORM
from cluster.data import read, uses, write
from cluster.data.uses import Ref, ThingInUse
from cluster.people.access import Reach
from cluster.people.calls import client
from tests.api.learning.content.conftest import Author, Films, new_author
from tests.harness import Hub, done, problem


async def freeze(author: Author) -> UUID:
    return (await client(ContentCalls).freeze(UUID(author.course_id))).frozen_id


async def test_the_same_outline_is_frozen_once_however_often_and_by_however_many(author: Author) -> None:
    await author.text()
    results = await asyncio.gather(*(client(ContentCalls).freeze(UUID(author.course_id)) for _ in range(5)))
    assert len({result.frozen_id for result in results}) == 1
    assert (results[0].lessons, results[0].blocks, results[0].missing) == (1, 3, ())
    async with read() as db:
        rows = await db.value(
            "SELECT count(*) FROM content.frozen_outlines WHERE course_id = $1", UUID(author.course_id)
        )
    assert rows == 1


async def test_a_change_makes_another_and_taking_it_back_the_first_again(author: Author) -> None:
    text = await author.text(markdown="one")
    first = await client(ContentCalls).freeze(UUID(author.course_id))
    await author.change(text, {"body": {"markdown": "two"}})
    second = await client(ContentCalls).freeze(UUID(author.course_id))
    await author.change(text, {"body": {"markdown": "one"}})
    third = await client(ContentCalls).freeze(UUID(author.course_id))
    assert first.frozen_id == third.frozen_id != second.frozen_id
    assert first.outline_version < second.outline_version < third.outline_version


async def test_every_kind_of_change_is_another_outline(author: Author) -> None:
    lesson = await author.lesson()
    one, two = await author.text(lesson), await author.text(lesson)
    seen = [await freeze(author)]
    await author.change(one, {"title": "Another"})
    seen.append(await freeze(author))
    await author.change(one, {"release_after_days": 3})
    seen.append(await freeze(author))
    await author.change(one, {"major": True})
    seen.append(await freeze(author))
    done(await author.person.post(f"/v1/blocks/{two}/move", {"parent_id": lesson, "position": 0}))
    seen.append(await freeze(author))
    done(await author.person.delete(f"/v1/blocks/{two}"), 204)
    seen.append(await freeze(author))
    assert len(set(seen)) == len(seen)


async def test_a_frozen_outline_stays_as_it_was(author: Author) -> None:
    text = await author.text(markdown="one")
    frozen_id = (await client(ContentCalls).freeze(UUID(author.course_id))).frozen_id
    before = await client(ContentCalls).outline_of(frozen_id)
    await author.change(text, {"title": "Changed", "body": {"markdown": "two"}})
    await author.text()
    assert await client(ContentCalls).outline_of(frozen_id) == before
    assert [(block.type, block.body) for block in before.blocks] == [
        ("module", {}),
        ("lesson", {}),
        ("text", {"markdown": "one"}),
    ]
    with pytest.raises(asyncpg.RaiseError, match="never changes"):
        async with write(PLATFORM) as tx:
            await tx.run("UPDATE content.frozen_outlines SET blocks = '[]' WHERE id = $1", frozen_id)


async def test_versions_count_content_and_a_major_change_asks_again(author: Author) -> None:
    text = await author.text(markdown="one")

    async def versions() -> tuple[int, int]:
        outline = await client(ContentCalls).outline_of(
            (await client(ContentCalls).freeze(UUID(author.course_id))).frozen_id
        )
        return outline.blocks[-1].version, outline.blocks[-1].min_version

    assert await versions() == (1, 1)
    await author.change(text, {"release_after_days": 1})
    assert await versions() == (1, 1)
    await author.change(text, {"body": {"markdown": "two"}})
    assert await versions() == (2, 1)
    await author.change(text, {"body": {"markdown": "three"}, "major": True})
    assert await versions() == (3, 3)


async def test_publishing_says_that_there_is_no_lesson_with_content(author: Author) -> None:
    lesson = await author.lesson()
    refused = problem(await author.person.post(f"/v1/courses/{author.course_id}/publish"), 409, "not-ready-to-publish")
    assert [(missing["code"], missing["block_id"]) for missing in refused["missing"]] == [
        ("no-lesson-with-content", lesson)
    ]
    await author.text(lesson, markdown="")
    problem(await author.person.post(f"/v1/courses/{author.course_id}/publish"), 409, "not-ready-to-publish")


@pytest.mark.parametrize("state", ["queued", "processing", "failed", "cancelled"])
async def test_publishing_says_which_film_is_not_ready(author: Author, films: Films, state: str) -> None:
    lesson = await author.lesson()
    ready = await films.add(author)
    await author.add(lesson, "video", body={"video_id": ready})
    waiting = await author.add(lesson, "video", body={"video_id": await films.add(author, state)})  # pyright: ignore[reportArgumentType]
    refused = problem(await author.person.post(f"/v1/courses/{author.course_id}/publish"), 409, "not-ready-to-publish")

    assert [(missing["code"], missing["block_id"]) for missing in refused["missing"]] == [("film-not-ready", waiting)]


async def test_a_frozen_outline_uses_its_films_and_a_copy_too(author: Author, films: Films) -> None:
    video_id = await films.add(author)
    block = await author.add(await author.lesson(), "video", body={"video_id": video_id})
    frozen_id = await freeze(author)
    await client(ContentCalls).copy_outline(UUID(author.course_id), new_id(), author.org_id)
    done(await author.person.delete(f"/v1/blocks/{block}"), 204)

    async with read() as db:
        users = await uses.used_by(db, Ref("video", UUID(video_id)), reach=Reach(org_ids=(author.org_id,)))

    assert [user.kind for user in users.shown] == ["block", "outline"]
    assert users.shown[1].id == frozen_id
    with pytest.raises(ThingInUse):
        await films.remove(video_id)


async def test_there_is_nothing_to_freeze_of_an_unknown_course(hub: Hub) -> None:
    with pytest.raises(OutlineNotFound):
        await client(ContentCalls).freeze(new_id())


async def test_a_copy_has_new_ids_that_know_where_they_come_from(author: Author, films: Films) -> None:
    lesson = await author.lesson()
    text = await author.text(lesson, markdown="one", release_after_days=2)
    await author.add(lesson, "video", body={"video_id": await films.add(author)})
    await author.change(text, {"body": {"markdown": "two"}})
    target = new_id()
    copied = await client(ContentCalls).copy_outline(UUID(author.course_id), target, author.org_id)
    assert copied.blocks == 4
    source = await client(ContentCalls).outline_of(await freeze(author))  # pyright: ignore[reportArgumentType]
    result = await client(ContentCalls).freeze(target)
    copy = await client(ContentCalls).outline_of(result.frozen_id)
    assert (result.missing, copy.course_id, copy.org_id) == ((), target, author.org_id)
    shape = [(block.type, block.title, block.body, block.release_after_days) for block in source.blocks]
    assert [(block.type, block.title, block.body, block.release_after_days) for block in copy.blocks] == shape
    assert [block.source_id for block in copy.blocks] == [block.id for block in source.blocks]
    assert {block.id for block in copy.blocks}.isdisjoint(block.id for block in source.blocks)
    assert [(block.version, block.source_version) for block in copy.blocks if block.type == "text"] == [(1, 2)]


async def test_copying_again_changes_nothing_and_a_filled_outline_is_left_alone(hub: Hub, author: Author) -> None:
    await author.text()
    target = new_id()
    copies = await asyncio.gather(
        *(client(ContentCalls).copy_outline(UUID(author.course_id), target, author.org_id) for _ in range(3))
    )
    assert [copy.blocks for copy in copies] == [3, 3, 3]
    async with read() as db:
        assert await db.value("SELECT count(*) FROM content.blocks WHERE course_id = $1", target) == 3
    other = await new_author(await hub.school())
    await other.text()
    with pytest.raises(OutlineNotEmpty):
        await client(ContentCalls).copy_outline(UUID(author.course_id), UUID(other.course_id), other.org_id)


async def test_a_frozen_state_can_be_copied_instead(author: Author) -> None:
    text = await author.text(markdown="one")
    result = await client(ContentCalls).freeze(UUID(author.course_id))
    await author.change(text, {"body": {"markdown": "two"}})
    target = new_id()
    await client(ContentCalls).copy_outline(UUID(author.course_id), target, author.org_id, frozen_id=result.frozen_id)
    copy = await client(ContentCalls).outline_of((await client(ContentCalls).freeze(target)).frozen_id)
    assert copy.blocks[-1].body == {"markdown": "one"}
    with pytest.raises(OutlineNotFound):
        await client(ContentCalls).copy_outline(new_id(), new_id(), author.org_id, frozen_id=result.frozen_id)


async def test_an_outline_is_made_once(author: Author) -> None:
    await author.add(None, "module")
    await client(ContentCalls).create_outline(UUID(author.course_id), OrgId(new_id()))
    async with read() as db:
        org_id = await db.value("SELECT org_id FROM content.outlines WHERE course_id = $1", UUID(author.course_id))
    assert org_id == author.org_id


async def test_memory_for_frozen_outlines_is_bounded(author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    text = await author.text()
    monkeypatch.setattr(memory, "CACHE_BYTES", 20_000)
    for number in range(8):
        await author.change(text, {"body": {"markdown": f"{number}" * 2_000}})
        result = await client(ContentCalls).freeze(UUID(author.course_id))
        assert (await client(ContentCalls).outline_of(result.frozen_id)).blocks[-1].body["markdown"][0] == str(number)
    kept = memory._kept  # pyright: ignore[reportPrivateUsage]
    assert 0 < sum(each.size_bytes for each in kept.values()) <= 20_000


async def test_one_read_serves_all_who_ask_at_once(hub: Hub, author: Author) -> None:
    await author.text()
    frozen_id = (await client(ContentCalls).freeze(UUID(author.course_id))).frozen_id
    with hub.statements() as counted:
        outlines = await asyncio.gather(*(client(ContentCalls).outline_of(frozen_id) for _ in range(10)))
    assert counted.count == 1
    assert all(outline == outlines[0] for outline in outlines)


async def test_a_rerun_brings_the_outline_along(hub: Hub, author: Author) -> None:
    await author.text(markdown="kept")
    operation = done(await author.person.post(f"/v1/courses/{author.course_id}/rerun", {"title": "Again"}), 202)
    await hub.settle()
    result = done(await author.person.get(f"/v1/operations/{operation['id']}"))
    course_id = result["result_url"].rpartition("/")[2]
    blocks = done(await author.person.get(f"/v1/blocks?course_id={course_id}"))["items"]
    assert [(block["type"], block["body"]) for block in blocks] == [
        ("module", {}),
        ("lesson", {}),
        ("text", {"markdown": "kept"}),
    ]
    assert all(block["source_id"] for block in blocks)
