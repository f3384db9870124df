"""What people write in blocks is judged: refused, looked at, hidden from learners and shown again."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from api.learning.content.contract import BlockId, ContentCalls
from api.platform.moderation.contract import Decided
from cluster.base.ids import UserId, new_id
from cluster.data import read
from cluster.people.calls import client
from tests.api.learning.content.conftest import Author, author, school
from tests.api.platform.moderation.conftest import HARASSMENT, moderator, new_rule
from tests.harness import Hub, Person, School, done, problem

__all__ = ["author", "school"]
RUDE = "What a numbskull."


async def report(by: Person, block_id: str, status: int = 201) -> Any:
    new = {"kind": "block", "thing_id": block_id, "clause_id": HARASSMENT, "text": "It insults us."}
    answer = await by.post("/v1/moderation-reports", new)
    return done(answer, status) if status < 400 else problem(answer, status)


async def decide(hub: Hub, judge: Person, org_id: str, *actions: str) -> dict[str, Any]:
    """Judge the one case of an organization."""
    [case] = done(await judge.get("/v1/moderation-cases", params={"organization_id": org_id, "decided": True}))["items"]
    done(await judge.post(f"/v1/moderation-cases/{case['id']}/lease"))
    new = {"case_id": case["id"], "actions": list(actions), "clause_id": HARASSMENT, "facts": "It insults a class."}
    decision = done(await judge.post("/v1/moderation-decisions", new), 201)
    await hub.settle()
    return decision


async def reverse(hub: Hub, author: Person, judge: Person, decision_id: str) -> None:
    new = {"decision_id": decision_id, "text": "It quotes a novel."}
    appeal_id = done(await author.post("/v1/appeals", new), 201)["id"]
    done(await judge.post(f"/v1/appeals/{appeal_id}/hear"))
    done(await judge.post(f"/v1/appeals/{appeal_id}/answer", {"outcome": "reversed", "answer": "It does."}))
    await hub.settle()


def ids_of(blocks: list[dict[str, Any]]) -> list[str]:
    return [id for block in blocks for id in (block["id"], *ids_of(block["children"]))]


async def shown(person: Person, run_id: str, **query: str) -> list[str]:
    return ids_of(done(await person.get(f"/v1/outlines/{run_id}", params=query))["blocks"])


async def test_blocks_with_forbidden_words_are_refused(hub: Hub, author: Author) -> None:
    lesson = await author.lesson()
    text = await author.text(lesson)
    await new_rule(author.school, "numbskull")
    new = {"course_id": author.course_id, "parent_id": lesson, "type": "text", "title": "T", "body": {"markdown": RUDE}}
    etag = (await author.person.get(f"/v1/blocks/{text}")).headers["etag"]

    created = await author.person.post("/v1/blocks", new)
    changed = await author.person.patch(f"/v1/blocks/{text}", {"title": RUDE}, headers={"If-Match": etag})

    assert problem(created, 422, "text-refused")["errors"][0]["pointer"] == "/body/markdown"
    assert problem(changed, 422, "text-refused")["errors"][0]["pointer"] == "/title"
    assert done(await author.person.get(f"/v1/blocks/{text}"))["title"] == "Text"
    await hub.settle()


async def test_forbidden_words_at_the_end_of_a_long_text_are_found(hub: Hub, author: Author) -> None:
    lesson = await author.lesson()
    await new_rule(author.school, "numbskull")
    for markdown in ("word " * 30_000 + RUDE, "é" * 65_000 + " " + RUDE):
        new = {"course_id": author.course_id, "parent_id": lesson, "type": "text", "title": "T"}

        refused = await author.person.post("/v1/blocks", new | {"body": {"markdown": markdown}})

        problem(refused, 422, "text-refused")
    await hub.settle()


async def test_a_held_block_is_stored_and_opens_a_case(hub: Hub, author: Author) -> None:
    await new_rule(author.school, "numbskull", effect="hold")

    block_id = await author.text(markdown="word " * 30_000 + RUDE)
    await hub.settle()

    params = {"organization_id": str(author.org_id)}
    [case] = done(await author.person.get("/v1/moderation-cases", params=params))["items"]
    assert (case["kind"], case["thing_id"], case["source"]) == ("block", block_id, "screening")


async def test_a_removed_block_leaves_outlines_frozen_before(hub: Hub, author: Author) -> None:
    lesson = await author.lesson()
    text, other = await author.text(lesson, RUDE), await author.text(lesson, "# Two")
    await author.publish(hub)
    learner, judge = await author.enrolled(hub), await moderator(hub, author.school)
    before = await shown(learner, author.run_id)
    await report(learner, text)

    await decide(hub, judge, str(author.org_id), "remove")

    assert text in before
    assert await shown(learner, author.run_id) == [id for id in before if id != text]
    assert text not in await shown(author.person, author.run_id, draft="true")
    block = done(await author.person.get(f"/v1/blocks/{text}"))
    assert (block["moderation_state"], block["body"]) == ("removed", {"markdown": RUDE})
    required = await client(ContentCalls).required_blocks(UUID(author.run_id), UserId(learner.id))
    assert [str(each.block_id) for each in required.required] == [other]
    async with read() as db:
        gone = "SELECT gone FROM content.documents WHERE id = $1"
        assert [await db.value(gone, UUID(id)) for id in (text, other)] == [True, False]


async def test_a_removed_module_hides_all_below_it(hub: Hub, author: Author) -> None:
    module = await author.add(None, "module")
    text = await author.text(await author.lesson(module))
    await author.text(await author.lesson())
    await author.publish(hub)
    learner, judge = await author.enrolled(hub), await moderator(hub, author.school)
    await report(learner, module)

    await decide(hub, judge, str(author.org_id), "remove")

    left = await shown(learner, author.run_id)
    assert (len(left), module in left, text in left) == (3, False, False)


async def test_a_reversal_shows_a_block_again(hub: Hub, author: Author) -> None:
    text = await author.text(markdown=RUDE)
    await author.publish(hub)
    learner, judge = await author.enrolled(hub), await moderator(hub, author.school)
    appellate = await moderator(hub, author.school, "appellate")
    before = await shown(learner, author.run_id)
    await report(learner, text)
    decision = await decide(hub, judge, str(author.org_id), "remove")
    hidden = await shown(learner, author.run_id)

    await reverse(hub, author.person, appellate, decision["id"])

    assert text not in hidden
    assert await shown(learner, author.run_id) == before
    assert done(await author.person.get(f"/v1/blocks/{text}"))["moderation_state"] is None
    await author.change(text, {"title": "Again"})
    await hub.settle()


async def test_a_removed_block_cannot_be_changed_nor_copied(hub: Hub, author: Author) -> None:
    text = await author.text(markdown=RUDE)
    await author.text()
    await author.publish(hub)
    learner, judge = await author.enrolled(hub), await moderator(hub, author.school)
    await report(learner, text)
    await decide(hub, judge, str(author.org_id), "remove")
    etag = (await author.person.get(f"/v1/blocks/{text}")).headers["etag"]
    target = new_id()

    changed = await author.person.patch(f"/v1/blocks/{text}", {"title": "Kind"}, headers={"If-Match": etag})
    copied = await client(ContentCalls).copy_outline(UUID(author.course_id), target, author.org_id)

    problem(changed, 409, "block-moderated")
    assert copied.blocks == 5
    async with read() as db:
        copies = await db.value("SELECT count(*) FROM content.blocks WHERE source_id = $1", UUID(text))
        by = await db.rows("SELECT DISTINCT written_by FROM content.blocks WHERE course_id = $1", target)
    assert copies == 0
    assert [row["written_by"] for row in by] == [author.person.id]
    done(await author.person.delete(f"/v1/blocks/{text}"), 204)
    await hub.settle()


async def test_a_late_decision_does_not_hide_what_was_reversed(hub: Hub, author: Author) -> None:
    text = await author.text()
    await author.publish(hub)
    learner = await author.enrolled(hub)
    news = Decided(
        case_id=new_id(),  # pyright: ignore[reportArgumentType]
        decision_id=new_id(),  # pyright: ignore[reportArgumentType]
        org_id=author.org_id,
        kind="block",
        thing_id=UUID(text),
        user_id=None,
        actions=("remove",),
        in_force=("remove",),
    )
    reversal = replace(news, in_force=())

    await hub.old_news(reversal, 4)
    await hub.old_news(news, 3)
    late = await shown(learner, author.run_id)
    await hub.old_news(news, 5)
    newest = await shown(learner, author.run_id)

    assert text in late
    assert text not in newest


async def test_outsiders_cannot_report_blocks(hub: Hub, author: Author) -> None:
    text = await author.text()
    draft = await author.text()
    stranger, elsewhere = await hub.person("stranger"), await hub.school()

    for outsider in (stranger, elsewhere.owner):
        for block_id in (text, draft, str(BlockId(new_id()))):
            await report(outsider, block_id, 422)
    await hub.settle()


async def test_content_forgets_who_wrote_a_block(hub: Hub, author: Author, school: School) -> None:
    editor = await author.staff(hub, "instructor")
    text = await author.text()
    etag = (await editor.get(f"/v1/blocks/{text}")).headers["etag"]
    done(await editor.patch(f"/v1/blocks/{text}", {"title": "Mine"}, headers={"If-Match": etag}))
    exported = await hub.exported(editor.id, "content")

    await hub.erased(editor.id, "content")

    assert text in str(exported)
    async with read() as db:
        assert await db.value("SELECT written_by FROM content.blocks WHERE id = $1", UUID(text)) is None
    await hub.settle()
