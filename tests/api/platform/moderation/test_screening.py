"""Texts are judged before they are stored: refused by name, held for a moderator, and never blocked by an outage."""

from typing import Any

import pytest

from api.core.rbac.contract import RbacCalls
from api.platform.moderation.calls import Calls
from api.platform.moderation.contract import ModerationCalls, Place
from cluster.base.problems import Unavailable
from cluster.people.calls import client
from tests.api.learning.course.conftest import Draft
from tests.api.platform.moderation.conftest import HARASSMENT, moderator, new_course, new_rule
from tests.harness import Hub, School, done, problem


async def test_a_course_with_a_listed_word_is_refused_by_name(hub: Hub, school: School) -> None:
    await new_rule(school, "numbskull")
    new = {"organization_id": str(school.org_id), "title": "For every n\u03c5mbsk\u03c5ll", "language": "en"}

    refused = problem(await school.owner.post("/v1/courses", new), 422, "text-refused")

    [error] = refused["errors"]
    assert (error["pointer"], error["code"]) == ("/title", "text-refused")
    assert error["params"] == {"matched": "n\u03c5mbsk\u03c5ll", "clause_id": HARASSMENT, "clause": "Harassment"}
    assert "take out" in error["detail"]
    fine = await new_course(school, title="Numbskulls of Scunthorpe", summary="About them.")
    path = f"/v1/courses/{fine['id']}"
    headers = {"If-Match": (await school.owner.get(path)).headers["ETag"]}
    changed = await school.owner.patch(path, {"summary": "Numbskull."}, headers=headers)
    assert problem(changed, 422, "text-refused")["errors"][0]["pointer"] == "/summary"
    other = await hub.school()
    done(await other.owner.post("/v1/courses", {**new, "organization_id": str(other.org_id)}), 201)


async def test_a_held_text_is_stored_and_opens_a_case(hub: Hub, school: School) -> None:
    await new_rule(school, "cheap watches", effect="hold", least_strikes=0)
    judge = await moderator(hub, school)

    course = await new_course(school, summary="Cheap  watches!")
    await hub.settle()

    assert course["summary"] == "Cheap  watches!"
    [case] = done(await judge.get("/v1/moderation-cases"))["items"]
    assert (case["thing_id"], case["source"], case["state"], case["reports"]) == (course["id"], "screening", "open", 0)
    file = done(await judge.get(f"/v1/moderation-cases/{case['id']}"))
    [content] = file["contents"]
    assert [(each["pointer"], each["matched"]) for each in content["findings"]] == [("/summary", "Cheap  watches")]
    assert file["present"] == {"/title": "Algebra", "/summary": "Cheap  watches!"}
    assert not file["edited"]


async def test_an_outage_of_moderation_keeps_nobody_from_writing(
    hub: Hub, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    await new_rule(school, "numbskull")

    async def away(self: Calls, **_: Any) -> None:
        raise Unavailable("moderation is away")

    with monkeypatch.context() as patch:
        patch.setattr(Calls, "screen", away)
        course = await new_course(school, title="Numbskull")
    await hub.settle()

    [case] = done(await school.owner.get("/v1/moderation-cases", params={"organization_id": str(school.org_id)}))[
        "items"
    ]
    assert (case["thing_id"], case["source"]) == (course["id"], "screening")


async def test_names_are_screened_by_the_rules_of_the_platform(hub: Hub) -> None:
    admin = await hub.person("admin")
    await client(RbacCalls).grant(admin.id, "platform_admin", "platform", None, None)
    rule = {
        "clause_id": HARASSMENT,
        "kind": "words",
        "effect": "refuse",
        "label": "Names",
        "entries": ["zzyzxboss"],
        "places": ["user"],
        "state": "active",
    }
    made = await admin.post("/v1/moderation-rules", rule)
    path = made.headers["Location"]
    try:
        new = {"email": "z@people.example", "password": "a long enough sentence", "name": "Zzyzxboss"}
        assert problem(await hub.guest.post("/v1/users", new), 422, "text-refused")["errors"][0]["pointer"] == "/name"
        ada = await hub.person("ada")
        patch = {"name": "Zzyzxb\u043ess"}
        refused = problem(await ada.patch("/v1/users/me", patch, headers={"If-Match": '"1"'}), 422, "text-refused")
        assert refused["errors"][0]["pointer"] == "/name"
        done(await ada.patch("/v1/users/me", {"name": "Zzyzxbosses"}, headers={"If-Match": '"1"'}))
    finally:
        headers = {"If-Match": made.headers["ETag"]}
        done(await admin.patch(path, {"state": "paused"}, headers=headers))
    await hub.settle()


async def test_a_text_over_64_kib_and_odd_characters_are_named(hub: Hub, school: School) -> None:
    await new_rule(school, "numbskull", "\u5783\u573e")
    await new_rule(school, r"b+o{2,}", kind="patterns")
    place = Place(kind="course", org_id=school.org_id)

    odd = await client(ModerationCalls).screen(
        {
            "/a": "\u202enumbskull\u202c",
            "/b": "\U0001f600" * 100 + "\ufeff",
            "/c": "e\u0301" * 1000,
            "/d": "\ud7ff\ue000",
        },
        None,
        place,
    )
    long = await client(ModerationCalls).screen({"/a": "x" * 65_536, "/b": "\u00e9" * 32_768}, None, place)

    assert [(each.pointer, each.matched) for each in odd.findings] == [("/a", "numbskull")]
    assert long.verdict == "allow"
    with pytest.raises(Exception, match="too long to be screened") as refused:
        await client(ModerationCalls).screen({"/a": "fine", "/b": "\u00e9" * 32_769}, None, place)
    assert [each.pointer for each in getattr(refused.value, "errors")] == ["/b"]  # noqa: B009


async def test_a_warm_screening_takes_one_statement(hub: Hub, school: School) -> None:
    await new_rule(school, "numbskull")
    place = Place(kind="course", org_id=school.org_id)
    await client(ModerationCalls).screen({"/a": "x"}, school.owner.id, place)

    with hub.statements() as counted:
        await client(ModerationCalls).screen({"/a": "x"}, school.owner.id, place)

    assert counted.count <= 2, counted.sql


async def test_a_rule_is_tried_on_a_text_before_it_is_switched_on(hub: Hub, draft: Draft) -> None:
    school = draft.school
    rule = {
        "organization_id": str(school.org_id),
        "clause_id": HARASSMENT,
        "kind": "patterns",
        "effect": "hold",
        "label": "Letters",
        "entries": [r"\bletters\b"],
    }
    reporter = await hub.school()
    await new_rule(school, "letters", effect="hold")
    await new_course(school)
    await hub.settle()

    trial = done(await school.owner.post("/v1/moderation-rules/-/try", {**rule, "text": "Love LETTERS"}))

    assert [each["matched"] for each in trial["findings"]] == ["LETTERS"]
    assert (trial["tried"], trial["found"]) == (1, 1)
    bad = {**rule, "entries": ["fine", "(", "a{2000}"], "text": ""}
    errors = problem(await school.owner.post("/v1/moderation-rules/-/try", bad), 422, "entry-refused")["errors"]
    assert [(each["pointer"], each["code"]) for each in errors] == [
        ("/entries/1", "pattern-invalid"),
        ("/entries/2", "pattern-too-large"),
    ]
    nowhere = {**rule, "places": ["course", "planet"]}
    errors = problem(await school.owner.post("/v1/moderation-rules", nowhere), 422, "entry-refused")["errors"]
    assert [(each["pointer"], each["code"]) for each in errors] == [("/places/1", "place-unknown")]
    many = {**rule, "entries": [f"word{number}" for number in range(600)]}
    done(await school.owner.post("/v1/moderation-rules", many), 201)
    problem(await school.owner.post("/v1/moderation-rules", many), 409, "too-many-rules")
    problem(await reporter.owner.post("/v1/moderation-rules", rule), 404)


async def test_a_rule_that_is_changed_holds_at_once(hub: Hub, school: School) -> None:
    rule = await new_rule(school, "numbskull", state="draft")
    path = f"/v1/moderation-rules/{rule['id']}"
    await new_course(school, title="Numbskull")

    headers = {"If-Match": (await school.owner.get(path)).headers["ETag"]}
    done(await school.owner.patch(path, {"state": "active"}, headers=headers))

    new = {"organization_id": str(school.org_id), "title": "Numbskull", "language": "en"}
    problem(await school.owner.post("/v1/courses", new), 422, "text-refused")
    problem(await school.owner.patch(path, {"state": "paused"}, headers=headers), 412, "stale")
    await hub.settle()
