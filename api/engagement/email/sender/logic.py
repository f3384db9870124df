"""Who writes letters: the platform, by its settings, and organizations whose DNS says that we may."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from email.utils import parseaddr
from functools import lru_cache

from api.engagement.email.contract import SenderExists, SenderId, SenderNotFound, SenderState
from api.engagement.email.sender import store
from api.engagement.email.sender.dns import DnsAway, txt_records
from api.engagement.email.sender.rules import (
    CHECKED_EVERY,
    CHECKED_EVERY_UNVERIFIED,
    Checked,
    Wanted,
    check_record,
    judge,
    wanted_records,
)
from api.engagement.email.sender.signing import Signer, make_keys, signer
from api.engagement.email.sender.store import Signing, StoredSender
from cluster.base.addresses import parse_address
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Invalid
from cluster.base.settings import settings
from cluster.data import Connection, read, write
from cluster.people.access import permit, permitted, reach_of, within

_HELD = timedelta(minutes=10)
"""A check that did not end by then is made by another worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """In whose name a letter goes, and who signs it; None: nobody."""

    name: str
    address: str
    signer: Signer | None = None

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@lru_cache(maxsize=8)
def _parse(text: str) -> Sender:
    name, address = parseaddr(text)
    if "@" not in address:
        raise RuntimeError(f"HUB_MAIL_FROM is `Name <address>`, not {text!r}")
    return Sender(name=name or "LearningHub", address=address)


def platform_sender() -> Sender:
    """Return who writes the platform's own letters.

    Raises:
        RuntimeError: HUB_MAIL_FROM names no address.
    """
    return _parse(settings().mail_from)


class Senders:
    """The verified senders of some domains, as they are now."""

    def __init__(self, signing: Sequence[Signing] = ()) -> None:
        self._by_place: Mapping[tuple[OrgId | None, str], Signing] = {
            (each.org_id, each.domain): each for each in signing
        }

    def writes_itself(self, org_id: OrgId | None, domain: str) -> bool:
        """Tell whether an organization writes a letter that was taken for this domain, and not the platform."""
        return org_id is not None and (org_id, domain) in self._by_place

    def of(self, org_id: OrgId | None, domain: str) -> Sender:
        """Return who writes a letter that was taken for a sender's domain: the platform, if that is no longer verified."""
        own = self._by_place.get((org_id, domain)) if org_id is not None else None
        if own is not None:
            return Sender(name=own.name, address=own.mail_from, signer=_signer(own))
        platform = platform_sender()
        signing = self._by_place.get((None, platform.domain))
        return Sender(
            name=platform.name, address=platform.address, signer=None if signing is None else _signer(signing)
        )


def _signer(signing: Signing) -> Signer:
    return signer(signing.domain, signing.selector, signing.rsa, signing.ed25519)


async def find_senders(db: Connection, domains: set[str]) -> Senders:
    """Find the senders of these domains, and the platform's."""
    return Senders(await store.list_signing(db, sorted({*domains, platform_sender().domain})))


async def create_sender(caller: Principal, org_id: OrgId | None, *, address: str, name: str) -> StoredSender:
    """Name who writes the letters of an organization; without one: let the platform's letters be signed.

    Raises:
        SenderExists, Invalid
    """
    await permit(caller, "sender:edit", within(org_id=org_id))
    try:
        parsed = parse_address(address)
    except ValueError as error:
        raise Invalid(str(error), pointer="/address") from None
    if not parsed.key.isascii():
        raise Invalid("write the part before the @ in ASCII: many mail servers take no other", pointer="/address")
    if org_id is None and parsed.domain != platform_sender().domain:
        raise Invalid(f"the platform writes from {platform_sender().domain} (HUB_MAIL_FROM)", pointer="/address")
    sender_id = SenderId(new_id())
    keys = await asyncio.to_thread(make_keys, sender_id, 1)
    local = parsed.email.rpartition("@")[0]
    async with write(caller, result=sender_id, status=201) as tx:
        sender = await store.insert_sender(
            tx, sender_id, org_id, domain=parsed.domain, mail_from=f"{local}@{parsed.domain}", name=name
        )
        if sender is None:
            raise SenderExists("delete it before you name another one", pointer="/organization_id")
        await store.insert_keys(tx, sender_id, 1, keys)
    return await _check_now(caller, sender_id)


async def get_sender(caller: Principal, sender_id: SenderId) -> StoredSender:
    return await permitted(caller, "sender:read", store.find_sender, sender_id, missing=SenderNotFound)


async def list_senders(
    caller: Principal, *, org_id: OrgId | None, ids: list[SenderId] | None, before: SenderId | None, limit: int
) -> list[StoredSender]:
    reach = await reach_of(caller, "sender:read")
    async with read() as db:
        return await store.list_senders(db, reach, org_id=org_id, ids=ids, before=before, limit=limit)


async def delete_sender(caller: Principal, sender_id: SenderId) -> None:
    """Let the platform write an organization's letters again."""
    await permitted(caller, "sender:edit", store.find_sender, sender_id, missing=SenderNotFound)
    async with write(caller, result=sender_id, status=204) as tx:
        await store.delete_sender(tx, sender_id)


async def rotate_keys(caller: Principal, sender_id: SenderId) -> StoredSender:
    """Make new keys. They replace the present ones once DNS has both; asked again before that, nothing changes."""
    sender = await permitted(caller, "sender:edit", store.find_sender, sender_id, missing=SenderNotFound)
    keys = await asyncio.to_thread(make_keys, sender_id, sender.generation + 1)
    async with write(caller, result=sender_id) as tx:
        locked = await store.lock_sender(tx, sender_id)
        if locked is None:
            raise SenderNotFound
        if locked.generation == sender.generation:
            await store.insert_keys(tx, sender_id, sender.generation + 1, keys)
    return await _check_now(caller, sender_id)


async def check_sender(caller: Principal, sender_id: SenderId) -> StoredSender:
    """Ask DNS for a sender's records, and say what is missing there."""
    return await _check_now(caller, sender_id, result=sender_id)


async def _check_now(caller: Principal, sender_id: SenderId, result: SenderId | None = None) -> StoredSender:
    sender = await permitted(caller, "sender:edit", store.find_sender, sender_id, missing=SenderNotFound)
    async with read() as db:
        keys = await store.list_keys(db, sender)
    public = [(each.generation, each.selector, each.rsa_public, each.ed25519_public) for each in keys]
    wanted = wanted_records(sender.domain, platform_sender().domain, public)
    checked = await asyncio.gather(*(_check(each) for each in wanted))
    verdict = judge(checked, sender.generation)
    async with write(caller, result=result) as tx:
        locked = await store.lock_sender(tx, sender_id)
        if locked is None:
            raise SenderNotFound
        if locked.version != sender.version:
            # Another check ended meanwhile.
            return locked
        state: SenderState = locked.state
        if verdict.allowed is not None:
            state = "verified" if verdict.allowed else "unverified" if state == "unverified" else "failing"
        every = CHECKED_EVERY if state == "verified" else CHECKED_EVERY_UNVERIFIED
        return await store.update_checked(
            tx,
            sender_id,
            state=state,
            records=[asdict(each) for each in checked if (each.generation or verdict.generation) >= verdict.generation],
            generation=verdict.generation,
            check_at=tx.now + every,
        )


async def _check(wanted: Wanted) -> Checked:
    """Ask for a record at each of its names, until one has it."""
    first: Checked | None = None
    for name in wanted.names:
        try:
            records = await txt_records(name)
        except DnsAway:
            return check_record(wanted, wanted.names[0], None)
        checked = check_record(wanted, name, records)
        if checked.state != "missing":
            return checked
        first = first or checked
    assert first is not None
    return first


async def check_due(caller: Principal, limit: int) -> int:
    """Check senders whose time has come; return how many."""
    async with write(caller) as tx:
        due = await store.update_taken(tx, _HELD, limit)
    for sender_id in due:
        try:
            await check_sender(caller, sender_id)
        except SenderNotFound:
            continue
    return len(due)
