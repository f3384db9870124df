"""Use cases of phones: confirm a number by a code, and end it."""

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.core.user.contract import UserCalls
from api.engagement.notification.contract import (
    PhoneCodeWrong,
    PhoneInvalid,
    ReplyRefused,
    TextingOff,
    TooManyCodes,
)
from api.engagement.notification.texting import budget, providers, segments, store
from api.engagement.notification.texting.providers import STOPPED, Provider, Twilio
from api.engagement.notification.texting.store import Phone
from cluster.base import sealing
from cluster.base.ids import UserId, new_id
from cluster.base.principal import Principal, platform
from cluster.base.problems import Unavailable
from cluster.base.settings import settings
from cluster.data import read, write
from cluster.people.access import Guarded, permit
from cluster.people.calls import client
from cluster.people.notices import Reader
from cluster.people.wording import say

CODE_HOLDS = timedelta(minutes=10)
MOST_TRIES = 5
AGAIN_AFTER = timedelta(minutes=1)
MOST_CODES = 5
"""In a day: of a person, and to a number whoever asks for it."""
REPLIES = "/v1/devices/-/replies"
_DAY = timedelta(days=1)
_STOPS = frozenset(("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "STOPP", "REVOKE", "OPTOUT"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPhone:
    """`pending`: the number whose code is awaited."""

    offered: bool
    phone: Phone | None
    pending: str | None


async def _permit(caller: Principal, permission: str) -> UserId:
    user_id = caller.person()
    await permit(caller, permission, Guarded(user_id, owner_id=user_id))
    return user_id


async def get_phone(caller: Principal) -> OwnPhone:
    user_id = await _permit(caller, "device:read")
    async with read() as db:
        phone = await store.find_phone(db, user_id)
        pending = await store.find_pending(db, user_id, datetime.now(UTC) - CODE_HOLDS)
    return OwnPhone(offered=providers.provider() is not None, phone=phone, pending=pending)


def normal_number(text: str) -> str:
    """Return a number in the form of E.164.

    Raises:
        PhoneInvalid: it has none, or is not that of a mobile phone: others cost much or cannot be read.
    """
    import phonenumbers
    from phonenumbers import PhoneNumberFormat, PhoneNumberType

    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as error:
        raise PhoneInvalid("send it with + and its country, as in +4915112345678", pointer="/number") from error
    if not phonenumbers.is_valid_number(number):
        raise PhoneInvalid("there is no such number in this country: check its digits", pointer="/number")
    if phonenumbers.number_type(number) not in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE):
        raise PhoneInvalid("send the number of a mobile phone", pointer="/number")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


async def send_code(caller: Principal, number_text: str) -> OwnPhone:
    """Send a code to a number that the caller says is theirs. The number that they confirmed before stays until then.

    Raises:
        TextingOff, PhoneInvalid, TooManyCodes
        Unavailable: the provider does not take it now.
    """
    user_id = await _permit(caller, "device:edit")
    provider = providers.provider()
    if provider is None:
        raise TextingOff("its operator has set up no provider")
    number = normal_number(number_text)
    code = f"{secrets.randbelow(1_000_000):06}"
    [profile] = await client(UserCalls).profiles([user_id])
    reader = Reader(user_id=user_id, locale=profile.locale, time_zone=profile.time_zone)
    body = say("notification", "phone", "code", reader, code=code, host=settings().public_url.partition("//")[2])
    async with write(caller, result=user_id) as tx:
        # One after another for the person and for the number, so that the limits hold.
        await tx.take_turns("notification.phone", user_id)
        await tx.take_turns(f"notification.number {number}")
        sent = await store.count_codes(tx, user_id, number, tx.now - _DAY)
        if sent.last_at is not None and sent.last_at > tx.now - AGAIN_AFTER:
            left = sent.last_at + AGAIN_AFTER - tx.now
            raise TooManyCodes("wait a minute before the next", retry_after_s=int(left.total_seconds()) + 1)
        if max(sent.of_person, sent.of_number) >= MOST_CODES:
            raise TooManyCodes(f"at most {MOST_CODES} are sent in a day", retry_after_s=int(_DAY.total_seconds()))
        await store.update_closed(tx, user_id)
        await store.insert_code(tx, new_id(), user_id, number, _mac(user_id, number, code))
        now = tx.now
    await _send(provider, number, body, now)
    return await get_phone(caller)


async def _send(provider: Provider, number: str, body: str, now: datetime) -> None:
    from api.engagement.notification.delivery.answers import Asking
    from cluster.http.outbound import Outbound

    month, cost = budget.month_of(now), (None, segments.count(body))
    if not all(await budget.take([cost], month)):
        raise Unavailable("no more text messages are sent this month")
    async with Outbound(connections=1) as outbound:
        answer = await Asking(5.0, replaces=False)(provider.host, lambda: provider.send(outbound, number, body))
    if answer.state == "delivered":
        return
    await budget.give_back([cost], month)
    if answer.ends == STOPPED:
        raise PhoneInvalid("its owner asked for no more messages: send START from it first", pointer="/number")
    if answer.state in ("skipped", "failed"):
        raise PhoneInvalid("no text message can be sent to it", pointer="/number")
    raise Unavailable("no text messages are sent now: try again in a minute")


async def confirm_phone(caller: Principal, code: str) -> OwnPhone:
    """Tell the caller at the number to which the code was sent.

    Raises:
        PhoneCodeWrong
    """
    user_id = await _permit(caller, "device:edit")
    wrong = PhoneCodeWrong(
        f"send the newest code within 10 minutes, or ask for another after {MOST_TRIES} tries", pointer="/code"
    )
    async with read() as db:
        # A statement of its own: a wrong try counts although the request fails.
        found = await store.count_try(db, user_id, datetime.now(UTC) - CODE_HOLDS, MOST_TRIES)
    if found is None:
        raise wrong
    content = _content(user_id, found.number, code)
    if not any(hmac.compare_digest(each, found.code_mac) for each in sealing.macs("notification", "phone", content)):
        raise wrong
    async with write(caller, result=user_id) as tx:
        await tx.take_turns("notification.phone", user_id)
        if not await store.update_used(tx, found.id):
            raise wrong
        await store.upsert_phone(tx, user_id, found.number)
    return await get_phone(caller)


async def remove_phone(caller: Principal) -> None:
    """Send the caller no text messages any more."""
    user_id = await _permit(caller, "device:edit")
    async with write(caller, result=user_id, status=204) as tx:
        await tx.take_turns("notification.phone", user_id)
        await store.update_closed(tx, user_id)
        await store.delete_phone(tx, user_id)


async def take_reply(fields: list[tuple[str, str]], signature: str) -> None:
    """End a number whose owner answers STOP. Again changes nothing.

    Raises:
        ReplyRefused
    """
    provider = providers.provider()
    if not isinstance(provider, Twilio) or not provider.signs(settings().public_url + REPLIES, fields, signature):
        raise ReplyRefused(f"let Twilio send replies to {settings().public_url}{REPLIES}")
    sent = dict(fields)
    if sent.get("OptOutType") == "STOP" or sent.get("Body", "").strip().upper() in _STOPS:
        async with write(platform("notification")) as tx:
            await store.update_ended_number(tx, sent.get("From", ""), STOPPED)


def _mac(user_id: UserId, number: str, code: str) -> bytes:
    return sealing.mac("notification", "phone", _content(user_id, number, code))


def _content(user_id: UserId, number: str, code: str) -> bytes:
    return f"{user_id} {number} {code}".encode()
