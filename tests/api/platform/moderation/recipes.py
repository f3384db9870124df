"""How to ask each operation of moderation for something that it grants; see `tests.platform.recipes`."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cluster.data import read
from cluster.people.relations import forget
from tests.harness import Person, done
from tests.platform.recipes import Ask, recipe, version
from tests.platform.world import World

_CLAUSE = "01930000-0000-7000-8000-000000000003"


def _rule(world: World) -> dict[str, Any]:
    return {
        "organization_id": world.org_id,
        "clause_id": _CLAUSE,
        "kind": "words",
        "effect": "hold",
        "label": "Insults",
        "entries": ["numbskull"],
    }


async def _clause(world: World) -> str:
    code = f"c{(await world.hub.person('code')).id.hex[-12:]}"
    texts = {"en": {"title": "Be kind", "text": "Be kind."}}
    new = {"organization_id": world.org_id, "code": code, "category": "other", "severity": 1, "texts": texts}
    return done(await world.owner.post("/v1/moderation-clauses", new), 201)["id"]


async def _moderator(world: World) -> Person:
    """Let somebody new judge in the school."""
    person = await world.hub.person("judge")
    grant = {"user_id": str(person.id), "role": "moderator", "scope": "organization", "organization_id": world.org_id}
    done(await world.owner.post("/v1/grants", grant), 201)
    forget(person.id)
    return person


@dataclass(frozen=True, slots=True)
class _Case:
    id: str
    report_id: str
    reporter: Person
    judge: Person


async def _case(world: World) -> _Case:
    course = await world.draft()
    teacher, judge = await world.teacher(course), await _moderator(world)
    forget(teacher.id)
    new = {"kind": "course", "thing_id": course.id, "clause_id": _CLAUSE}
    report = done(await teacher.post("/v1/moderation-reports", new), 201)
    async with read() as db:
        case_id = await db.value("SELECT case_id FROM moderation.reports WHERE id = $1", UUID(report["id"]))
    return _Case(str(case_id), report["id"], teacher, judge)


async def _leased(world: World) -> _Case:
    case = await _case(world)
    done(await case.judge.post(f"/v1/moderation-cases/{case.id}/lease"))
    return case


def _decision(case: _Case) -> dict[str, Any]:
    return {"case_id": case.id, "actions": ["warn"], "clause_id": _CLAUSE, "facts": "It insults."}


async def _decided(world: World) -> tuple[str, Person]:
    """Return a decision about what the owner wrote, and somebody else who may judge."""
    case = await _leased(world)
    decision = done(await case.judge.post("/v1/moderation-decisions", _decision(case)), 201)
    return decision["id"], await _moderator(world)


async def _appeal(world: World) -> tuple[str, Person]:
    decision_id, judge = await _decided(world)
    new = {"decision_id": decision_id, "text": "No."}
    return done(await world.owner.post("/v1/appeals", new), 201)["id"], judge


async def _heard(world: World) -> tuple[str, Person]:
    appeal_id, judge = await _appeal(world)
    done(await judge.post(f"/v1/appeals/{appeal_id}/hear"))
    return appeal_id, judge


async def _waiting(world: World) -> tuple[str, Person]:
    """Return a decision that waits for a second review."""
    decision_id, judge = await _decided(world)
    async with read() as db:
        await db.run("UPDATE moderation.decisions SET wants_review = true WHERE id = $1", UUID(decision_id))
    return decision_id, judge


@recipe("moderation_create_clause")
async def _(world: World) -> Ask:
    code = f"c{(await world.hub.person('code')).id.hex[-12:]}"
    texts = {"en": {"title": "Be kind", "text": "Be kind."}}
    new = {"organization_id": world.org_id, "code": code, "category": "other", "severity": 1, "texts": texts}
    return Ask(by=world.owner, body=new)


_EVERYBODY = ("rival", "peer", "former", "suspended", "removed", "lapsed", "insider")


@recipe("moderation_list_clauses", *_EVERYBODY)
async def _(world: World) -> Ask:
    return Ask(by=world.owner)


@recipe("moderation_get_clause", *_EVERYBODY)
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"clause_id": await _clause(world)})


@recipe("moderation_change_clause")
async def _(world: World) -> Ask:
    clause_id = await _clause(world)
    headers = await version(world.owner, f"/v1/moderation-clauses/{clause_id}")
    return Ask(by=world.owner, ids={"clause_id": clause_id}, body={"severity": 2}, headers=headers)


async def _rule_id(world: World) -> str:
    return done(await world.owner.post("/v1/moderation-rules", _rule(world)), 201)["id"]


@recipe("moderation_create_rule")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body=_rule(world))


@recipe("moderation_list_rules")
async def _(world: World) -> Ask:
    await _rule_id(world)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("moderation_get_rule")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"rule_id": await _rule_id(world)})


@recipe("moderation_change_rule")
async def _(world: World) -> Ask:
    rule_id = await _rule_id(world)
    headers = await version(world.owner, f"/v1/moderation-rules/{rule_id}")
    return Ask(by=world.owner, ids={"rule_id": rule_id}, body={"label": "Names"}, headers=headers)


@recipe("moderation_try_rule")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={**_rule(world), "text": "A numbskull."})


@recipe("moderation_create_report", own=True)
async def _(world: World) -> Ask:
    new = {"kind": "course", "thing_id": world.course.id, "clause_id": _CLAUSE}
    return Ask(by=await world.hub.person("reporter"), body=new)


@recipe("moderation_list_reports", own=True)
async def _(world: World) -> Ask:
    new = {"kind": "course", "thing_id": world.course.id, "clause_id": _CLAUSE}
    people = [await world.hub.person("reporter"), world.peer]
    for person in people:
        await person.post("/v1/moderation-reports", new)
    return Ask(by=people[0])


@recipe("moderation_get_report", private=True)
async def _(world: World) -> Ask:
    case = await _case(world)
    return Ask(by=case.reporter, ids={"report_id": case.report_id})


@recipe("moderation_list_cases")
async def _(world: World) -> Ask:
    case = await _case(world)
    return Ask(by=case.judge, query={"organization_id": world.org_id})


@recipe("moderation_get_case")
async def _(world: World) -> Ask:
    case = await _case(world)
    return Ask(by=case.judge, ids={"case_id": case.id})


@recipe("moderation_list_case_reports")
async def _(world: World) -> Ask:
    case = await _case(world)
    return Ask(by=case.judge, ids={"case_id": case.id})


@recipe("moderation_lease_case")
async def _(world: World) -> Ask:
    case = await _case(world)
    return Ask(by=case.judge, ids={"case_id": case.id})


@recipe("moderation_release_case")
async def _(world: World) -> Ask:
    case = await _leased(world)
    return Ask(by=case.judge, ids={"case_id": case.id})


@recipe("moderation_decide")
async def _(world: World) -> Ask:
    case = await _leased(world)
    return Ask(by=case.judge, body=_decision(case))


@recipe("moderation_list_decisions")
async def _(world: World) -> Ask:
    return Ask(by=(await _decided(world))[1], query={"organization_id": world.org_id})


@recipe("moderation_get_decision")
async def _(world: World) -> Ask:
    decision_id, judge = await _decided(world)
    return Ask(by=judge, ids={"decision_id": decision_id})


@recipe("moderation_get_exposure", own=True)
async def _(world: World) -> Ask:
    return Ask(by=world.learner)


@recipe("moderation_get_standing", own=True)
async def _(world: World) -> Ask:
    return Ask(by=world.learner)


for _operation in ("count_decisions", "list_statements", "export_statements"):

    @recipe(f"moderation_{_operation}")
    async def _(world: World) -> Ask:
        await _decided(world)
        days = {"since_on": "2001-01-01", "until_on": "2091-01-01"}
        return Ask(by=world.owner, query={"organization_id": world.org_id, **days})


@recipe("moderation_next_review")
async def _(world: World) -> Ask:
    return Ask(by=(await _waiting(world))[1])


@recipe("moderation_review")
async def _(world: World) -> Ask:
    decision_id, judge = await _waiting(world)
    return Ask(by=judge, ids={"decision_id": decision_id}, body={"violates": True})


@recipe("moderation_get_agreement")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("moderation_file_appeal")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"decision_id": (await _decided(world))[0], "text": "No."})


@recipe("moderation_list_appeals")
async def _(world: World) -> Ask:
    return Ask(by=(await _appeal(world))[1], query={"organization_id": world.org_id})


@recipe("moderation_get_appeal")
async def _(world: World) -> Ask:
    appeal_id, judge = await _appeal(world)
    return Ask(by=judge, ids={"appeal_id": appeal_id})


@recipe("moderation_hear_appeal")
async def _(world: World) -> Ask:
    appeal_id, judge = await _appeal(world)
    return Ask(by=judge, ids={"appeal_id": appeal_id})


@recipe("moderation_answer_appeal")
async def _(world: World) -> Ask:
    appeal_id, judge = await _heard(world)
    return Ask(by=judge, ids={"appeal_id": appeal_id}, body={"outcome": "upheld", "answer": "It insults."})


@recipe("moderation_send_message")
async def _(world: World) -> Ask:
    appeal_id, judge = await _heard(world)
    return Ask(by=judge, ids={"appeal_id": appeal_id}, body={"text": "Which novel?"})


@recipe("moderation_list_messages")
async def _(world: World) -> Ask:
    appeal_id, judge = await _heard(world)
    done(await judge.post(f"/v1/appeals/{appeal_id}/messages", {"text": "Which novel?"}), 201)
    return Ask(by=judge, ids={"appeal_id": appeal_id})
