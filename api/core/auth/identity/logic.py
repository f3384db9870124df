"""Use cases of identities: make them, verify and change the address, change and reset the password."""

import base64
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg

from api.core.auth.addresses import key_of, parse_address
from api.core.auth.contract import (
    DEFAULT_LOCALE,
    Address,
    EmailTaken,
    EmailVerified,
    IdentityCreated,
    IdentityId,
    LinkOver,
    MailReset,
    NotWhileImpersonating,
    PasswordChanged,
    Registered,
    TooManyLetters,
    WrongPassword,
)
from api.core.auth.identity import store
from api.core.auth.identity.store import Identity
from api.core.auth.mail import logic as mails
from api.core.auth.mail import store as links
from api.core.auth.mail.store import Link
from api.core.auth.passwords import check_password, hash_password, verify_password
from api.core.auth.session import logic as sessions
from api.core.auth.session.ending import end_all
from api.core.auth.throttle import store as throttles
from api.core.auth.throttle.logic import buckets_of, too_many_guesses
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal, platform
from cluster.base.problems import NotFound
from cluster.base.sealing import seal, sha256, unseal
from cluster.data import read, write
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people.access import permitted

_SEALING_PURPOSE = "reset request"


async def create_identity(user_id: UserId, email: str, password: str, locale: str) -> Registered:
    """Let a person sign in by e-mail and password, or return the person who has the address.

    Raises:
        EmailInvalid, PasswordRefused, Unavailable
    """
    address = parse_address(email)
    check_password(password)
    hashed = await hash_password(password)
    async with write(Principal(kind="person", id=user_id)) as tx:
        made = await store.insert_identity(
            tx, IdentityId(new_id()), user_id, subject=address.key, email=address.email, secret_hash=hashed
        )
        if made is not None:
            emit(tx, IdentityCreated(identity_id=made.id, user_id=user_id), version=made.version)
            await mails.post(tx, user_id, purpose="verify", email=address.email, subject=address.key, locale=locale)
    if made is not None:
        return Registered(
            user_id=user_id, email=address.email, created=True, same_password=True, created_at=made.created_at
        )
    async with read() as db:
        present = await store.find_identity_by_subject(db, address.key)
    if present is None:
        # The identity was released between the two statements: the next attempt finds the address free.
        raise EmailTaken("the address was in use until just now: try again", pointer="/email")
    return Registered(
        user_id=present.user_id,
        email=address.email,
        created=False,
        same_password=await verify_password(password, present.secret_hash),
        created_at=present.created_at,
    )


async def release_identity(caller: Principal, user_id: UserId) -> None:
    """Delete the identities of a person, and end their sessions."""
    async with write(caller) as tx:
        await store.delete_identity(tx, user_id)
        await end_all(tx, user_id, "released")


async def get_identity(caller: Principal) -> Identity:
    return await permitted(caller, "identity:read", store.find_identity, caller.person())


async def address_of(user_id: UserId) -> Address | None:
    try:
        identity = await permitted(platform("auth"), "identity:read", store.find_identity, user_id)
    except NotFound:
        return None
    return None if identity.email is None else _address(identity)


async def owns_address(user_id: UserId, email: str) -> bool:
    """Tell whether this is the verified address of a person."""
    async with read() as db:
        identity = await store.find_identity_by_subject(db, key_of(email))
    return identity is not None and identity.user_id == user_id and identity.email_verified


def _address(identity: Identity) -> Address:
    return Address(email=identity.email or "", verified=identity.email_verified)


async def _own_identity(caller: Principal) -> Identity:
    """Return the identity of a caller who may change it.

    Raises:
        NotWhileImpersonating, NotFound
    """
    user_id = caller.person()
    if caller.acting_for is not None:
        raise NotWhileImpersonating("end the impersonation first")
    return await permitted(caller, "identity:edit", store.find_identity, user_id)


async def check_own_password(identity: Identity, password: str, address: str) -> list[bytes]:
    """Check the password of a signed-in person, and return the throttle's keys to clear.

    Raises:
        WrongPassword, TooManyGuesses
    """
    buckets = buckets_of(identity.subject, address)[:2]
    now = datetime.now(UTC)
    async with read() as db:
        attempt = await throttles.count_attempt(db, buckets, identity.subject, now)
    if attempt.blocked_until is not None:
        raise too_many_guesses(attempt.blocked_until, now)
    if not await verify_password(password, identity.secret_hash):
        raise WrongPassword("this is not the present password of your account", pointer="/password")
    return [bucket.key for bucket in buckets]


async def change_password(caller: Principal, present: str, new: str, address: str) -> Identity:
    """Change the caller's password; proving the present one counts as a recent sign-in. Other sessions end.

    Raises:
        WrongPassword, PasswordRefused, TooManyGuesses
    """
    identity = await _own_identity(caller)
    user_id = identity.user_id
    check_password(new, pointer="/new_password")
    throttle_keys = await check_own_password(identity, present, address)
    hashed = await hash_password(new)
    async with write(caller) as tx:
        # Links are deleted before the identity is locked, in the order of `reset_password`, so that the two do not deadlock.
        # A link that was mailed before this change must not undo it.
        await links.delete_links(tx, user_id, "reset")
        locked = await store.lock_identity(tx, user_id)
        if locked is None or locked.secret_hash != identity.secret_hash:
            raise WrongPassword("the password was changed meanwhile", pointer="/password")
        changed = await store.update_identity(tx, replace(locked, secret_hash=hashed))
        await throttles.delete_throttles(tx, throttle_keys)
        emit(tx, PasswordChanged(identity_id=changed.id, user_id=user_id, reset=False), version=changed.version)
        await end_all(tx, user_id, "password_changed", except_id=caller.session_id)
    return changed


async def reauthenticate(caller: Principal, password: str, address: str) -> sessions.SignedIn:
    """Prove the password again in the same session, for requests that need a recent sign-in.

    Raises:
        WrongPassword, TooManyGuesses
    """
    identity = await _own_identity(caller)
    return await sessions.renew(caller, await check_own_password(identity, password, address))


async def request_email(caller: Principal, email: str, password: str, locale: str) -> None:
    """Mail a link to a new address.

    Raises:
        EmailInvalid, EmailTaken, WrongPassword, TooManyGuesses, TooManyLetters
    """
    identity = await _own_identity(caller)
    address = parse_address(email)
    throttle_keys = await check_own_password(identity, password, "")
    async with read() as db:
        present = await store.find_identity_by_subject(db, address.key)
    if present is not None and present.user_id != identity.user_id:
        raise EmailTaken("choose another address, or sign in to the account that has this one", pointer="/email")
    async with write(caller) as tx:
        await throttles.delete_throttles(tx, throttle_keys)
        posted = await mails.post(
            tx, identity.user_id, purpose="verify", email=address.email, subject=address.key, locale=locale
        )
    if not posted:
        raise _too_many_letters()


def _too_many_letters() -> TooManyLetters:
    return TooManyLetters("the link in the last letter works; wait an hour for another one", retry_after_s=3600)


async def request_verification(caller: Principal, locale: str) -> None:
    """Mail the link for the present address again, unless it is verified.

    Raises:
        TooManyLetters
    """
    identity = await _own_identity(caller)
    if identity.email is None or identity.email_verified:
        return
    async with write(caller) as tx:
        posted = await mails.post(
            tx, identity.user_id, purpose="verify", email=identity.email, subject=identity.subject, locale=locale
        )
    if not posted:
        raise _too_many_letters()


async def verify_email(caller: Principal, token: str) -> Address:
    """Make the mailed link's address the person's own. All sessions but the caller's end.

    The link counts only for the person who is signed in to the account: the owner of an address that somebody else entered must
    not verify that account by a click. Source: Sudhodanan, Paverd: Pre-hijacked accounts (USENIX Security 2022).

    Raises:
        LinkOver, EmailTaken, NotWhileImpersonating
    """
    user_id = (await _own_identity(caller)).user_id
    async with write(caller) as tx:
        link = await links.lock_link(tx, sha256(token))
        if link is None or link.user_id != user_id or link.purpose != "verify":
            raise LinkOver("it is not a link to confirm an address of this account; ask for a new one")
        identity = await store.lock_identity(tx, user_id)
        if identity is None:
            raise LinkOver("the account has no e-mail sign-in any more")
        if link.used_at is not None:
            if identity.subject == link.subject and identity.email_verified:
                return _address(identity)
            raise LinkOver("it was used before; ask for a new one")
        if link.expires_at <= tx.now:
            raise LinkOver("it has expired; ask for a new one")
        await links.update_used(tx, link)
        verified = replace(identity, subject=link.subject, email=link.email, email_verified_at=tx.now)
        try:
            changed = await store.update_identity(tx, verified)
        except asyncpg.UniqueViolationError:
            raise EmailTaken("another account has this address by now", pointer="/email") from None
        emit(tx, EmailVerified(identity_id=changed.id, user_id=user_id), version=changed.version)
        await end_all(tx, user_id, "email_verified", except_id=caller.session_id)
    return _address(changed)


async def request_reset(email: str, locale: str | None) -> None:
    """Have a job mail a link to a new password. The request does the same work whether the address has an account or not."""
    sealed = base64.b64encode(seal("auth", _SEALING_PURPOSE, key_of(email).encode())).decode()
    async with write(Principal(kind="guest")) as tx:
        enqueue(tx, MailReset(sealed=sealed, locale=locale or DEFAULT_LOCALE))


async def mail_reset(sealed: str, locale: str) -> None:
    """Mail a link to a new password, if the sealed address has an account. The caller does not learn whether it has."""
    subject = unseal("auth", _SEALING_PURPOSE, base64.b64decode(sealed)).decode()
    async with read() as db:
        identity = await store.find_identity_by_subject(db, subject)
    if identity is None or identity.email is None:
        return
    async with write(platform("auth")) as tx:
        # Nothing tells the caller of too many requests either.
        await mails.post(
            tx, identity.user_id, purpose="reset", email=identity.email, subject=identity.subject, locale=locale
        )


async def reset_password(token: str, password: str) -> None:
    """Set a new password by a mailed link. It proves the address; every session ends.

    Raises:
        LinkOver, PasswordRefused
    """
    check_password(password)
    async with read() as db:
        _check_reset(await links.find_link(db, sha256(token)), datetime.now(UTC))
    # Hashed only for a valid link: it is slow, and strangers must not delay the sign-in of others.
    hashed = await hash_password(password)
    async with write(Principal(kind="guest")) as tx:
        link = _check_reset(await links.lock_link(tx, sha256(token)), tx.now)
        identity = await store.lock_identity(tx, link.user_id)
        if identity is None or identity.subject != link.subject:
            raise LinkOver("the account has another address by now; ask for a new one")
        await links.update_used(tx, link)
        verified_at = identity.email_verified_at or tx.now
        changed = await store.update_identity(tx, replace(identity, email_verified_at=verified_at, secret_hash=hashed))
        emit(tx, PasswordChanged(identity_id=changed.id, user_id=changed.user_id, reset=True), version=changed.version)
        await end_all(tx, changed.user_id, "password_reset")


def _check_reset(link: Link | None, now: datetime) -> Link:
    if link is None or link.purpose != "reset" or link.used_at is not None or link.expires_at <= now:
        raise LinkOver("it was used, replaced by a newer one, or has expired; ask for a new one")
    return link
