"""Organizations write in their own name once DNS allows it, and every letter is signed twice."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from api.engagement.email.sender import dns
from cluster.base.settings import settings
from cluster.data import read
from tests.api.engagement.email.conftest import Relay, letter, send, somebody, state_of
from tests.api.engagement.email.dkim_verifying import verified
from tests.api.engagement.email.dns_server import DnsServer, dns_server
from tests.harness import Hub, School, done, problem

BOTH = {"rsa-sha256": True, "ed25519-sha256": True}


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    """Have DNS asked of a server of the test."""
    with dns_server() as (server, address):
        named = replace(settings(), dns_server=address)
        monkeypatch.setattr(dns, "settings", lambda: named)
        yield server


async def sender_of(school: School, domain: str = "college.example") -> dict[str, Any]:
    new = {"organization_id": str(school.org_id), "address": f"Office@{domain}", "name": "Großes College"}
    return done(await school.owner.post("/v1/senders", new), 201)


def publish(zone: DnsServer, sender: dict[str, Any]) -> None:
    """Copy into DNS what the sender's records say."""
    for each in sender["records"]:
        if each["value"] is not None:
            zone.records[each["name"]] = [each["value"]]


async def check(school: School, sender: dict[str, Any]) -> dict[str, Any]:
    return done(await school.owner.post(f"/v1/senders/{sender['id']}/check"))


def states(sender: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["state"] for each in sender["records"]}


async def test_a_verified_sender_writes_letters_that_are_signed_twice(hub: Hub, relay: Relay, zone: DnsServer) -> None:
    school = await hub.school()
    sender = await sender_of(school)
    assert sender["state"] == "unverified"
    before, to = letter(somebody(), org_id=school.org_id), somebody()
    await send(before)
    publish(zone, sender)

    assert (await check(school, sender))["state"] == "verified"
    after = letter(to, "email.news", org_id=school.org_id, category="digest", name="Ñandú")
    await send(after)
    await hub.settle()

    [early] = [each for each in relay.server.taken if str(before.id) in each.message["Message-ID"]]
    assert "127.0.0.1" in early.message["From"]
    assert verified(early.content, zone.records) == {}
    [taken] = relay.server.to(to)
    assert taken.message["From"] == "Großes College <Office@college.example>"
    assert taken.message["Message-ID"] == f"<{after.id}@college.example>"
    assert taken.return_path.endswith("@127.0.0.1")
    assert verified(taken.content, zone.records) == BOTH
    neither = dict.fromkeys(BOTH, False)
    assert verified(taken.content.replace(b"Dear", b"Dire"), zone.records) == neither
    assert (
        verified(taken.content.replace(b"List-Unsubscribe: <http", b"List-Unsubscribe: <https"), zone.records)
        == neither
    )
    assert verified(b"From: eve@evil.example\r\n" + taken.content, zone.records) == neither
    assert verified(b"Subject: Pay here\r\n" + taken.content, zone.records) == neither


async def test_the_daily_check_names_what_dns_lacks(hub: Hub, relay: Relay, zone: DnsServer) -> None:
    school = await hub.school()
    sender = await sender_of(school, "mail.college.example")
    publish(zone, sender)
    zone.records["mail.college.example"] = ["google-site-verification=x", "v=spf1 ip4:192.0.2.1 -all"]
    del zone.records["_dmarc.mail.college.example"]
    zone.records["_dmarc.college.example"] = ["v=DMARC1; p=reject; rua=mailto:x@college.example"]

    wrong = await check(school, sender)
    [spf] = [each for each in wrong["records"] if each["state"] != "ok"]

    assert wrong["state"] == "unverified"
    assert spf == {
        "kind": "spf",
        "name": "mail.college.example",
        "state": "wrong",
        "value": "v=spf1 include:127.0.0.1 ip4:192.0.2.1 -all",
        "found": ["v=spf1 ip4:192.0.2.1 -all"],
    }
    publish(zone, wrong)
    assert (await check(school, sender))["state"] == "verified"
    [ed25519] = [each for each in states(sender) if "e._domainkey" in each]
    del zone.records[ed25519]
    async with read() as db:
        await db.run("UPDATE email.senders SET check_at = now()")
    zone.fails = True
    await hub.run_cron("email.check_senders")
    assert done(await school.owner.get(f"/v1/senders/{sender['id']}"))["state"] == "verified", "nobody knows"
    zone.fails = False
    waiting = letter(somebody(), org_id=school.org_id)
    await send(waiting)
    async with read() as db:
        await db.run("UPDATE email.senders SET check_at = now()")
    await hub.run_cron("email.check_senders")
    await hub.settle()

    failing = done(await school.owner.get(f"/v1/senders/{sender['id']}"))
    assert failing["state"] == "failing"
    assert {name for name, state in states(failing).items() if state == "missing"} == {ed25519}
    [taken] = [each for each in relay.server.taken if str(waiting.id) in each.message["Message-ID"]]
    assert "no-reply@127.0.0.1" in taken.message["From"], "the platform writes while the sender fails"
    assert await state_of(waiting.id) == ("sent", None)


async def test_new_keys_sign_once_dns_has_both(hub: Hub, relay: Relay, zone: DnsServer) -> None:
    school = await hub.school()
    sender = await sender_of(school, "turning.example")
    publish(zone, sender)
    await check(school, sender)

    rotated = done(await school.owner.post(f"/v1/senders/{sender['id']}/rotate"))
    again = done(await school.owner.post(f"/v1/senders/{sender['id']}/rotate"))
    old_to, new_to = somebody(), somebody()
    await send(letter(old_to, org_id=school.org_id))
    await hub.settle()
    publish(zone, again)
    checked = await check(school, sender)
    await send(letter(new_to, org_id=school.org_id))
    await hub.settle()

    assert states(rotated) == states(again)
    assert list(states(rotated).values()).count("missing") == 2
    assert rotated["state"] == checked["state"] == "verified"
    assert verified(relay.server.to(old_to)[0].content, zone.records) == BOTH
    assert verified(relay.server.to(new_to)[0].content, zone.records) == BOTH
    assert b"s=hub1-" in relay.server.to(old_to)[0].content
    assert b"s=hub2-" in relay.server.to(new_to)[0].content
    done(await school.owner.delete(f"/v1/senders/{sender['id']}"), 204)
    problem(await school.owner.get(f"/v1/senders/{sender['id']}"), 404, "sender-not-found")


async def test_a_sender_elsewhere_verifies_by_its_own_keys_alone(hub: Hub, zone: DnsServer) -> None:
    school, thief = await hub.school(), await hub.school()
    publish(zone, await sender_of(school, "wanted.example"))

    stolen = await sender_of(thief, "wanted.example")

    assert stolen["state"] == "unverified"
    assert sorted(set(states(stolen).values())) == ["missing", "ok"]
    foreign = {"organization_id": str(school.org_id), "address": "a@b.example", "name": "x"}
    problem(await thief.owner.post("/v1/senders", foreign), 404)


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"address": "office"}, "/address"),
        ({"address": "öffice@school.example"}, "/address"),
        ({"name": "School\r\nBcc: everybody@people.example"}, "/name"),
        ({"organization_id": None, "address": "office@school.example"}, None),
    ],
)
async def test_creating_a_sender_rejects(
    hub: Hub, school: School, changed: dict[str, Any], pointer: str | None
) -> None:
    new = {"organization_id": str(school.org_id), "address": "office@school.example", "name": "School", **changed}

    answer = await school.owner.post("/v1/senders", new)

    if pointer is None:
        problem(answer, 403)
    else:
        assert [each["pointer"] for each in problem(answer, 422)["errors"]] == [pointer]
