"""Pictures and files in texts: the text uses them, and its readers may have them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api.learning.content.contract import ContentCalls
from api.media.media.contract import AssetId, AssetNotFound
from api.media.media.reading import readable
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.data import read, uses
from cluster.data.uses import Ref
from cluster.people.access import Reach
from cluster.people.calls import client
from tests.api.learning.content.conftest import Author, new_author
from tests.files import PNG
from tests.harness import Hub, Person, done, problem

FUTURE = (datetime.now(UTC) + timedelta(days=300)).isoformat()


async def users(author: Author, asset_id: str) -> list[tuple[str, str]]:
    async with read() as db:
        found = await uses.used_by(db, Ref("asset", UUID(asset_id)), reach=Reach(org_ids=(author.org_id,)))
    return [(user.kind, str(user.id)) for user in found.shown]


async def test_a_text_uses_the_files_that_it_names(hub: Hub, author: Author) -> None:
    picture, sheet = await author.upload(hub), await author.upload(hub)
    block = await author.text(markdown=f"![A triangle](asset:{picture})\n\n[Work sheet](asset:{sheet} 'Print it')")

    refused = problem(await author.person.delete(f"/v1/assets/{picture}"), 409, "thing-in-use")
    await author.change(block, {"body": {"markdown": f"[Work sheet][1]\n\n[1]: asset:{sheet}"}})
    done(await author.person.delete(f"/v1/assets/{picture}"), 204)

    assert [user["id"] for user in refused["used_by"]] == [block]
    assert await users(author, sheet) == [("block", block)]


async def test_a_text_in_code_uses_nothing(hub: Hub, author: Author) -> None:
    picture = await author.upload(hub)

    await author.text(markdown=f"`![A triangle](asset:{picture})` and asset:{picture}")

    assert await users(author, picture) == []


async def test_a_text_rejects_files_that_it_may_not_show(hub: Hub, author: Author) -> None:
    elsewhere, foreign = await new_author(author.school), await new_author(await hub.school())
    gone = await author.upload(hub)
    done(await author.person.delete(f"/v1/assets/{gone}"), 204)
    film = await author.upload(hub, purpose="course-media", content=b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
    lesson = await author.lesson()
    named = [gone, film, await elsewhere.upload(hub), await foreign.upload(hub), "0198c0de-0000-7000-8000-000000000000"]

    for asset_id in named:
        body = {"markdown": f"![x](asset:{asset_id})"}
        new = {"course_id": author.course_id, "parent_id": lesson, "type": "text", "title": "X", "body": body}
        refused = problem(await author.person.post("/v1/blocks", new), 422, "thing-gone")
        assert [error["pointer"] for error in refused["errors"]] == ["/body/markdown"], asset_id


async def test_publishing_waits_for_the_files_of_texts(hub: Hub, author: Author) -> None:
    unfinished = await author.upload(hub, finish=False)
    block = await author.text(markdown=f"![A triangle](asset:{unfinished})")

    frozen = await client(ContentCalls).freeze(UUID(author.course_id))

    assert [(missing.code, str(missing.block_id)) for missing in frozen.missing] == [("file-not-ready", block)]


async def test_a_deleted_text_lets_go_and_takes_its_files_again(hub: Hub, author: Author) -> None:
    lesson = await author.lesson()
    picture = await author.upload(hub)
    block = await author.text(lesson, markdown=f"![A triangle](asset:{picture})")
    done(await author.person.delete(f"/v1/blocks/{lesson}"), 204)
    assert await users(author, picture) == []
    done(await author.person.delete(f"/v1/assets/{picture}"), 204)

    refused = problem(await author.person.post(f"/v1/blocks/{lesson}/restore"), 422, "thing-gone")
    done(await author.person.post(f"/v1/assets/{picture}/restore"))
    done(await author.person.post(f"/v1/blocks/{lesson}/restore"))

    assert refused["errors"][0]["params"] == {"kind": "asset", "id": picture}
    assert await users(author, picture) == [("block", block)]


async def test_a_published_text_keeps_its_files_after_a_change(hub: Hub, author: Author) -> None:
    picture = await author.upload(hub)
    block = await author.text(markdown=f"![A triangle](asset:{picture})")
    await author.publish(hub)

    await author.change(block, {"body": {"markdown": "no picture"}})

    assert [kind for kind, _ in await users(author, picture)] == ["outline"]
    problem(await author.person.delete(f"/v1/assets/{picture}"), 409, "thing-in-use")


async def statuses(asset_id: str, **people: Person) -> dict[str, int]:
    """Return what each is answered who asks for the content of a file."""
    return {name: (await person.get(f"/v1/assets/{asset_id}/content")).status_code for name, person in people.items()}


async def test_who_opens_an_outline_gets_the_files_of_its_texts(hub: Hub, author: Author) -> None:
    shown, unused = await author.upload(hub), await author.upload(hub)
    await author.text(markdown=f"![A triangle](asset:{shown})")
    await author.publish(hub)
    other = await new_author(author.school)
    await other.text()
    await other.publish(hub)
    learner, assistant = await author.enrolled(hub), await author.staff(hub, "assistant")
    outsiders = {
        "learner_of_another_course": await other.enrolled(hub),
        "teacher_of_another_course": await other.staff(hub, "instructor"),
        "stranger": await hub.person("stranger"),
    }
    left = await author.enrolled(hub)
    enrolment = done(await left.get("/v1/enrollments"))["items"][0]["id"]
    done(await left.post(f"/v1/enrollments/{enrolment}/cancel"))
    await hub.settle()
    await hub.broadcasts_arrived()

    served = await learner.get(f"/v1/assets/{shown}/content")
    kept_out = await statuses(shown, **outsiders, left=left)
    of_unused = await statuses(unused, learner=learner, owner=author.person)

    assert (served.status_code, served.headers["content-type"], served.content) == (200, "image/png", PNG)
    assert await statuses(shown, assistant=assistant, guest=hub.guest) == {"assistant": 200, "guest": 401}
    assert kept_out == dict.fromkeys([*outsiders, "left"], 404)
    assert of_unused == {"learner": 404, "owner": 200}


async def test_a_file_opens_with_the_first_block_that_shows_it(hub: Hub, author: Author) -> None:
    later, now = await author.upload(hub), await author.upload(hub)
    lesson = await author.lesson()
    await author.text(lesson, markdown=f"![](asset:{later}) ![](asset:{now})", release_at=FUTURE)
    await author.text(lesson, markdown=f"![](asset:{now})")
    await author.publish(hub)
    learner, teacher = await author.enrolled(hub), await author.staff(hub, "instructor")

    assert await statuses(later, learner=learner, teacher=teacher) == {"learner": 404, "teacher": 200}
    assert await statuses(now, learner=learner) == {"learner": 200}


async def test_a_file_leaves_with_the_revision_that_showed_it(hub: Hub, author: Author) -> None:
    picture = await author.upload(hub)
    block = await author.text(markdown=f"![A triangle](asset:{picture})")
    await author.publish(hub)
    learner = await author.enrolled(hub)
    before = await statuses(picture, learner=learner)

    await author.change(block, {"body": {"markdown": "no picture"}})
    await author.publish(hub)

    assert (before, await statuses(picture, learner=learner)) == ({"learner": 200}, {"learner": 404})


async def test_a_rerun_shows_its_learners_the_same_files(hub: Hub, author: Author) -> None:
    picture = await author.upload(hub)
    await author.text(markdown=f"![A triangle](asset:{picture})")
    await author.publish(hub)
    started = done(await author.person.post(f"/v1/courses/{author.course_id}/rerun", {"title": "Again"}), 202)
    await hub.settle()
    finished = done(await author.person.get(f"/v1/operations/{started['id']}"))
    course = done(await author.person.get(finished["result_url"]))
    copy = Author(author.person, author.school, course["id"], course["default_run_id"])
    teacher = await copy.staff(hub, "instructor")
    drafted = await statuses(picture, teacher=teacher)
    await copy.publish(hub)

    learner = await copy.enrolled(hub)

    assert drafted == {"teacher": 200}
    assert await statuses(picture, learner=learner) == {"learner": 200}
    problem(await author.person.delete(f"/v1/assets/{picture}"), 409, "thing-in-use")


async def test_a_session_of_another_organization_gets_no_file(hub: Hub, author: Author) -> None:
    picture = AssetId(UUID(await author.upload(hub)))
    await author.text(markdown=f"![A triangle](asset:{picture})")
    await author.publish(hub)
    learner = Principal(kind="person", id=(await author.enrolled(hub)).id)

    bound = await readable(replace(learner, bound_org=author.org_id), picture)

    assert bound.id == picture
    for kept_out in (
        replace(learner, bound_org=OrgId(new_id())),
        replace(learner, scopes=frozenset({"asset:read"})),
    ):
        with pytest.raises(AssetNotFound):
            await readable(kept_out, picture)


async def test_a_learner_gets_a_file_with_few_statements(hub: Hub, author: Author) -> None:
    picture = await author.upload(hub)
    await author.text(markdown=f"![A triangle](asset:{picture})")
    await author.publish(hub)
    learner = await author.enrolled(hub)
    done_once = await statuses(picture, learner=learner)

    with hub.statements() as counted:
        again = await statuses(picture, learner=learner)

    assert (done_once, again) == ({"learner": 200}, {"learner": 200})
    assert counted.count <= 4, counted.sql
