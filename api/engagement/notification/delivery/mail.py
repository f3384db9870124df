"""Mail: one letter for all that a person has not read, handed to email under the batch's id: sent again it is no second letter."""

import asyncio
from datetime import datetime

from api.core.auth.contract import AuthCalls
from api.engagement.email.contract import MOST_LETTERS, EmailCalls, LetterState, NewLetter
from api.engagement.notification.delivery import digest
from api.engagement.notification.delivery.outgoing import Item, Outcome, Outgoing
from cluster.base.ids import UserId
from cluster.base.settings import settings
from cluster.people.calls import client

ONE, SECURITY, DIGEST = "notification.one", "notification.security", "notification.digest"
_AT_ONCE = 16
_MOST_LINES = 50
LINE, PART = "\N{SYMBOL FOR RECORD SEPARATOR}", "\N{SYMBOL FOR UNIT SEPARATOR}"
"""Between the lines of a digest, and between a line's title and its address; the template splits there."""
HEADING = "-"
"""In the place of an address: the line is the name of a course."""


async def send(outgoing: list[Outgoing], now: datetime) -> list[Outcome]:  # noqa: ARG001 (as all channels are asked)
    """Hand letters to email, and return what came of each."""
    addresses = await _addresses({each.user_id for each in outgoing})
    letters = [_letter(each, addresses[each.user_id]) for each in outgoing if each.user_id in addresses]
    states: dict[object, LetterState] = {}
    for start in range(0, len(letters), MOST_LETTERS):
        for state in await client(EmailCalls).send(letters[start : start + MOST_LETTERS]):
            states[state.id] = state
    return [_outcome(each, states.get(each.batch_id)) for each in outgoing]


def _outcome(outgoing: Outgoing, letter: LetterState | None) -> Outcome:
    if letter is None:
        return Outcome(outgoing=outgoing, state="skipped", reason="no_address")
    match letter.state:
        case "refused":
            return Outcome(outgoing=outgoing, state="failed", reason="refused")
        case "suppressed" | "bounced" | "complained":
            return Outcome(outgoing=outgoing, state="skipped", reason="bounced")
        case _:
            return Outcome(outgoing=outgoing, state="delivered")


async def _addresses(people: set[UserId]) -> dict[UserId, str]:
    """Ask for the verified addresses of these people: letters to others would tell strangers."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def ask(user_id: UserId) -> tuple[UserId, str | None]:
        async with places:
            address = await client(AuthCalls).address_of(user_id)
        return user_id, address.email if address is not None and address.verified else None

    found = await asyncio.gather(*(ask(user_id) for user_id in people))
    return {user_id: email for user_id, email in found if email is not None}


def category_of(items: list[Item]) -> str:
    """Return what the reader can unsubscribe from: the category of all these, or digests."""
    categories = {item.waiting.category for item in items}
    return categories.pop() if len(categories) == 1 else "digest"


def _letter(outgoing: Outgoing, to: str) -> NewLetter:
    items = outgoing.items
    organizations = {item.waiting.org_id for item in items}
    security = items[0].waiting.severity == "security"
    if len(items) == 1:
        template = SECURITY if security else ONE
        fields = _fields_of_one(items[0])
        expires_at = items[0].waiting.expires_at
    else:
        template, fields, expires_at = DIGEST, _fields_of_digest(outgoing), None
    return NewLetter(
        id=outgoing.batch_id,
        template=template,
        to=to,
        locale=outgoing.reader.locale,
        user_id=outgoing.user_id,
        org_id=organizations.pop() if len(organizations) == 1 else None,
        fields=fields,
        expires_at=expires_at,
        category=None if security else category_of(items),
    )


def _fields_of_one(item: Item) -> dict[str, str]:
    return {"title": item.text.title, "body": item.text.body, "url": settings().public_url + item.text.url}


def _fields_of_digest(outgoing: Outgoing) -> dict[str, str]:
    """Return the newest lines, those of a course together under its name."""
    newest = outgoing.items[-_MOST_LINES:]
    lines: list[str] = []
    for heading, items in digest.by_course(outgoing, newest):
        if heading:
            lines.append(f"{_plain(heading)}{PART}{HEADING}")
        lines += [f"{_plain(item.text.title)}{PART}{settings().public_url}{_plain(item.text.url)}" for item in items]
    return {
        "title": digest.title_of(outgoing),
        "lines": LINE.join(lines),
        "more": str(len(outgoing.items) - len(newest)),
        "url": f"{settings().public_url}/notifications",
    }


def _plain(text: str) -> str:
    return text.replace(LINE, " ").replace(PART, " ").replace("\n", " ")
