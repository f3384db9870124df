"""Use cases of profiles: sign up, read, change, and have auth verify the address."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from api.core.auth.contract import AuthCalls, EmailTaken
from api.core.user import rules, store
from api.core.user.contract import (
    AvatarNotFound,
    SignUpPaused,
    SignUpTakenOver,
    UserCreated,
    UserNotFound,
    UserUpdated,
)
from api.core.user.offers import SIGN_UP
from api.core.user.rules import AVATAR_PURPOSE
from api.core.user.store import User
from api.media.media.contract import AssetId, MediaCalls, asset_ref
from api.platform.moderation.contract import Place, look_later, screened
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal, platform
from cluster.base.problems import Stale
from cluster.data import Transaction, read, uses, write
from cluster.data.uses import Ref
from cluster.events import emit
from cluster.people import flags
from cluster.people.access import permitted, reach_of
from cluster.people.calls import client


async def sign_up(caller: Principal, *, email: str, password: str, name: str, locale: str) -> User:
    """Make an account: first the identity, then the profile, which makes the account visible.

    When a sign-up broke off in between, the same person finishes it by another attempt, or the present owner of the address takes
    it over. Its id is marked as abandoned first, so that a slow concurrent request cannot finish it afterwards.

    Raises:
        SignUpPaused, EmailTaken, EmailInvalid, PasswordRefused, Invalid, TextRefused, SignUpTakenOver
    """
    if not flags.value(SIGN_UP, caller):
        raise SignUpPaused("operators have switched new accounts off: try again later", retry_after_s=300)
    name = rules.clean_name(name)
    doubtful = await screened({"/name": name}, None, Place(kind=rules.MODERATED_KIND, language=locale))
    user_id = UserId(new_id())
    registered = await client(AuthCalls).create_identity(user_id, email, password, locale)
    if not registered.created:
        async with read() as db:
            present = await store.find_user(db, registered.user_id)
        if present is not None:
            raise _taken()
        if not registered.same_password:
            if not rules.has_broken_off(registered.created_at, datetime.now(UTC)):
                raise _taken()
            async with write(platform("user")) as tx:
                abandoned = await store.upsert_abandoned(tx, registered.user_id)
            if not abandoned:
                raise _taken()
            await client(AuthCalls).release_identity(registered.user_id)
            registered = await client(AuthCalls).create_identity(user_id, email, password, locale)
            if not registered.created:
                raise _taken()
    user_id = registered.user_id
    async with write(
        Principal(kind="person", id=user_id) if caller.id is None else caller, result=user_id, status=201
    ) as tx:
        user = await store.insert_user(tx, user_id, email=registered.email, name=name, locale=locale)
        if user is None:
            raise SignUpTakenOver("sign in, or have a link to a new password mailed to you", pointer="/email")
        emit(tx, UserCreated(user_id=user_id), version=user.version)
        if doubtful:
            look_later(tx, rules.MODERATED_KIND, user_id)
    return user


def _taken() -> EmailTaken:
    return EmailTaken(
        "sign in, or have a link to a new password mailed: POST /v1/identities/-/forgot", pointer="/email"
    )


async def get_user(caller: Principal, user_id: UserId) -> User:
    return await permitted(caller, "user:read", store.find_user, user_id, missing=UserNotFound)


async def get_signed_up(_: Principal, user_id: UserId) -> User:
    """Return the profile that a sign-up made, to the guest that repeats it."""
    return await get_user(platform("user"), user_id)


async def list_users(
    caller: Principal, *, ids: list[UserId] | None, email: str | None, before: UserId | None, limit: int
) -> list[User]:
    """List people, newest first, for the platform's administrators; others see none."""
    reach = await reach_of(caller, "user:list")
    if not reach.everywhere:
        return []
    async with read() as db:
        return await store.list_users(db, ids=ids, email=email, before=before, limit=limit)


async def change_user(caller: Principal, user_id: UserId, changes: dict[str, Any], expected_version: int) -> User:
    """Change a profile; `accessibility` is merged, null clears one of its settings.

    Raises:
        UserNotFound, Invalid, TextRefused, AuthorMuted, Stale
    """
    seen = await permitted(caller, "user:edit", store.find_user, user_id, missing=UserNotFound)
    if "name" in changes:
        changes["name"] = rules.clean_name(changes["name"])
    if "time_zone" in changes:
        rules.check_time_zone(changes["time_zone"])
    texts = {f"/{field}": changes[field] for field in rules.MODERATED_FIELDS if field in changes}
    place = Place(kind=rules.MODERATED_KIND, language=changes.get("locale", seen.locale))
    doubtful = await screened(texts, user_id, place)
    async with write(caller, result=user_id) as tx:
        present = await store.lock_user(tx, user_id)
        if present is None:
            raise UserNotFound
        if present.version != expected_version:
            raise Stale(present.version)
        merged = {**present.accessibility, **changes.get("accessibility", {})}
        changes["accessibility"] = {key: value for key, value in merged.items() if value is not None}
        user = await store.update_user(tx, replace(present, **changes))
        emit(tx, UserUpdated(user_id=user_id), version=user.version)
        if doubtful:
            look_later(tx, rules.MODERATED_KIND, user_id)
    return user


async def follow_moderation(tx: Transaction, user_id: UserId, *, removed: bool, version: int) -> None:
    """Hide name and pronouns that a moderator removed, or show them again. An older decision changes nothing."""
    changed = await store.update_hidden(tx, user_id, removed=removed, version=version)
    if changed is not None:
        emit(tx, UserUpdated(user_id=user_id), version=changed.version)


async def get_avatar(caller: Principal) -> User:
    """Return the caller, whose profile shows a picture.

    Raises:
        AvatarNotFound
    """
    user = await get_user(caller, caller.person())
    if user.avatar_asset_id is None:
        raise AvatarNotFound("PUT /v1/users/me/avatar shows one")
    return user


async def set_avatar(caller: Principal, asset_id: AssetId) -> User:
    """Show a picture that the caller uploaded in their profile, and let go of the one before.

    Raises:
        ThingGone: it is no avatar of the caller's.
        AssetNotReady, AssetRejected
    """
    user_id = caller.person()
    await permitted(caller, "user:edit", store.find_user, user_id, missing=UserNotFound)
    ref = asset_ref(asset_id)
    asset = await client(MediaCalls).find_asset(asset_id)
    if asset is None or (asset.owner_id, asset.org_id, asset.purpose) != (user_id, None, AVATAR_PURPOSE):
        raise uses.thing_gone([ref], {ref: "/asset_id"})
    asset.content_key()
    async with write(caller, result=user_id) as tx:
        await change_avatar(tx, user_id, asset_id)
    return await get_avatar(caller)


async def remove_avatar(caller: Principal) -> None:
    """Show no picture. Removing none changes nothing."""
    user_id = caller.person()
    await permitted(caller, "user:edit", store.find_user, user_id, missing=UserNotFound)
    async with write(caller, result=user_id, status=204) as tx:
        await change_avatar(tx, user_id, None)


async def change_avatar(tx: Transaction, user_id: UserId, asset_id: AssetId | None) -> None:
    """Have the profile use this file alone, or none.

    Raises:
        ThingGone
    """
    user = await store.update_avatar(tx, user_id, asset_id)
    if user is not None:
        things = {} if asset_id is None else {asset_ref(asset_id): "/asset_id"}
        await uses.use(tx, by=Ref("user", user_id), org_id=None, things=things, pointers=things)
        emit(tx, UserUpdated(user_id=user_id), version=user.version)


async def request_email(caller: Principal, email: str, password: str) -> User:
    """Have a link mailed to a new address; the present one counts until that link is used.

    Raises:
        EmailInvalid, EmailTaken, WrongPassword, TooManyGuesses
    """
    user = await get_user(caller, caller.person())
    await client(AuthCalls).request_email(caller, email, password, user.locale)
    return user


async def request_verification(caller: Principal) -> User:
    """Have the link for the present address mailed again."""
    user = await get_user(caller, caller.person())
    await client(AuthCalls).request_verification(caller, user.locale)
    return user


async def verify_email(caller: Principal, token: str) -> User:
    """Use a mailed link: its address is the caller's, and verified. Other sessions end.

    Raises:
        LinkOver, EmailTaken
    """
    user_id = caller.person()
    await client(AuthCalls).verify_email(caller, token)
    await copy_address(caller, user_id)
    return await get_user(caller, user_id)


async def copy_address(caller: Principal, user_id: UserId) -> None:
    """Make the profile show the address that auth has now. A later copy reads a newer address."""
    address = await client(AuthCalls).address_of(user_id)
    if address is None:
        return
    async with write(caller) as tx:
        changed = await store.update_address(tx, user_id, email=address.email, verified=address.verified)
        if changed is not None:
            emit(tx, UserUpdated(user_id=user_id), version=changed.version)
