"""Decisions give their reasons, act on the thing and its author, and are undone by an appeal that somebody else hears."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from api.core.rbac.contract import RbacCalls
from cluster.data import read
from cluster.people.calls import client
from tests.api.platform.moderation.conftest import HARASSMENT, Court, moderator
from tests.harness import Hub, done, problem


async def test_a_removed_course_leaves_the_catalogue_with_reasons(hub: Hub, court: Court) -> None:
    await court.report()

    decision = await court.decide("remove", "warn")

    problem(await hub.guest.get(f"/v1/catalog/{court.draft.id}"), 404)
    course = done(await court.author.get(court.draft.path))
    assert (course["moderation_state"], course["archived_at"] is not None) == ("removed", True)
    problem(await court.author.post(f"{court.draft.path}/restore"), 409, "course-moderated")
    problem(await court.author.post(f"{court.draft.path}/publish"), 409, "course-moderated")
    statement = done(await court.author.get(f"/v1/moderation-decisions/{decision['id']}"))
    told = {
        name: statement[name] for name in ("actions", "facts", "clause_title", "clause_version", "illegal", "source")
    }
    assert told == {
        "actions": ["remove", "warn"],
        "facts": "The summary insults a class.",
        "clause_title": "Harassment",
        "clause_version": 1,
        "illegal": False,
        "source": "report",
    }
    assert statement["appeal_until"] > statement["created_at"]
    assert "article" in statement["redress"]
    [notice] = [
        each
        for each in done(await court.author.get("/v1/notifications"))["items"]
        if each["url"] == f"/moderation/decisions/{decision['id']}"
    ]
    assert notice["body"] == (
        "It was removed. You are warned. Clause: Harassment. The summary insults a class. You may appeal within six months."
    )


async def test_a_reversal_restores_course_and_standing(hub: Hub, court: Court) -> None:
    await court.report()
    decision = await court.decide("remove", "mute", until_at="2091-01-01T00:00:00Z")
    standing = {"organization_id": court.org_id}
    muted = done(await court.author.get("/v1/moderation-decisions/-/standing", params=standing))
    new = {"organization_id": court.org_id, "title": "Another", "language": "en"}
    refused = problem(await court.author.post("/v1/courses", new), 403, "author-muted")
    appeal_id = await court.appeal(decision["id"])

    done(await court.second.post(f"/v1/appeals/{appeal_id}/hear"))
    answer = {"outcome": "reversed", "answer": "It quotes a novel, and says so."}
    answered = done(await court.second.post(f"/v1/appeals/{appeal_id}/answer", answer))
    await hub.settle()

    assert (muted["strikes"], muted["muted_until"], muted["banned"]) == (2, "2091-01-01T00:00:00Z", False)
    assert refused["until"].startswith("2091-01-01")
    assert answered["state"] == "reversed"
    done(await hub.guest.get(f"/v1/catalog/{court.draft.id}"))
    course = done(await court.author.get(court.draft.path))
    assert (course["moderation_state"], course["archived_at"]) == (None, None)
    restored = done(await court.author.get("/v1/moderation-decisions/-/standing", params=standing))
    assert restored == {"strikes": 0, "muted_until": None, "banned": False}
    done(await court.author.post("/v1/courses", new), 201)
    about = done(await court.author.get("/v1/moderation-decisions", params={"case_id": await court.case_id()}))["items"]
    assert [(each["actions"], each["reverses_id"], each["reversed_id"]) for each in about] == [
        ([], decision["id"], None),
        (["remove", "mute"], None, about[0]["id"]),
    ]
    titles = [each["title"] for each in done(await court.author.get("/v1/notifications"))["items"]]
    assert {"Your appeal was granted", "A decision was reversed", "Something you wrote was judged"} <= set(titles)
    await hub.settle()


async def test_a_course_that_its_staff_archived_stays_archived(hub: Hub, court: Court) -> None:
    await court.report()
    done(await court.author.post(f"{court.draft.path}/archive"))
    await hub.settle()
    decision = await court.decide("remove")
    appeal_id = await court.appeal(decision["id"])
    done(await court.second.post(f"/v1/appeals/{appeal_id}/hear"))

    done(await court.second.post(f"/v1/appeals/{appeal_id}/answer", {"outcome": "reversed", "answer": "Fine."}))
    await hub.settle()

    course = done(await court.author.get(court.draft.path))
    assert (course["moderation_state"], course["archived_at"] is not None) == (None, True)
    done(await court.author.post(f"{court.draft.path}/restore"))
    await hub.settle()


async def test_the_first_judge_cannot_hear_the_appeal(hub: Hub, court: Court) -> None:
    await court.report()
    decision = await court.decide("lock")
    appeal_id = await court.appeal(decision["id"])
    path = f"/v1/appeals/{appeal_id}"
    third = await moderator(hub, court.draft.school, "third")

    problem(await court.first.post(f"{path}/hear"), 403, "first-judge")
    problem(await court.author.post(f"{path}/hear"), 403, "own-matter")
    answers = await hub.at_once(court.second.post(f"{path}/hear"), third.post(f"{path}/hear"))

    assert sorted(answer.status_code for answer in answers) == [200, 409]
    winner, loser = (court.second, third) if answers[0].status_code == 200 else (third, court.second)
    answer = {"outcome": "upheld", "answer": "It insults a class."}
    for person in (loser, court.first):
        problem(await person.post(f"{path}/answer", answer), 409, "hearing-needed")
    both = await hub.at_once(*(winner.post(f"{path}/answer", answer) for _ in range(2)))
    assert sorted(each.status_code for each in both) == [200, 409]
    await hub.settle()
    assert done(await court.author.get(court.draft.path))["moderation_state"] == "locked"
    course = await court.author.get(court.draft.path)
    headers = {"If-Match": course.headers["ETag"]}
    problem(await court.author.patch(court.draft.path, {"title": "Kinder"}, headers=headers), 409, "course-moderated")


async def test_an_appeal_asks_and_is_answered(hub: Hub, court: Court) -> None:
    await court.report()
    decision = await court.decide("lock")
    appeal_id = await court.appeal(decision["id"])
    path = f"/v1/appeals/{appeal_id}"
    question, reply = {"text": "Which novel is it?"}, {"text": "The one of chapter two."}
    problem(await court.second.post(f"{path}/messages", question), 409, "hearing-needed")
    done(await court.second.post(f"{path}/hear"))

    done(await court.second.post(f"{path}/messages", question), 201)
    done(await court.author.post(f"{path}/messages", reply), 201)
    await hub.settle()

    said = done(await court.author.get(f"{path}/messages"))["items"]
    assert [(each["role"], each["text"]) for each in said] == [
        ("judge", question["text"]),
        ("author", reply["text"]),
    ]
    for person in (court.author, court.second):
        titles = [each["title"] for each in done(await person.get("/v1/notifications"))["items"]]
        assert titles.count("There is a message in your appeal") == 1
    done(await court.second.post(f"{path}/answer", {"outcome": "upheld", "answer": "No."}))
    problem(await court.author.post(f"{path}/messages", reply), 409, "appeal-over")
    await hub.settle()


async def test_an_appeal_is_filed_once_in_time_and_by_its_author(hub: Hub, court: Court) -> None:
    await court.report()
    decision = await court.decide("lock")
    new = {"decision_id": decision["id"], "text": "No."}
    problem(await court.second.post("/v1/appeals", new), 409, "not-appealable")
    async with read() as db:
        late = "UPDATE moderation.decisions SET created_at = created_at - interval '184 days' WHERE id = $1"
        await db.run(late, UUID(decision["id"]))
    problem(await court.author.post("/v1/appeals", new), 409, "appeal-too-late")
    async with read() as db:
        await db.run("UPDATE moderation.decisions SET created_at = now() WHERE id = $1", UUID(decision["id"]))

    answers = await hub.at_once(*(court.author.post("/v1/appeals", new) for _ in range(3)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    problem(await court.author.post("/v1/appeals", new), 409, "appeal-exists")
    await hub.settle()


async def test_a_decision_that_cannot_be_is_refused_by_field(hub: Hub, court: Court) -> None:
    await court.report()
    case_id = await court.case_id()
    done(await court.first.post(f"/v1/moderation-cases/{case_id}/lease"))
    fine = {"case_id": case_id, "actions": ["lock"], "clause_id": HARASSMENT, "facts": "It insults."}
    for fault, pointers in (
        ({"actions": ["label", "limit", "lock"]}, ["/actions/0", "/actions/1"]),
        ({"actions": ["mute"]}, ["/until_at"]),
        ({"actions": ["ban"], "until_at": "2001-01-01T00:00:00Z"}, ["/until_at"]),
        ({"until_at": "2091-01-01T00:00:00Z"}, ["/until_at"]),
        ({"facts": ""}, ["/facts"]),
        ({"clause_id": None}, ["/clause_id"]),
        ({"actions": ["explode"]}, ["/actions/0"]),
    ):
        document = problem(await court.first.post("/v1/moderation-decisions", {**fine, **fault}), 422)
        assert [error["pointer"] for error in document["errors"]] == pointers, fault
    await hub.settle()


async def test_a_removed_name_comes_back_unless_there_is_a_new_one(hub: Hub) -> None:
    judge, appellate, eve = [await hub.person(name) for name in ("judge", "appellate", "eve")]
    for person in (judge, appellate):
        await client(RbacCalls).grant(person.id, "platform_admin", "platform", None, None)
    for changes_meanwhile in (False, True):
        report = {"kind": "user", "thing_id": str(eve.id), "clause_id": HARASSMENT}
        done(await (await hub.person("reporter")).post("/v1/moderation-reports", report), 201)
        params = {"kind": "user", "limit": 100}
        cases = done(await judge.get("/v1/moderation-cases", params=params))["items"]
        [case_id] = [each["id"] for each in cases if each["thing_id"] == str(eve.id)]
        done(await judge.post(f"/v1/moderation-cases/{case_id}/lease"))
        new = {"case_id": case_id, "actions": ["remove"], "clause_id": HARASSMENT, "facts": "The name insults."}
        decision = done(await judge.post("/v1/moderation-decisions", new), 201)
        await hub.settle()
        profile = await eve.get("/v1/users/me")
        assert done(profile)["name"] == "(name removed)"
        if changes_meanwhile:
            done(await eve.patch("/v1/users/me", {"name": "Evelyn"}, headers={"If-Match": profile.headers["ETag"]}))
        appeal = done(await eve.post("/v1/appeals", {"decision_id": decision["id"], "text": "It is mine."}), 201)
        problem(await judge.post(f"/v1/appeals/{appeal['id']}/hear"), 403, "first-judge")
        done(await appellate.post(f"/v1/appeals/{appeal['id']}/hear"))
        answer = {"outcome": "reversed", "answer": "It is a name."}

        done(await appellate.post(f"/v1/appeals/{appeal['id']}/answer", answer))
        await hub.settle()

        assert done(await eve.get("/v1/users/me"))["name"] == ("Evelyn" if changes_meanwhile else "Eve")
        profile = await eve.get("/v1/users/me")
        headers = {"If-Match": profile.headers["ETag"]}
        done(await eve.patch("/v1/users/me", {"pronouns": "she/her"}, headers=headers))


async def test_a_moderator_bans_nobody_with_more_rights(hub: Hub, court: Court) -> None:
    await court.report()
    case_id, eve = await court.case_id(), await hub.person("eve")
    ban: Any = {"case_id": case_id, "actions": ["ban"], "clause_id": HARASSMENT, "facts": "It insults."}
    done(await court.first.post(f"/v1/moderation-cases/{case_id}/lease"))

    refused = problem(await court.first.post("/v1/moderation-decisions", ban), 403, "beyond-own-rights")
    async with read() as db:
        # As if somebody without a role had written the thing.
        await db.run("UPDATE moderation.cases SET user_id = $1 WHERE id = $2", eve.id, UUID(case_id))
    decided = done(await court.first.post("/v1/moderation-decisions", ban), 201)

    assert "organization:edit" in refused["permissions"]
    assert decided["actions"] == ["ban"]
    await hub.settle()


async def test_numbers_and_statements_are_published_without_names(hub: Hub, court: Court) -> None:
    await court.report()
    platform = await hub.person("platform")
    await client(RbacCalls).grant(platform.id, "platform_admin", "platform", None, None)
    decision = await court.decide("remove", "ban", by=platform, facts="=HYPERLINK() of Grace")
    params = {"organization_id": court.org_id, "since_on": "2001-01-01", "until_on": "2091-01-01"}

    counts = done(await court.author.get("/v1/moderation-decisions/-/transparency", params=params))
    [statement] = done(await court.author.get("/v1/moderation-decisions/-/statements", params=params))["items"]
    table = await court.author.get("/v1/moderation-decisions/-/csv", params=params)

    assert [(each["category"], each["notices"], each["acted"]) for each in counts["reports"]] == [("harassment", 1, 1)]
    [decided] = counts["decisions"]
    assert (decided["decisions"], decided["removals"], decided["suspensions"]) == (1, 1, 1)
    assert statement["decision_visibility"] == ["DECISION_VISIBILITY_CONTENT_REMOVED"]
    assert statement["decision_account"] == "DECISION_ACCOUNT_TERMINATED"
    assert (statement["puid"], statement["source_type"]) == (decision["id"], "SOURCE_ARTICLE_16")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    header, row = table.text.splitlines()
    assert header.startswith("puid,decision_visibility")
    assert row.startswith(decision["id"])
    assert "Grace" not in table.text
    assert str(court.author.id) not in table.text


async def test_a_second_review_is_blind_and_measures_agreement(hub: Hub, court: Court) -> None:
    await court.report()
    decision = await court.decide("lock")
    async with read() as db:
        await db.run("UPDATE moderation.decisions SET wants_review = true WHERE id = $1", UUID(decision["id"]))
    path = f"/v1/moderation-decisions/{decision['id']}/second-review"

    problem(await court.first.get("/v1/moderation-decisions/-/second-review"), 404, "nothing-to-review")
    blind = done(await court.second.get("/v1/moderation-decisions/-/second-review"))
    problem(await court.first.post(path, {"violates": True}), 403, "own-matter")
    answers = await hub.at_once(*(court.second.post(path, {"violates": True}) for _ in range(2)))

    assert blind == {
        "decision_id": decision["id"],
        "kind": "course",
        "clause_id": HARASSMENT,
        "texts": {"/title": "Algebra", "/summary": "Letters."},
    }
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    params = {"organization_id": court.org_id}
    agreement = done(await court.author.get("/v1/moderation-decisions/-/agreement", params=params))["clauses"]
    assert agreement == [{"clause_id": HARASSMENT, "code": "harassment", "reviews": 1, "alpha": 1.0}]


async def test_the_numbers_say_how_far_judges_agree_by_clause(hub: Hub, court: Court) -> None:
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section A: two observers, ten units, 0.095."""
    await court.report()
    decision = await court.decide("lock")
    first, second = (0, 1, 0, 0, 0, 0, 0, 0, 1, 0), (1, 1, 1, 0, 0, 1, 0, 0, 0, 0)
    async with read() as db:
        judged = """WITH decision AS (
                INSERT INTO moderation.decisions (id, org_id, case_id, kind, thing_id, actions, clause_id, clause_version, facts,
                    source_kind, strikes, created_at)
                SELECT gen_random_uuid(), org_id, case_id, kind, thing_id, '{}', clause_id, 1, '', source_kind, 0, $2
                FROM moderation.decisions WHERE id = $1 RETURNING id, org_id, clause_id)
            INSERT INTO moderation.reviews (id, decision_id, org_id, clause_id, first_acted, second_acted, created_at)
            SELECT gen_random_uuid(), id, org_id, clause_id, $3, $4, $2 FROM decision"""
        for one, other in zip(first, second, strict=True):
            await db.run(judged, UUID(decision["id"]), datetime(2031, 5, 4, tzinfo=UTC), bool(one), bool(other))

    async def agreement(day: str) -> Any:
        params = {"organization_id": court.org_id, "since_on": day, "until_on": day}
        return done(await court.author.get("/v1/moderation-decisions/-/transparency", params=params))["agreement"]

    [measured] = await agreement("2031-05-04")
    assert (measured["code"], measured["reviews"]) == ("harassment", 10)
    assert measured["alpha"] == pytest.approx(0.095, abs=0.0005)
    assert await agreement("2031-05-05") == []
    await hub.settle()


async def test_a_clause_keeps_what_decisions_cited(hub: Hub, court: Court) -> None:
    own = {
        "organization_id": court.org_id,
        "code": "kind",
        "category": "harassment",
        "severity": 2,
        "texts": {"en": {"title": "Be kind", "text": "Be kind."}},
    }
    made = await court.author.post("/v1/moderation-clauses", own)
    clause = done(made, 201)
    problem(await court.author.post("/v1/moderation-clauses", own), 409, "code-taken")
    await court.report(clause_id=clause["id"])
    decision = await court.decide("lock", clause_id=clause["id"])
    patch = {"texts": {"en": {"title": "Be kinder", "text": "Be kinder."}, "de": {"title": "Nett", "text": "Nett."}}}

    changed = await court.author.patch(made.headers["Location"], patch, headers={"If-Match": made.headers["ETag"]})

    assert done(changed)["version"] == 2
    statement = done(await court.author.get(f"/v1/moderation-decisions/{decision['id']}"))
    assert (statement["clause_version"], statement["clause_title"]) == (1, "Be kind")
    retired = {"If-Match": changed.headers["ETag"]}
    done(await court.author.patch(made.headers["Location"], {"retired": True}, headers=retired))
    report = {"kind": "course", "thing_id": court.draft.id, "clause_id": clause["id"]}
    problem(await court.second.post("/v1/moderation-reports", report), 422, "clause-unknown")
    rival = (await hub.school()).owner
    problem(await rival.patch(made.headers["Location"], patch, headers=retired), 403)
    problem(await rival.post("/v1/moderation-clauses", {**own, "organization_id": None}), 403)
