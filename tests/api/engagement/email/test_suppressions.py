"""Administrators see which addresses get no letters, stop letters to some, and lift what a bounce stopped."""

from uuid import UUID

from cluster.data import read
from tests.api.engagement.email.conftest import Relay, letter, send, somebody, state_of
from tests.api.engagement.email.test_unsubscribing import arrived
from tests.harness import Hub, School, done, problem


async def test_a_bounce_is_found_by_address_and_lifted(hub: Hub, relay: Relay, school: School) -> None:
    to, other = somebody(), await hub.school()
    relay.server.answers("RCPT", to, "550 5.1.1 no such user")
    await send(letter(to, org_id=school.org_id))
    await hub.settle()

    [found] = done(await school.owner.get("/v1/suppressions", params={"email": to.upper()}))["items"]
    path = f"/v1/suppressions/{found['id']}?reason="
    hidden = done(await other.owner.get("/v1/suppressions", params={"email": to}))["items"]
    problem(await other.owner.delete(f"{path}mistake"), 404, "suppression-not-found")
    problem(await school.owner.delete(f"{path}{to}"), 422)
    done(await school.owner.delete(f"{path}mailbox_works"), 204)
    told = await hub.events("address.allowed")
    again = letter(to, org_id=school.org_id)
    await send(again)
    await hub.settle()

    assert (found["reason"], found["status"], found["everywhere"]) == ("bounced", "5.1.1", True)
    assert to not in str(found)
    assert hidden == []
    assert [each.payload["reason"] for each in told] == ["mailbox_works"]
    assert await state_of(again.id) == ("sent", None)
    problem(await school.owner.get(f"/v1/suppressions/{found['id']}"), 404, "suppression-not-found")


async def test_staff_stops_letters_of_its_own_school_alone(hub: Hub, relay: Relay, school: School) -> None:
    to = somebody()
    new = {"organization_id": str(school.org_id), "email": f" {to.upper()} "}
    first = done(await school.owner.post("/v1/suppressions", new), 201)
    again = done(await school.owner.post("/v1/suppressions", new), 201)
    ours, theirs = letter(to, org_id=school.org_id), letter(to)
    await send(ours, theirs, letter(to, "email.way_in", org_id=school.org_id))
    await hub.settle()

    assert first == again
    assert (first["reason"], first["everywhere"]) == ("manual", False)
    assert [(await state_of(each.id))[0] for each in (ours, theirs)] == ["suppressed", "sent"]
    assert len(relay.server.to(to)) == 2
    problem(await school.owner.post("/v1/suppressions", {**new, "email": "nobody"}), 422)
    problem(await (await hub.person()).post("/v1/suppressions", new), 404)


async def test_what_a_reader_gave_up_staff_cannot_turn_on(hub: Hub, relay: Relay, school: School) -> None:
    to = somebody()
    await hub.guest.client.post(await arrived(hub, relay, to, org_id=school.org_id))

    [found] = done(await school.owner.get("/v1/suppressions", params={"email": to}))["items"]
    refused = await school.owner.delete(f"/v1/suppressions/{found['id']}?reason=mistake")

    assert (found["reason"], found["category"]) == ("unsubscribed", "digest")
    problem(refused, 409, "not-liftable")
    async with read() as db:
        await db.run("UPDATE email.suppressions SET reason = 'complained' WHERE id = $1", UUID(found["id"]))
    problem(await school.owner.delete(f"/v1/suppressions/{found['id']}?reason=mistake"), 403)
    await hub.settle()
