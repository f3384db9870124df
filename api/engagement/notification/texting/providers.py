"""Providers of text messages: Twilio and AWS SNS, named by `HUB_SMS_URL`.

Source: Twilio, Messages resource and error codes; AWS, SNS API reference (Publish, CheckIfPhoneNumberIsOptedOut).
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, cast
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import orjson

from api.engagement.notification.delivery.answers import Answer
from api.engagement.notification.device.replies import retry_after_s
from cluster.base.settings import settings
from cluster.http.outbound_urls import Reply

STOPPED, GONE = "stopped", "gone"
_TWILIO_STOPPED = 21610
_TWILIO_GONE = frozenset((21211, 21214, 21217, 21614))
"""Not a number, none that can be reached, or none that takes text messages."""
_SNS_AGAIN = frozenset(("Throttled", "Throttling", "ThrottlingException", "InternalError", "ServiceUnavailable"))
_SNS_GONE = frozenset(("InvalidParameter", "InvalidParameterValue"))
_SNS_TIMEOUT_S = 4


class Posts(Protocol):
    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Reply: ...


class Provider(Protocol):
    @property
    def host(self) -> str: ...

    async def send(self, outbound: Posts, to: str, text: str) -> Answer:
        """Hand over one message."""
        ...


@dataclass(frozen=True, slots=True)
class Twilio:
    origin: str
    account: str
    token: str = field(repr=False)
    sender: str

    @property
    def host(self) -> str:
        return urlsplit(self.origin).netloc

    async def send(self, outbound: Posts, to: str, text: str) -> Answer:
        import aiohttp

        from cluster.http.outbound import OutboundRefused

        sender = "MessagingServiceSid" if self.sender.startswith("MG") else "From"
        signed_in = base64.b64encode(f"{self.account}:{self.token}".encode()).decode()
        headers = {"Authorization": f"Basic {signed_in}", "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"To": to, sender: self.sender, "Body": text}).encode()
        try:
            reply = await outbound.post(
                f"{self.origin}/2010-04-01/Accounts/{self.account}/Messages.json", body=body, headers=headers
            )
        except OutboundRefused:
            return Answer("failed", "refused")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Answer("planned", "retried")
        status = reply.status
        if 200 <= status < 300:
            return Answer("delivered", status=status)
        code = _code(reply.body)
        if code == _TWILIO_STOPPED:
            return Answer("skipped", "no_number", status=status, ends=STOPPED)
        if code in _TWILIO_GONE:
            return Answer("skipped", "no_number", status=status, ends=GONE)
        if status in (401, 403, 408, 429) or status >= 500:
            return Answer("planned", "retried", status=status, retry_after_s=retry_after_s(reply))
        return Answer("failed", "refused", status=status)

    def signs(self, url: str, fields: Sequence[tuple[str, str]], signature: str) -> bool:
        """Tell whether Twilio signed these fields of a form. Source: Twilio, "Validating signatures from Twilio"."""
        signed = url + "".join(name + value for name, value in sorted(fields))
        made = base64.b64encode(hmac.digest(self.token.encode(), signed.encode(), hashlib.sha1)).decode()
        return signature.isascii() and hmac.compare_digest(made, signature)


def _code(body: bytes) -> int | None:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    code: Any = cast("dict[str, Any]", found).get("code") if isinstance(found, dict) else None
    return code if isinstance(code, int) else None


@dataclass(frozen=True, slots=True)
class Sns:
    region: str
    access_key: str | None
    secret_key: str | None = field(repr=False)
    sender: str

    @property
    def host(self) -> str:
        return f"sns.{self.region}.amazonaws.com"

    async def send(self, outbound: Posts, to: str, text: str) -> Answer:  # noqa: ARG002 (SNS has a client of its own)
        return await asyncio.to_thread(self._send, to, text)

    def _send(self, to: str, text: str) -> Answer:
        from botocore.exceptions import BotoCoreError, ClientError

        sns = _sns(self)
        attributes = {"AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"}}
        if self.sender:
            name = "OriginationNumber" if self.sender.startswith("+") else "SenderID"
            attributes[f"AWS.{'MM' if name == 'OriginationNumber' else 'SNS'}.SMS.{name}"] = {
                "DataType": "String",
                "StringValue": self.sender,
            }
        try:
            if sns.check_if_phone_number_is_opted_out(phoneNumber=to)["isOptedOut"]:
                return Answer("skipped", "no_number", ends=STOPPED)
            sns.publish(PhoneNumber=to, Message=text, MessageAttributes=attributes)
        except ClientError as error:
            response = cast("dict[str, Any]", error.response)
            code, status = response["Error"]["Code"], int(response["ResponseMetadata"]["HTTPStatusCode"])
            if code in _SNS_GONE:
                return Answer("skipped", "no_number", status=status, ends=GONE)
            if code in _SNS_AGAIN or status >= 500:
                return Answer("planned", "retried", status=status)
            return Answer("failed", "refused", status=status)
        except BotoCoreError:
            return Answer("planned", "retried")
        return Answer("delivered", status=200)


@lru_cache(maxsize=4)
def _sns(of: Sns) -> Any:
    import boto3
    from botocore.config import Config

    return cast("Any", boto3).client(
        "sns",
        region_name=of.region,
        aws_access_key_id=of.access_key,
        aws_secret_access_key=of.secret_key,
        config=Config(connect_timeout=_SNS_TIMEOUT_S, read_timeout=_SNS_TIMEOUT_S, retries={"total_max_attempts": 1}),
    )


def provider() -> Provider | None:
    """Return who sends text messages; None: nobody, and the channel is not offered.

    Raises:
        RuntimeError: HUB_SMS_URL has another form.
    """
    text = settings().sms_url
    return parse(text) if text else None


@lru_cache(maxsize=4)
def parse(text: str) -> Provider:
    url = urlsplit(text)
    options = {name: values[0] for name, values in parse_qs(url.query.replace("+", "%2B")).items()}
    user, password = (None if part is None else unquote(part) for part in (url.username, url.password))
    if url.scheme == "twilio" and user and password and url.hostname and options.get("from"):
        # Without TLS only to this machine, where a setting opens a port for tests.
        scheme = "http" if url.port is not None and url.port == settings().outbound_loopback_port else "https"
        return Twilio(f"{scheme}://{url.netloc.rpartition('@')[2]}", user, password, options["from"])
    if url.scheme == "sns" and url.hostname:
        return Sns(url.hostname, user, password, options.get("sender", ""))
    raise RuntimeError("HUB_SMS_URL is twilio://sid:token@api.twilio.com?from=+15550100 or sns://region?sender=School")
