"""Use cases of preferences: see and choose how one is told, and mute courses."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from api.core.auth.contract import AuthCalls
from api.engagement.email.contract import EmailCalls
from api.engagement.notification.contract import ChannelNotOffered, TooManyMutes
from api.engagement.notification.offers import DEFAULTS, Defaults
from api.engagement.notification.preference import rules, store
from api.engagement.notification.preference.store import Mute, Preference
from api.engagement.notification.texting import providers
from cluster.base.ids import OrgId, UserId
from cluster.base.principal import Principal
from cluster.base.problems import Stale
from cluster.data import read, write
from cluster.people.access import Guarded, permit
from cluster.people.calls import client
from cluster.people.org_settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPreference:
    """The choices of a person, and the defaults under which they hold."""

    preference: Preference
    defaults: Defaults
    texting: bool
    """This platform sends text messages."""

    @property
    def version(self) -> int:
        return self.preference.version


async def _permit(caller: Principal, permission: str) -> UserId:
    user_id = caller.person()
    await permit(caller, permission, Guarded(user_id, owner_id=user_id))
    return user_id


async def get_preference(caller: Principal, org_id: OrgId | None = None) -> OwnPreference:
    """Return how the caller is told of what happens in an organization, or outside of all."""
    user_id = await _permit(caller, "notification-preference:read")
    if org_id is not None:
        await permit(caller, "notification-preference:read-organization", Guarded(org_id, org_id=org_id))
    defaults = await setting(DEFAULTS, org_id)
    async with read() as db:
        preference = (await store.list_preferences(db, [user_id]))[user_id]
    return OwnPreference(preference=preference, defaults=defaults, texting=providers.provider() is not None)


async def get_own_preference(caller: Principal, _: UUID) -> OwnPreference:
    return await get_preference(caller)


async def change_preference(caller: Principal, changes: Mapping[str, Any], expected_version: int) -> OwnPreference:
    """Change how the caller is told.

    Raises:
        Stale: somebody changed it since.
        QuietHoursInvalid
        ChannelNotOffered: text messages are chosen where nobody sends them.
    """
    user_id = await _permit(caller, "notification-preference:edit")
    defaults = await setting(DEFAULTS, None)
    changed = dict(changes)
    if "quiet_hours" in changed:
        rules.check_quiet_hours(rules.windows_of(changed["quiet_hours"]))
    for category, paces in changed.get("channels", {}).items():
        if (paces or {}).get("sms", "off") not in ("off", None) and providers.provider() is None:
            raise ChannelNotOffered("this platform sends no text messages", pointer=f"/categories/{category}/sms")
    taken_back = await _subscribe_again(user_id, changed.get("channels", {}))
    async with write(caller, result=user_id) as tx:
        await tx.take_turns("notification.preference", user_id)
        present = await store.lock_preference(tx, user_id)
        if present.version != expected_version:
            raise Stale(present.version)
        if "channels" in changed:
            changed["channels"] = rules.merge(present.channels, changed["channels"])
        still = [each for each in present.unsubscribed if each not in taken_back]
        stored = await store.upsert_preference(tx, replace(present, **changed, unsubscribed=still))
    if stored is None:
        raise Stale(present.version)
    return OwnPreference(preference=stored, defaults=defaults, texting=providers.provider() is not None)


async def _subscribe_again(user_id: UserId, channels: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Let email send again what the person gave up by a click in a letter and turns on here; return what that was."""
    turned_on = {category for category, paces in channels.items() if paces is None or paces.get("mail", "off") != "off"}
    if not turned_on:
        return []
    async with read() as db:
        present = (await store.list_preferences(db, [user_id]))[user_id]
    found = [each for each in present.unsubscribed if turned_on & set(each["categories"])]
    address = await client(AuthCalls).address_of(user_id) if found else None
    for each in found:
        if address is not None:
            org_id = None if each["org_id"] is None else OrgId(UUID(each["org_id"]))
            await client(EmailCalls).allow(address.email, org_id, each["category"])
    return found


async def list_muted(caller: Principal, *, ids: list[UUID] | None, after: UUID | None, limit: int) -> list[Mute]:
    user_id = await _permit(caller, "notification-preference:read")
    async with read() as db:
        return await store.list_muted(db, user_id, ids=ids, after=after, limit=limit)


async def mute_course(caller: Principal, course_id: UUID) -> Mute:
    """Hear nothing of a course any more but what concerns security. Muting it twice is the same as once.

    Raises:
        TooManyMutes
    """
    user_id = await _permit(caller, "notification-preference:edit")
    async with write(caller, result=course_id) as tx:
        await tx.take_turns("notification.preference", user_id)
        if await store.count_mutes(tx, user_id) >= rules.MAX_MUTES:
            raise TooManyMutes("hear of some again first")
        return await store.insert_mute(tx, user_id, course_id)


async def unmute_course(caller: Principal, course_id: UUID) -> None:
    """Hear of a course again."""
    user_id = await _permit(caller, "notification-preference:edit")
    async with write(caller, result=course_id, status=204) as tx:
        await store.delete_mute(tx, user_id, course_id)
