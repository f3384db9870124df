"""One click in a mail program ends the letters of a kind (RFC 8058), and turning them on again brings them back."""

from urllib.parse import urlsplit

from api.engagement.email.contract import EmailCalls
from cluster.base.ids import UserId, new_id
from cluster.people.calls import client
from tests.api.engagement.email.conftest import Relay, letter, send, somebody, state_of
from tests.harness import Hub, School

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


async def arrived(hub: Hub, relay: Relay, to: str, **options: object) -> str:
    """Send a letter of the kind `digest`, and return the path of its link."""
    await send(letter(to, "email.news", category="digest", **options))  # pyright: ignore[reportArgumentType]
    await hub.settle()
    message = relay.server.to(to)[-1].message
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = message["List-Unsubscribe"].strip("<>")
    assert url in relay.server.to(to)[-1].text
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in b"\r\n" + relay.server.to(to)[-1].content
    return path_of(url)


async def test_one_click_ends_a_kind_of_letters_of_one_school(hub: Hub, relay: Relay, school: School) -> None:
    to, user_id = somebody(), UserId(new_id())
    path = await arrived(hub, relay, to, org_id=school.org_id, user_id=user_id)

    answers = [await hub.guest.client.post(path, content=b"List-Unsubscribe=One-Click", headers=FORM) for _ in range(2)]
    told = await hub.events("letter.unsubscribed")
    await hub.settle()
    same = letter(to, "email.news", category="digest", org_id=school.org_id)
    other_kind = letter(to, "email.news", category="learning", org_id=school.org_id)
    elsewhere = letter(to, "email.news", category="digest")
    await send(same, other_kind, elsewhere)
    await hub.settle()

    assert [answer.status_code for answer in answers] == [200, 200]
    [envelope] = told
    assert {name: envelope.payload[name] for name in ("user_id", "org_id", "category", "template")} == {
        "user_id": str(user_id),
        "org_id": str(school.org_id),
        "category": "digest",
        "template": "email.news",
    }
    assert [(await state_of(each.id))[0] for each in (same, other_kind, elsewhere)] == ["suppressed", "sent", "sent"]

    await client(EmailCalls).allow(to.upper(), school.org_id, "digest")
    again = letter(to, "email.news", category="digest", org_id=school.org_id)
    await send(again)
    await hub.settle()
    assert await state_of(again.id) == ("sent", None)
    assert (await hub.guest.client.post(path)).status_code == 200
    assert len(await hub.events("letter.unsubscribed")) == 1
    await hub.settle()


async def test_opening_the_link_asks_and_changes_nothing(hub: Hub, relay: Relay) -> None:
    to = somebody()
    path = await arrived(hub, relay, to)

    answer = await hub.guest.get(path)
    await arrived(hub, relay, to)

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<button>Unsubscribe</button>" in answer.text
    assert await hub.events("letter.unsubscribed") == []


async def test_unsubscribing_rejects_a_forged_link(hub: Hub, relay: Relay) -> None:
    to = somebody()
    path = await arrived(hub, relay, to)
    without = letter(to)
    await send(without)
    forged = [
        path[:-1] + ("a" if path[-1] != "a" else "b"),
        path.replace("token=", "token=é"),
        f"/v1/emails/-/unsubscribe?token={without.id.hex}.{path.rpartition('.')[2]}",
        "/v1/emails/-/unsubscribe",
        f"/v1/emails/-/unsubscribe?token={'x' * 32}.",
    ]

    answers = [await hub.guest.client.post(each, headers={"Accept-Language": "de"}) for each in forged]

    assert [(answer.status_code, "gilt nicht" in answer.text) for answer in answers] == [(404, True)] * len(forged)
    assert await hub.events("letter.unsubscribed") == []
    await hub.settle()
