"""Identities: make them with an account, verify and change their address, change and reset their password."""

from datetime import UTC, datetime

from api.core.auth import identity_store, mails, sessions, store
from api.core.auth.addresses import key_of, parse_address
from api.core.auth.contract import (
    Address,
    EmailTaken,
    EmailVerified,
    IdentityCreated,
    IdentityId,
    LinkOver,
    NotWhileImpersonating,
    PasswordChanged,
    Registered,
    TooManyLetters,
    WrongPassword,
)
from api.core.auth.identity_store import Identity, Link
from api.core.auth.passwords import check_password, hash_password, verify_password
from api.core.auth.sealing import sha256
from api.core.auth.throttle import buckets, refuse
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal
from cluster.data import read, write
from cluster.events import emit
from cluster.people.access import permit


async def create_identity(user_id: UserId, email: str, password: str) -> Registered:
    """Let a person sign in by e-mail and password, or tell whose the address is.

    Raises:
        EmailInvalid, PasswordRefused, Unavailable
    """
    address = parse_address(email)
    check_password(password)
    hashed = await hash_password(password)
    async with write(Principal(kind="person", id=user_id)) as tx:
        made = await identity_store.insert_identity(
            tx, IdentityId(new_id()), user_id, subject=address.key, email=address.email, secret_hash=hashed
        )
        if made is not None:
            emit(tx, IdentityCreated(identity_id=made.id, user_id=user_id), version=made.version)
            await mails.post(tx, user_id, purpose="verify", email=address.email, subject=address.key)
    if made is not None:
        return Registered(
            user_id=user_id, email=address.email, created=True, same_password=True, created_at=made.created_at
        )
    async with read() as db:
        present = await identity_store.find_by_subject(db, address.key)
    if present is None:
        # It was released between the two statements: the next attempt finds the address free.
        raise EmailTaken("the address was in use until just now: try again", pointer="/email")
    return Registered(
        user_id=present.user_id,
        email=address.email,
        created=False,
        same_password=await verify_password(password, present.secret_hash),
        created_at=present.created_at,
    )


async def release_identity(actor: Principal, user_id: UserId) -> None:
    """Delete all that a person signs in with and end their sessions."""
    async with write(actor) as tx:
        await identity_store.delete_of_user(tx, user_id)
        await sessions.end_all(tx, user_id, "released")


async def get_identity(principal: Principal) -> Identity:
    user_id = principal.person()
    async with read() as db:
        guarded = await identity_store.find_of_user(db, user_id)
    return await permit(principal, "identity:read", guarded)


async def address_of(user_id: UserId) -> Address | None:
    async with read() as db:
        guarded = await identity_store.find_of_user(db, user_id)
    if guarded is None:
        return None
    identity = await permit(Principal(kind="platform", service="auth"), "identity:read", guarded)
    return None if identity.email is None else _address(identity)


async def owns_address(user_id: UserId, email: str) -> bool:
    """Tell whether a person has proven that this address is theirs."""
    async with read() as db:
        identity = await identity_store.find_by_subject(db, key_of(email))
    return identity is not None and identity.user_id == user_id and identity.email_verified_at is not None


def _address(identity: Identity) -> Address:
    return Address(email=identity.email or "", verified=identity.email_verified_at is not None)


async def _own(principal: Principal) -> Identity:
    """Return the identity that `principal` changes.

    Raises:
        NotWhileImpersonating, NotFound
    """
    user_id = principal.person()
    if principal.acting_for is not None:
        raise NotWhileImpersonating("end the impersonation first")
    async with read() as db:
        guarded = await identity_store.find_of_user(db, user_id)
    return await permit(principal, "identity:edit", guarded)


async def check_own_password(identity: Identity, password: str, address: str) -> list[bytes]:
    """Return the throttle's keys to clear when this is the password of a signed-in person.

    Raises:
        WrongPassword, TooManyGuesses
    """
    counted = buckets(identity.subject, address)[:2]
    now = datetime.now(UTC)
    async with read() as db:
        attempt = await store.count_attempt(db, counted, identity.subject, now)
    if attempt.blocked_until is not None:
        raise refuse(attempt.blocked_until, now)
    if not await verify_password(password, identity.secret_hash):
        raise WrongPassword("this is not the present password of your account", pointer="/password")
    return [bucket.key for bucket in counted]


async def change_password(principal: Principal, present: str, new: str, address: str) -> Identity:
    """Change the caller's password; who proves the present one has signed in recently enough. Other sessions end.

    Raises:
        WrongPassword, PasswordRefused, TooManyGuesses
    """
    identity = await _own(principal)
    user_id = identity.user_id
    check_password(new, pointer="/new_password")
    forgive = await check_own_password(identity, present, address)
    hashed = await hash_password(new)
    async with write(principal) as tx:
        # Before the identity is locked, as resetting does, so that neither waits for the other. Who was mailed a link before this
        # change must not undo it.
        await identity_store.delete_links(tx, user_id, "reset")
        locked = await identity_store.lock_of_user(tx, user_id)
        if locked is None or locked.secret_hash != identity.secret_hash:
            raise WrongPassword("the password was changed meanwhile", pointer="/password")
        changed = await identity_store.update_identity(
            tx,
            locked.id,
            subject=locked.subject,
            email=locked.email,
            email_verified_at=locked.email_verified_at,
            secret_hash=hashed,
        )
        await store.delete_throttles(tx, forgive)
        emit(tx, PasswordChanged(identity_id=changed.id, user_id=user_id, reset=False), version=changed.version)
        await sessions.end_all(tx, user_id, "password_changed", but=principal.session_id)
    return changed


async def reauthenticate(principal: Principal, password: str, address: str) -> sessions.SignedIn:
    """Prove the password again in a session that lasts: for what asks for a recent sign-in.

    Raises:
        WrongPassword, TooManyGuesses
    """
    identity = await _own(principal)
    return await sessions.renew(principal, await check_own_password(identity, password, address))


async def request_email(principal: Principal, email: str, password: str) -> None:
    """Mail a link to a new address.

    Raises:
        EmailInvalid, EmailTaken, WrongPassword, TooManyGuesses, TooManyLetters
    """
    identity = await _own(principal)
    address = parse_address(email)
    forgive = await check_own_password(identity, password, "")
    async with read() as db:
        present = await identity_store.find_by_subject(db, address.key)
    if present is not None and present.user_id != identity.user_id:
        raise EmailTaken("choose another address, or sign in to the account that has this one", pointer="/email")
    async with write(principal) as tx:
        await store.delete_throttles(tx, forgive)
        posted = await mails.post(tx, identity.user_id, purpose="verify", email=address.email, subject=address.key)
    if not posted:
        raise _enough()


def _enough() -> TooManyLetters:
    return TooManyLetters("the link in the last letter works; wait an hour for another one", retry_after_s=3600)


async def request_verification(principal: Principal) -> None:
    """Mail the link for the present address again, unless it is verified.

    Raises:
        TooManyLetters
    """
    identity = await _own(principal)
    if identity.email is None or identity.email_verified_at is not None:
        return
    async with write(principal) as tx:
        posted = await mails.post(
            tx, identity.user_id, purpose="verify", email=identity.email, subject=identity.subject
        )
    if not posted:
        raise _enough()


async def verify_email(principal: Principal, token: str) -> Address:
    """Make the mailed link's address the person's own. Sessions other than the asking one end.

    The link counts only for who is signed in to the account: whoever was entered as somebody else's address and clicks, must
    not vouch for an account that another holds. Source: Sudhodanan, Paverd: Pre-hijacked accounts (USENIX Security 2022).

    Raises:
        LinkOver, EmailTaken, NotWhileImpersonating
    """
    user_id = (await _own(principal)).user_id
    async with write(principal) as tx:
        link = await identity_store.lock_link(tx, sha256(token))
        if link is None or link.user_id != user_id or link.purpose != "verify":
            raise LinkOver("it is not a link to confirm an address of this account; ask for a new one")
        identity = await identity_store.lock_of_user(tx, user_id)
        if identity is None:
            raise LinkOver("the account has no e-mail sign-in any more")
        if link.used_at is not None:
            if identity.subject == link.subject and identity.email_verified_at is not None:
                return _address(identity)
            raise LinkOver("it was used before; ask for a new one")
        if link.expires_at <= tx.now:
            raise LinkOver("it has expired; ask for a new one")
        await identity_store.use_link(tx, link.token_sha256)
        changed = await identity_store.update_identity(
            tx,
            identity.id,
            subject=link.subject,
            email=link.email,
            email_verified_at=tx.now,
            secret_hash=identity.secret_hash,
        )
        emit(tx, EmailVerified(identity_id=changed.id, user_id=user_id), version=changed.version)
        await sessions.end_all(tx, user_id, "email_verified", but=principal.session_id)
    return _address(changed)


async def mail_reset(subject: str) -> None:
    """Mail a link to a new password, if the address has an account. Nobody is told whether it has."""
    async with read() as db:
        identity = await identity_store.find_by_subject(db, subject)
    if identity is None or identity.email is None:
        return
    async with write(Principal(kind="platform", service="auth")) as tx:
        # Who asks too often is not told either.
        await mails.post(tx, identity.user_id, purpose="reset", email=identity.email, subject=identity.subject)


async def reset_password(token: str, password: str) -> None:
    """Set a new password by a mailed link. It proves the address; every session ends.

    Raises:
        LinkOver, PasswordRefused
    """
    check_password(password)
    async with read() as db:
        _check_reset(await identity_store.find_link(db, sha256(token)), datetime.now(UTC))
    # Only for who has a link: hashing is slow, and strangers must not keep everybody's sign-in waiting.
    hashed = await hash_password(password)
    async with write(Principal(kind="guest")) as tx:
        link = _check_reset(await identity_store.lock_link(tx, sha256(token)), tx.now)
        identity = await identity_store.lock_of_user(tx, link.user_id)
        if identity is None or identity.subject != link.subject:
            raise LinkOver("the account has another address by now; ask for a new one")
        await identity_store.use_link(tx, link.token_sha256)
        changed = await identity_store.update_identity(
            tx,
            identity.id,
            subject=identity.subject,
            email=identity.email,
            email_verified_at=identity.email_verified_at or tx.now,
            secret_hash=hashed,
        )
        emit(tx, PasswordChanged(identity_id=changed.id, user_id=changed.user_id, reset=True), version=changed.version)
        await sessions.end_all(tx, changed.user_id, "password_reset")


def _check_reset(link: Link | None, now: datetime) -> Link:
    if link is None or link.purpose != "reset" or link.used_at is not None or link.expires_at <= now:
        raise LinkOver("it was used, replaced by a newer one, or has expired; ask for a new one")
    return link
