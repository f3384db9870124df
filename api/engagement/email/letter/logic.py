"""Use cases of letters: take them, stop them, look after them, and show them on a laptop."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from api.engagement.email.contract import (
    MOST_LETTERS,
    LetterGone,
    LetterId,
    LetterNotFound,
    LetterState,
    NewLetter,
    Standing,
    TemplateRefused,
    TooManyAtOnce,
)
from api.engagement.email.delivery.logic import JOBS, enqueue_delivery
from api.engagement.email.hold import store as holds
from api.engagement.email.letter import store
from api.engagement.email.letter.content import Content, hash_of, hashes_of
from api.engagement.email.letter.store import Accepted, Attempt, Letter
from api.engagement.email.receiving.addresses import routes
from api.engagement.email.rules import KEPT_AFTER_END
from api.engagement.email.sender import store as senders
from api.engagement.email.sender.logic import platform_sender
from api.engagement.email.suppression.links import unsubscribe_url
from api.engagement.email.template import texts
from api.engagement.email.template.sources import templates
from cluster.base.addresses import key_of, parse_address
from cluster.base.ids import OrgId
from cluster.base.principal import Principal
from cluster.base.problems import NotFound
from cluster.base.settings import settings
from cluster.data import Transaction, read, write
from cluster.jobs import JobRun, in_batches
from cluster.people import erasure
from cluster.people.access import permitted, reach_of
from cluster.people.erasure import Erasing

MOST_FIELD_CHARACTERS = 20_000
ROWS_KEPT_FOR = timedelta(days=90)
"""Without address and words, for counting bounces and for administrators."""


async def send(caller: Principal, letters: Sequence[NewLetter]) -> list[LetterState]:
    """Take letters, once per id, and return where each stands.

    Raises:
        TooManyAtOnce
    """
    _check_number(letters)
    checked = [_accept(letter) for letter in letters]
    if all(isinstance(each, LetterState) for each in checked):
        return [each for each in checked if isinstance(each, LetterState)]
    async with write(caller) as tx:
        return await _take(tx, checked)


async def take(tx: Transaction, letters: Sequence[NewLetter], *, source_id: UUID | None = None) -> list[LetterState]:
    """Take letters with what else the transaction writes; see `send`. `source_id`: an organization's text to try."""
    return await _take(tx, [_accept(letter) for letter in letters], source_id)


async def _take(
    tx: Transaction, checked: Sequence[Accepted | LetterState], source_id: UUID | None = None
) -> list[LetterState]:
    accepted = [each for each in checked if isinstance(each, Accepted)]
    own = await senders.list_verified(tx, list({each.org_id for each in accepted if each.org_id is not None}))
    accepted = [
        replace(each, sender_domain=own.get(each.org_id, each.sender_domain)) if each.org_id is not None else each
        for each in accepted
    ]
    new = await store.insert_letters(tx, accepted, source_id)
    await _wake(tx, [each for each in accepted if each.id in new])
    states = await store.list_states(tx, [each.id for each in accepted])
    return [each if isinstance(each, LetterState) else states[each.id] for each in checked]


def _check_number(letters: Sequence[object]) -> None:
    if len(letters) > MOST_LETTERS:
        raise TooManyAtOnce(f"{len(letters)} letters: send at most {MOST_LETTERS} at once", pointer="/letters")


def _accept(letter: NewLetter) -> Accepted | LetterState:
    template = templates().get(letter.template)
    if template is None:
        return _refused(letter, f"no service offers the template {letter.template}")
    if letter.reply is not None and (letter.user_id is None or letter.reply.route not in routes()):
        return _refused(letter, f"reply: no service offers the route {letter.reply.route}, or user_id is missing")
    missing = sorted(set(template.fields) - set(letter.fields))
    if missing:
        return _refused(letter, f"{letter.template} needs the fields {', '.join(missing)} too")
    for name, value in letter.fields.items():
        if len(value) > MOST_FIELD_CHARACTERS:
            return _refused(letter, f"the field {name} has more than {MOST_FIELD_CHARACTERS:,} characters")
    try:
        address = parse_address(letter.to)
    except ValueError as error:
        return _refused(letter, f"to: {error}")
    try:
        # A subject with a line break, a template that asks for more: told to who sends it, not found out at night.
        texts.render(letter.template, letter.locale, letter.fields)
    except TemplateRefused as error:
        return _refused(letter, str(error))
    return Accepted(
        id=letter.id,
        template=letter.template,
        category=letter.category,
        lane=template.lane,
        locale=letter.locale,
        user_id=letter.user_id,
        org_id=letter.org_id,
        sender_domain=platform_sender().domain,
        domain=address.domain,
        address_hash=hash_of(address),
        sealed=Content(to=address.email, fields=letter.fields).seal(),
        expires_at=letter.expires_at,
        reply=letter.reply,
    )


def _refused(letter: NewLetter, reason: str) -> LetterState:
    return LetterState(id=letter.id, state="refused", reason=reason)


async def _wake(tx: Transaction, letters: Sequence[Accepted]) -> None:
    """Have letters handed over that wait from now on."""
    if letters:
        await store.upsert_destinations(tx, {(each.lane, each.sender_domain, each.domain) for each in letters})
    for lane in JOBS:
        if any(each.lane == lane for each in letters):
            enqueue_delivery(tx, lane)


async def cancel(caller: Principal, ids: Sequence[UUID]) -> list[LetterState]:
    """Stop letters that were not handed over yet, and return where each that is known stands.

    Raises:
        TooManyAtOnce
    """
    _check_number(ids)
    async with write(caller) as tx:
        await _cancel(tx, ids)
        states = await store.list_states(tx, ids)
    return [states[id] for id in ids if id in states]


async def _cancel(tx: Transaction, ids: Sequence[UUID]) -> int:
    cancelled = await store.update_cancelled(tx, ids)
    await holds.delete_held(tx, ids)
    return cancelled


async def stop(caller: Principal, letter_id: LetterId) -> Letter:
    """Stop a letter of an organization; one that is stopped stays so.

    Raises:
        LetterNotFound, LetterGone
    """
    seen = await permitted(caller, "email:cancel", store.find_letter, letter_id, missing=LetterNotFound)
    if seen.state != "cancelled":
        async with write(caller, result=letter_id) as tx:
            stopped = await _cancel(tx, [letter_id])
        if not stopped:
            raise LetterGone(f"it is {(await get_letter(caller, letter_id)).state}")
    return await get_letter(caller, letter_id)


async def get_letter(caller: Principal, letter_id: LetterId) -> Letter:
    return await permitted(caller, "email:read", store.find_letter, letter_id, missing=LetterNotFound)


async def list_attempts(caller: Principal, letter_id: LetterId) -> list[Attempt]:
    """List what mail servers answered, the first try first."""
    await get_letter(caller, letter_id)
    async with read() as db:
        return await store.list_attempts(db, letter_id)


async def list_letters(
    caller: Principal,
    *,
    org_id: OrgId | None,
    ids: list[LetterId] | None,
    states: list[Standing] | None,
    before: LetterId | None,
    limit: int,
) -> list[Letter]:
    """List the letters of organizations that the caller administrates, newest first."""
    reach = await reach_of(caller, "email:read")
    async with read() as db:
        return await store.list_letters(db, reach, org_id=org_id, ids=ids, states=states, before=before, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A letter as a laptop's page shows it."""

    id: UUID
    to: str
    subject: str
    text: str
    fields: dict[str, str]
    state: Standing
    created_at: datetime


async def list_mailbox(before: UUID | None, limit: int) -> list[Shown]:
    """List the newest letters, on a laptop whose settings allow it; everywhere else there is no such page.

    Raises:
        NotFound
    """
    if not settings().local_mail or urlsplit(settings().public_url).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise NotFound("no such path; /openapi.json lists them all")
    async with read() as db:
        letters = await store.list_mailed(db, before, limit)
        own = await texts.find_own_texts(db, {(each.org_id, each.template, each.source_id) for each in letters})
    shown: list[Shown] = []
    for each in letters:
        content = Content.unseal(each.sealed)
        unsubscribe = None if each.category is None else unsubscribe_url(each.id)
        rendered = texts.render(
            each.template,
            each.locale,
            content.fields,
            own=own.of(each.org_id, each.template, each.source_id),
            unsubscribe=unsubscribe,
        )
        shown.append(
            Shown(
                id=each.id,
                to=content.to,
                subject=rendered.subject,
                text=rendered.text,
                fields=content.fields,
                state=each.state,
                created_at=each.created_at,
            )
        )
    return shown


async def delete_content(caller: Principal, limit: int) -> int:
    async with write(caller) as tx:
        return await store.delete_content(tx, datetime.now(UTC) - KEPT_AFTER_END, limit)


async def delete_letters(caller: Principal, limit: int) -> int:
    async with write(caller) as tx:
        return await store.delete_letters(tx, datetime.now(UTC) - ROWS_KEPT_FOR, limit)


async def erase(run: JobRun, request: Erasing) -> None:
    """Delete letters to the addresses of a person, under whichever secret they were hashed."""
    hashes = [each for address in request.addresses for each in hashes_of(key_of(address))]

    async def delete(limit: int) -> int:
        async with write(run.principal) as tx:
            count = await store.delete_of_addresses(tx, hashes, request.org_id, limit)
            await erasure.count(tx, request, rows=count)
        return count

    if hashes:
        await in_batches(run, delete)
