"""How to ask each operation of email for something that it grants; see `tests.platform.recipes`."""

from uuid import UUID

from api.engagement.email.contract import EmailCalls, NewLetter
from cluster.base.ids import OrgId, new_id
from cluster.data import read
from cluster.people.calls import client
from tests.harness import done
from tests.platform.recipes import Ask, recipe
from tests.platform.world import World


async def _letter(world: World) -> str:
    """Have a letter wait in the school's name."""
    id = new_id()
    letter = NewLetter(
        id=id,
        template="organization.invitation",
        to="somebody@people.example",
        locale="en",
        user_id=None,
        org_id=OrgId(UUID(world.org_id)),
        fields={"organization": "School", "url": "https://school.example", "until": "tomorrow"},
        expires_at=None,
    )
    await client(EmailCalls).send([letter])
    return str(id)


@recipe("email_list_letters")
async def _(world: World) -> Ask:
    await _letter(world)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("email_get_letter")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"letter_id": await _letter(world)})


@recipe("email_list_attempts")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"letter_id": await _letter(world)})


@recipe("email_cancel")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"letter_id": await _letter(world)})


async def _sender(world: World) -> str:
    """Name who writes the school's letters, unless somebody does."""
    listed = done(await world.owner.get("/v1/senders", params={"organization_id": world.org_id}))["items"]
    if listed:
        return listed[0]["id"]
    new = {"organization_id": world.org_id, "address": "office@school.example", "name": "School"}
    return done(await world.owner.post("/v1/senders", new), 201)["id"]


@recipe("email_list_senders")
async def _(world: World) -> Ask:
    await _sender(world)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("email_create_sender")
async def _(world: World) -> Ask:
    done(await world.owner.delete(f"/v1/senders/{await _sender(world)}"), 204)
    return Ask(
        by=world.owner,
        body={"organization_id": world.org_id, "address": "office@school.example", "name": "School"},
    )


@recipe("email_get_sender")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"sender_id": await _sender(world)})


@recipe("email_check_sender")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"sender_id": await _sender(world)})


@recipe("email_rotate_keys")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"sender_id": await _sender(world)})


@recipe("email_set_warm_up")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"sender_id": await _sender(world)}, body={"steps": [50, 100]})


@recipe("email_get_warm_up")
async def _(world: World) -> Ask:
    sender_id = await _sender(world)
    done(await world.owner.put(f"/v1/senders/{sender_id}/warm-up", {"steps": [50, 100]}))
    return Ask(by=world.owner, ids={"sender_id": sender_id})


@recipe("email_end_warm_up")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"sender_id": await _sender(world)})


@recipe("email_delete_sender")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"sender_id": await _sender(world)})


async def _suppression(world: World) -> str:
    """Stop letters to somebody, and return the id of that."""
    new = {"organization_id": world.org_id, "email": f"{new_id().hex}@people.example"}
    return done(await world.owner.post("/v1/suppressions", new), 201)["id"]


@recipe("email_list_suppressions")
async def _(world: World) -> Ask:
    await _suppression(world)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("email_add_suppression")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, body={"organization_id": world.org_id, "email": "somebody@people.example"})


@recipe("email_get_suppression")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"suppression_id": await _suppression(world)})


@recipe("email_lift_suppression")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"suppression_id": await _suppression(world)}, query={"reason": "mistake"})


async def _template(world: World) -> str:
    """Write a draft of the school's invitations, and return its id."""
    new = {"organization_id": world.org_id, "template": "organization.invitation", "locale": "de"}
    return done(await world.owner.post("/v1/letter-templates", new), 201)["id"]


@recipe("email_list_letter_templates")
async def _(world: World) -> Ask:
    await _template(world)
    return Ask(by=world.owner, query={"organization_id": world.org_id})


@recipe("email_create_letter_template")
async def _(world: World) -> Ask:
    return Ask(
        by=world.owner,
        body={"organization_id": world.org_id, "template": "organization.invitation", "locale": "de"},
    )


@recipe("email_get_letter_template")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"template_id": await _template(world)})


@recipe("email_change_letter_template")
async def _(world: World) -> Ask:
    return Ask(
        by=world.owner,
        ids={"template_id": await _template(world)},
        body={"source": "<mj-title>Join us</mj-title>"},
        headers={"If-Match": '"1"'},
    )


@recipe("email_preview_letter_template")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"template_id": await _template(world)})


@recipe("email_publish_letter_template")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"template_id": await _template(world)})


@recipe("email_retire_letter_template")
async def _(world: World) -> Ask:
    return Ask(by=world.owner, ids={"template_id": await _template(world)})


@recipe("email_test_letter_template")
async def _(world: World) -> Ask:
    async with read() as db:
        verify = "UPDATE auth.identities SET email_verified_at = now() WHERE user_id = $1"
        await db.run(verify, world.owner.id)
    return Ask(by=world.owner, ids={"template_id": await _template(world)}, body={"email": world.owner.email})


@recipe("email_list_offered", own=True)
async def _(world: World) -> Ask:
    return Ask(by=world.owner)
