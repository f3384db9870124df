"""Organizations write the texts of letters in their name: draft, preview, test, publish, retire."""

from dataclasses import replace
from typing import Any

import pytest

from cluster.data import read
from tests.api.engagement.email.conftest import Relay, letter, send, somebody
from tests.harness import Hub, Person, School, done, problem

OURS = "<mj-title>{{ name }}, it is you!</mj-title><mj-text>Dear {{ name }} of ours</mj-text><a href='{{ url }}'>Go</a>"


async def draft(school: School, source: str = OURS, locale: str = "de", template: str = "email.news") -> dict[str, Any]:
    new = {"organization_id": str(school.org_id), "template": template, "locale": locale, "source": source}
    return done(await school.owner.post("/v1/letter-templates", new), 201)


async def subjects(hub: Hub, relay: Relay, school: School, *locales: str) -> list[str]:
    sent = [replace(letter(somebody(), "email.news", org_id=school.org_id), locale=locale) for locale in locales]
    await send(*sent)
    await hub.settle()
    return [relay.server.to(each.to)[0].message["Subject"] for each in sent]


async def test_letters_have_the_text_that_their_school_published(hub: Hub, relay: Relay) -> None:
    school, other = await hub.school(), await hub.school()
    first = await draft(school)
    path = f"/v1/letter-templates/{first['id']}"
    before = await subjects(hub, relay, school, "de")

    published = done(await school.owner.post(f"{path}/publish"))
    during = await subjects(hub, relay, school, "de-AT", "en")
    elsewhere = await subjects(hub, relay, other, "de")
    second = await draft(school, OURS.replace("it is you", "again you"))
    done(await school.owner.post(f"/v1/letter-templates/{second['id']}/publish"))
    replaced = await subjects(hub, relay, school, "de")
    done(await school.owner.post(f"/v1/letter-templates/{second['id']}/retire"))
    after = await subjects(hub, relay, school, "de")

    assert (published["state"], done(await school.owner.get(path))["state"]) == ("published", "retired")
    assert before == after == elsewhere == ["News for Ada"]
    assert during == ["Ada, it is you!", "News for Ada"]
    assert replaced == ["Ada, again you!"]
    problem(await other.owner.get(path), 404, "letter-template-not-found")
    problem(await other.owner.post(f"{path}/publish"), 404, "letter-template-not-found")


async def test_a_draft_is_changed_previewed_and_tried(hub: Hub, relay: Relay) -> None:
    school = await hub.school()
    made = await draft(school)
    path, owner = f"/v1/letter-templates/{made['id']}", school.owner
    changed = OURS.replace("of ours", "of <b>ours</b>")

    problem(await owner.patch(path, {"source": changed}, headers={"If-Match": '"7"'}), 412)
    done(await owner.patch(path, {"source": changed}, headers={"If-Match": '"1"'}))
    preview = done(await owner.get(f"{path}/preview"))
    problem(await owner.post(f"{path}/test", {"email": somebody()}), 422, "not-your-address")
    await verify(hub, owner)
    done(await owner.post(f"{path}/test", {"email": owner.email}))
    await hub.settle()

    assert preview["subject"] == "[name], it is you!"
    assert "[name] of <b>ours</b>" in preview["html"]
    assert "[name], it is you!" in [each.message["Subject"] for each in relay.server.to(owner.email)]
    assert await subjects(hub, relay, school, "de") == ["News for Ada"], "nothing is published"
    done(await owner.post(f"{path}/publish"))
    problem(await owner.patch(path, {"source": OURS}, headers={"If-Match": '"3"'}), 409, "template-not-draft")


async def verify(hub: Hub, person: Person) -> None:
    """Confirm the address of a person."""
    async with read() as db:
        await db.run("UPDATE auth.identities SET email_verified_at = now() WHERE user_id = $1", person.id)


async def test_an_own_text_that_fails_at_night_gives_way(hub: Hub, relay: Relay) -> None:
    school = await hub.school()
    made = await draft(school)
    done(await school.owner.post(f"/v1/letter-templates/{made['id']}/publish"))
    async with read() as db:
        await db.run("UPDATE email.letter_templates SET source = $1", "<mj-title>{{ gone }}</mj-title>")

    assert await subjects(hub, relay, school, "de") == ["News for Ada"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"source": "<mj-text>x</mj-text>"}, "no <mj-title>"),
        ({"source": "<mj-title>{{ password }}</mj-title>"}, "password"),
        (
            {
                "source": "<mj-title>x</mj-title>{% for a in (1..1000) %}{% for b in (1..1000) %}x{% endfor %}{% endfor %}"
            },
            "Loop",
        ),
        ({"source": "<mj-title>x</mj-title>{% for a in (1..9999) %}" + "x" * 90 + "{% endfor %}"}, "Output"),
        ({"template": "email.nothing"}, "-/offered"),
    ],
)
async def test_creating_a_template_refuses_by_name(hub: Hub, school: School, changed: dict[str, Any], why: str) -> None:
    new = {"organization_id": str(school.org_id), "template": "email.news", "locale": "de", "source": OURS, **changed}

    answer = problem(await school.owner.post("/v1/letter-templates", new), 422)

    assert why in str(answer)
