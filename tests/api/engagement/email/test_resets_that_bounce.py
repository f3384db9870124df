"""A letter into an account that bounces stops letters to many at once, and no other way into the account."""

from tests.api.engagement.email.conftest import Relay, letter, send, state_of
from tests.harness import Hub, Person, done, problem


async def forgot(hub: Hub, person: Person) -> None:
    done(await hub.guest.post("/v1/identities/-/forgot", {"email": person.email}), 204)
    await hub.settle()


async def test_a_reset_that_bounces_stops_a_campaign_and_no_reset(hub: Hub, relay: Relay) -> None:
    ada, school = await hub.person("ada"), await hub.school()
    await hub.settle()
    before = len(relay.server.to(ada.email))
    relay.server.answers("RCPT", ada.email, "550 5.1.1 no such user")
    await forgot(hub, ada)
    bounced = len(relay.server.to(ada.email)) - before
    campaign = letter(ada.email.upper().replace("PEOPLE.EXAMPLE", "people.example"), "email.news", org_id=school.org_id)
    note = letter(ada.email, "email.note", user_id=ada.id)

    await send(campaign, note)
    await hub.settle()
    await forgot(hub, ada)

    assert bounced == 0
    assert [await state_of(each.id) for each in (campaign, note)] == [("suppressed", None)] * 2
    [reset] = relay.server.to(ada.email)[before:]
    token = reset.text.partition("/reset#")[2].split()[0]
    done(await hub.guest.post("/v1/identities/-/reset", {"token": token, "password": "another long sentence"}), 204)
    signed_in = {"email": ada.email, "password": "another long sentence"}
    done(await hub.guest.post("/v1/sessions", signed_in), 201)
    problem(await hub.guest.post("/v1/sessions", {**signed_in, "password": "a long enough sentence"}), 401)
