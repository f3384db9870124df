"""HTTP of phones."""

from datetime import datetime
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Request, Response
from pydantic import ConfigDict, Field

from api.engagement.notification.contract import PhoneCodeWrong, PhoneInvalid, ReplyRefused, TextingOff, TooManyCodes
from api.engagement.notification.texting import logic
from api.engagement.notification.texting.logic import OwnPhone
from api.engagement.notification.texting.store import EndReason
from cluster.base.problems import TooLarge, Unavailable
from cluster.http import Body, Caller, Router, View, once

router = Router("notification")
_MOST_BYTES = 16 * 1024


class NewPhone(Body):
    """A mobile phone's number with its country (E.164). Spaces, hyphens and brackets do no harm."""

    number: Annotated[str, Field(min_length=5, max_length=32)]

    model_config = ConfigDict(json_schema_extra={"examples": [{"number": "+49 1511 2345678"}]})


class PhoneCode(Body):
    code: Annotated[str, Field(pattern=r"^[0-9]{6}$", examples=["052917"])]


class PhoneView(View):
    """The phone on which the caller is told by text messages."""

    offered: bool
    """This platform sends text messages."""
    number: str | None
    confirmed_at: datetime | None
    ended_at: datetime | None
    """Nothing is sent there any more: its owner answered STOP, or it takes no messages. Confirm it again to go on."""
    end_reason: EndReason | None
    pending_number: str | None
    """A code was sent there and is awaited."""


@router.get("/v1/notification-preferences/me/phone")
async def get_phone(caller: Caller) -> PhoneView:
    """Return the phone on which the caller is told by text messages."""
    return _show(await logic.get_phone(caller))


@router.put("/v1/notification-preferences/me/phone", raises=(TextingOff, PhoneInvalid, TooManyCodes, Unavailable))
async def send_phone_code(caller: Caller, new: NewPhone, response: Response) -> PhoneView:
    """Send a code of six digits to a phone: whoever confirms it is told there. The former number stays until then."""
    return _show(await once(response, logic.send_code(caller, new.number), lambda _: logic.get_phone(caller)))


@router.post("/v1/notification-preferences/me/confirm-phone", raises=(PhoneCodeWrong,))
async def confirm_phone(caller: Caller, sent: PhoneCode, response: Response) -> PhoneView:
    """Confirm a phone by the code that was sent to it."""
    return _show(await once(response, logic.confirm_phone(caller, sent.code), lambda _: logic.get_phone(caller)))


@router.delete("/v1/notification-preferences/me/phone", status_code=204)
async def remove_phone(caller: Caller) -> None:
    """Send the caller no text messages any more, and forget the number."""
    await logic.remove_phone(caller)


@router.post(logic.REPLIES, public=True, include_in_schema=False, raises=(ReplyRefused,))
async def take_reply(request: Request) -> Response:
    """Take what somebody answered to a text message, signed by Twilio. STOP ends the number."""
    content = await request.body()
    if len(content) > _MOST_BYTES:
        raise TooLarge(f"a reply has at most {_MOST_BYTES:,} bytes")
    fields = parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True)
    await logic.take_reply(fields, request.headers.get("x-twilio-signature", ""))
    return Response("<Response/>", media_type="text/xml")


def _show(own: OwnPhone) -> PhoneView:
    phone = own.phone
    return PhoneView(
        offered=own.offered,
        number=None if phone is None else phone.number,
        confirmed_at=None if phone is None else phone.confirmed_at,
        ended_at=None if phone is None else phone.ended_at,
        end_reason=None if phone is None else phone.end_reason,
        pending_number=own.pending,
    )
