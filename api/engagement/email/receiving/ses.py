"""What Amazon SES tells by SNS: what became of our letters, and mail that came in.

Source: Amazon SES developer guide, "Amazon SNS notification contents", "Contents of event data that SES publishes to SNS" and
"Contents of notifications for email receiving".
"""

import base64
import binascii
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from api.engagement.email.delivery.message import LETTER_HEADER
from api.engagement.email.delivery.store import find_handed_over
from api.engagement.email.receiving import logic
from api.engagement.email.receiving.addresses import letter_of_bounce
from api.engagement.email.receiving.logic import Result
from api.engagement.email.receiving.reading import STATUS, Delivery
from cluster.base.problems import Unavailable
from cluster.data import read

log = logging.getLogger(__name__)

_MESSAGE_ID = re.compile(r"<?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@[^<>@\s]{1,255}>?")
_MOST_RECIPIENTS = 50
_FOLLOWED = ("Bounce", "Complaint", "Delivery")
_RECORDED_WITHIN = timedelta(minutes=5)
"""So long after SES took a letter its id may not be recorded yet."""
_AGAIN_S = 15


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class _Header(_Told):
    name: str
    value: str


class _Mail(_Told):
    source: str = ""
    message_id: str = ""
    """The id that SES gave the letter when it took it."""
    timestamp: AwareDatetime | None = None
    """When SES took it."""
    headers: list[_Header] = []

    @property
    def is_new(self) -> bool:
        """Tell whether whoever handed the letter over may not have recorded yet by which id SES knows it."""
        age = None if self.timestamp is None or not self.message_id else datetime.now(UTC) - self.timestamp
        return age is not None and abs(age) < _RECORDED_WITHIN


class _Recipient(_Told):
    status: str | None = None


class _Bounce(_Told):
    bounce_type: str
    bounced_recipients: list[_Recipient] = []


class _Complaint(_Told):
    complaint_feedback_type: str | None = None


class _Verdict(_Told):
    status: str


class _Action(_Told):
    type: str
    encoding: str = "UTF-8"


class _Receipt(_Told):
    recipients: Annotated[list[str], Field(max_length=_MOST_RECIPIENTS)]
    spf_verdict: _Verdict
    action: _Action


class _Notice(_Told):
    notification_type: str = ""
    event_type: str = ""
    """The same, where a configuration set publishes it."""
    mail: _Mail = _Mail()
    bounce: _Bounce | None = None
    complaint: _Complaint | None = None
    receipt: _Receipt | None = None
    content: str | None = None


async def take(text: str) -> Result:
    """Take what SES tells. The same again changes nothing: each letter and each answer knows what it was told.

    Raises:
        Unavailable: as `logic.receive` does, or SES took the letter just now and its id is not known here yet.
    """
    try:
        notice = _Notice.model_validate_json(text)
    except ValidationError as error:
        log.warning("a topic has messages that SES does not write", extra={"error": str(error.errors()[0]["loc"])})
        return Result("ignored", "it is no notice of SES")
    kind = notice.notification_type or notice.event_type
    if kind == "Received":
        return await _take_mail(notice)
    letter_id = await _letter_of(notice.mail)
    if letter_id is None and kind in _FOLLOWED and notice.mail.is_new:
        raise Unavailable("the letter may be under way: report this again", retry_after_s=_AGAIN_S)
    if letter_id is None:
        return Result("ignored", "it is about no letter of ours")
    if kind == "Bounce" and notice.bounce is not None:
        return await _take_bounce(letter_id, notice.bounce)
    if kind == "Complaint" and notice.complaint is not None:
        await logic.note_complaint(letter_id, notice.complaint.complaint_feedback_type or "abuse")
    elif kind == "Delivery":
        await logic.note_delivery(letter_id, Delivery("delivered", "2.0.0", hard=False))
    else:
        return Result("ignored", "nothing follows from it")
    return Result("accepted", kind.lower())


async def _take_bounce(letter_id: UUID, bounce: _Bounce) -> Result:
    """Record a bounce: permanent ones mean that the address takes no letters, others that it may later.

    A transient one without a code is no report of a mail server: somebody's out-of-office, as often as not.
    """
    permanent = bounce.bounce_type == "Permanent"
    found = next((found for each in bounce.bounced_recipients if (found := STATUS.search(each.status or ""))), None)
    if found is None and not permanent:
        return Result("ignored", "no mail server reports that it did not arrive")
    status = "5.0.0" if found is None else found[0]
    await logic.note_delivery(letter_id, Delivery("failed", status, hard=permanent))
    return Result("accepted", f"failed {status}")


async def _letter_of(mail: _Mail) -> UUID | None:
    """Return which letter of ours it is about: by the address it comes back to, our Message-ID, or the id that SES gave it."""
    headers = {each.name.lower(): each.value for each in mail.headers}
    for address in (mail.source, headers.get(LETTER_HEADER.lower(), "")):
        letter_id = letter_of_bounce(address.strip("<> "))
        if letter_id is not None:
            return letter_id
    found = _MESSAGE_ID.fullmatch(headers.get("message-id", "").strip())
    if found is not None:
        return UUID(found[1])
    async with read() as db:
        return await find_handed_over(db, mail.message_id)


async def _take_mail(notice: _Notice) -> Result:
    """Take mail that SES received, once for each address it went to."""
    receipt = notice.receipt
    if receipt is None or notice.content is None:
        log.warning("SES received mail that does not come along: give the rule an SNS action (docs/operate.md)")
        return Result("ignored", "the message does not come along")
    try:
        content = _content_of(notice.content, receipt.action.encoding)
    except (binascii.Error, ValueError):
        return Result("refused", "its content is not what its encoding says")
    spf = "passed" if receipt.spf_verdict.status == "PASS" else "unknown"
    results = await logic.receive_for(notice.mail.source, receipt.recipients, content, spf=spf)
    return next((each for each in results if each.state != "refused"), Result("refused", "it is for nobody here"))


def _content_of(text: str, encoding: str) -> bytes:
    return base64.b64decode(text, validate=True) if encoding.upper() == "BASE64" else text.encode()
