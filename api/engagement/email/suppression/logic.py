"""Use cases of suppressions: an address gets no more letters, or gets them again."""

from uuid import UUID

from api.engagement.email.contract import (
    AddressAllowed,
    AddressBlocked,
    AddressSuppressed,
    LetterUnsubscribed,
    LiftReason,
    NotLiftable,
    SuppressionId,
    SuppressionNotFound,
    SuppressionReason,
)
from api.engagement.email.letter.content import hash_of, hashes_of
from api.engagement.email.suppression import store
from api.engagement.email.suppression.links import letter_of_token
from api.engagement.email.suppression.store import NewSuppression, Suppression, Unsubscribable
from cluster.base.addresses import key_of, parse_address
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal, platform
from cluster.base.problems import Invalid
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people.access import permit, permitted, reach_of, within


async def suppress(
    tx: Transaction,
    address_hash: bytes,
    reason: SuppressionReason,
    *,
    letter_id: UUID | None,
    status: str | None = None,
    org_id: OrgId | None = None,
    category: str | None = None,
    caused_in: OrgId | None = None,
) -> bool:
    """Send an address nothing more, or with a category nothing of it in an organization's name.

    Return False, and change nothing, when it is so already.
    """
    new = NewSuppression(
        id=SuppressionId(new_id()),
        address_hash=address_hash,
        reason=reason,
        category=category,
        org_id=org_id,
        letter_id=letter_id,
        status=status,
        caused_in=caused_in,
    )
    if not await store.insert_suppression(tx, new):
        return False
    emit(tx, AddressSuppressed(suppression_id=new.id, org_id=org_id, reason=reason), version=1)
    return True


async def find_unsubscribable(token: str) -> Unsubscribable | None:
    """Find the letter whose link this is; None: we made no such link, or the letter is forgotten."""
    letter_id = letter_of_token(token)
    if letter_id is None:
        return None
    async with read() as db:
        return await store.find_unsubscribable(db, letter_id)


async def unsubscribe(token: str) -> Unsubscribable | None:
    """Send the reader of a letter no more of its kind in that name; None: there is no such link."""
    letter = await find_unsubscribable(token)
    if letter is None:
        return None
    async with write(platform("email")) as tx:
        new = await suppress(
            tx,
            letter.address_hash,
            "unsubscribed",
            letter_id=letter.id,
            org_id=letter.org_id,
            category=letter.category,
        )
        version = await store.update_unsubscribed(tx, letter.id) if new else None
        if version is not None:
            told = LetterUnsubscribed(
                letter_id=letter.id,
                org_id=letter.org_id,
                user_id=letter.user_id,
                template=letter.template,
                category=letter.category,
            )
            emit(tx, told, version=version)
    return letter


async def allow(caller: Principal, to: str, org_id: OrgId | None, category: str) -> None:
    """Undo that an address unsubscribed from a category of an organization."""
    async with write(caller) as tx:
        await store.delete_unsubscriptions(tx, hashes_of(key_of(to)), org_id, category)


async def get_suppression(caller: Principal, suppression_id: SuppressionId) -> Suppression:
    return await permitted(
        caller, "suppression:read", store.find_suppression, suppression_id, missing=SuppressionNotFound
    )


async def list_suppressions(
    caller: Principal,
    *,
    org_id: OrgId | None,
    ids: list[SuppressionId] | None,
    email: str | None,
    before: SuppressionId | None,
    limit: int,
) -> list[Suppression]:
    """List what stops letters of organizations that the caller administrates, newest first; of one address if it is named."""
    reach = await reach_of(caller, "suppression:read")
    hashes = None if email is None else hashes_of(key_of(email))
    async with read() as db:
        return await store.list_suppressions(
            db, reach, org_id=org_id, ids=ids, hashes=hashes, before=before, limit=limit
        )


async def add(caller: Principal, org_id: OrgId, email: str) -> Suppression:
    """Send an address no more letters in an organization's name, but those into an account. Again changes nothing."""
    await permit(caller, "suppression:edit", within(org_id=org_id))
    try:
        hashed = hash_of(parse_address(email))
    except ValueError as error:
        raise Invalid(str(error), pointer="/email") from None
    async with read() as db:
        present = await store.find_manual(db, hashed, org_id)
    new = NewSuppression(
        id=SuppressionId(new_id()) if present is None else present.id,
        address_hash=hashed,
        reason="manual",
        category=None,
        org_id=org_id,
        letter_id=None,
        status=None,
        caused_in=None,
    )
    async with write(caller, result=new.id, status=201) as tx:
        stands, is_new = await store.upsert_manual(tx, new)
        if is_new:
            emit(tx, AddressBlocked(suppression_id=new.id, org_id=org_id), version=1)
    return stands


async def lift(caller: Principal, suppression_id: SuppressionId, reason: LiftReason) -> None:
    """Send an address letters again.

    Raises:
        SuppressionNotFound
        NotLiftable: the reader does not want them.
    """
    found = await permitted(
        caller, "suppression:edit", store.find_suppression, suppression_id, missing=SuppressionNotFound
    )
    if found.reason == "unsubscribed":
        raise NotLiftable("its reader gave them up, and alone can turn them on again, in their profile")
    if found.reason == "complained":
        await permit(caller, "suppression:lift-complaint", within())
    async with write(caller, result=suppression_id, status=204) as tx:
        if await store.delete_suppression(tx, suppression_id):
            told = AddressAllowed(suppression_id=suppression_id, org_id=found.org_id, reason=reason)
            emit(tx, told, version=2)
