"""Profiles: sign up, read, change; and the address, which auth verifies."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.core.auth.contract import AuthCalls, EmailTaken
from api.core.user import rules, store
from api.core.user.contract import UserCreated, UserNotFound, UserUpdated
from api.core.user.store import User
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal, platform
from cluster.base.problems import Stale
from cluster.data import read, write
from cluster.events import emit
from cluster.people.access import permit, reach_of
from cluster.people.calls import client


async def sign_up(principal: Principal, *, email: str, password: str, name: str, locale: str) -> User:
    """Make an account: first what one signs in with, then the profile, which is what makes it visible.

    A sign-up that broke off in between is finished by the same person trying again, or taken over by whoever has the address
    now; marking its id as abandoned first keeps a slow twin from finishing it after all.

    Raises:
        EmailTaken, EmailInvalid, PasswordRefused, Invalid, SignUpTakenOver
    """
    name = rules.clean_name(name)
    user_id = UserId(new_id())
    registered = await client(AuthCalls).create_identity(user_id, email, password)
    if not registered.created:
        async with read() as db:
            taken = await store.exists(db, registered.user_id)
        if taken:
            raise _taken()
        if not registered.same_password:
            if not rules.has_broken_off(registered.created_at, datetime.now(UTC)):
                raise _taken()
            async with write(platform("user")) as tx:
                abandoned = await store.abandon(tx, registered.user_id)
            if not abandoned:
                raise _taken()
            await client(AuthCalls).release_identity(registered.user_id)
            registered = await client(AuthCalls).create_identity(user_id, email, password)
            if not registered.created:
                raise _taken()
    user_id = registered.user_id
    actor = Principal(kind="person", id=user_id)
    async with write(actor if principal.id is None else principal, result=user_id, status=201) as tx:
        user = await store.insert_user(tx, user_id, email=registered.email, name=name, locale=locale)
        emit(tx, UserCreated(user_id=user_id), version=user.version)
    return user


def _taken() -> EmailTaken:
    return EmailTaken(
        "sign in, or have a link to a new password mailed: POST /v1/identities/-/forgot", pointer="/email"
    )


async def get_user(principal: Principal, user_id: UserId) -> User:
    async with read() as db:
        guarded = await store.find_user(db, user_id)
    return await permit(principal, "user:read", guarded, missing=UserNotFound)


async def get_signed_up(user_id: UserId) -> User:
    """Return the profile that a repeated sign-up made."""
    return await get_user(platform("user"), user_id)


async def list_users(
    principal: Principal, *, ids: list[UUID] | None, email: str | None, after: UUID | None, limit: int
) -> Sequence[User]:
    """Return people, for the platform's administrators; others see none."""
    reach = await reach_of(principal, "user:list")
    if not reach.everywhere:
        return []
    async with read() as db:
        return await store.list_users(db, ids=ids, email=email, after=after, limit=limit)


async def change_user(principal: Principal, user_id: UserId, version: int, changes: dict[str, Any]) -> User:
    """Change a profile; `accessibility` is merged, null clears one of its settings.

    Raises:
        UserNotFound, Invalid, Stale
    """
    async with read() as db:
        guarded = await store.find_user(db, user_id)
    await permit(principal, "user:edit", guarded, missing=UserNotFound)
    if "name" in changes:
        changes["name"] = rules.clean_name(changes["name"])
    if "time_zone" in changes:
        rules.check_time_zone(changes["time_zone"])
    async with write(principal, result=user_id) as tx:
        present = await store.lock_user(tx, user_id)
        if present is None:
            raise UserNotFound
        if present.version != version:
            raise Stale(present.version)
        merged = {**present.accessibility, **changes.get("accessibility", {})}
        user = await store.update_user(
            tx,
            user_id,
            name=changes.get("name", present.name),
            locale=changes.get("locale", present.locale),
            time_zone=changes.get("time_zone", present.time_zone),
            pronouns=changes.get("pronouns", present.pronouns),
            accessibility={key: value for key, value in merged.items() if value is not None},
        )
        emit(tx, UserUpdated(user_id=user_id), version=user.version)
    return user


async def request_email(principal: Principal, email: str, password: str) -> User:
    """Have a link mailed to a new address; the present one counts until that link is used.

    Raises:
        EmailInvalid, EmailTaken, WrongPassword, TooManyGuesses
    """
    user = await get_user(principal, principal.person())
    await client(AuthCalls).request_email(principal, email, password)
    return user


async def request_verification(principal: Principal) -> User:
    """Have the link for the present address mailed again."""
    user = await get_user(principal, principal.person())
    await client(AuthCalls).request_verification(principal)
    return user


async def verify_email(principal: Principal, token: str) -> User:
    """Use a mailed link: its address is the caller's, and verified. Other sessions end.

    Raises:
        LinkOver, EmailTaken
    """
    user_id = principal.person()
    await client(AuthCalls).verify_email(principal, token)
    await copy_address(principal, user_id)
    return await get_user(principal, user_id)


async def copy_address(actor: Principal, user_id: UserId) -> None:
    """Make the profile show the address that auth holds now. Whoever comes later reads something newer."""
    address = await client(AuthCalls).address_of(user_id)
    if address is None:
        return
    async with write(actor) as tx:
        changed = await store.update_address(tx, user_id, email=address.email, verified=address.verified)
        if changed is not None:
            emit(tx, UserUpdated(user_id=user_id), version=changed.version)
