"""Messages of Amazon SNS: who may write them, and the signature that shows that it did.

Source: Amazon SNS developer guide, "Verifying the signatures of Amazon SNS messages", versions 1 (SHA-1) and 2 (SHA-256).
"""

import asyncio
import base64
import binascii
import logging
import re
import time
from datetime import UTC, datetime
from typing import Annotated, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal
from yarl import URL

from api.engagement.email.contract import InboundRefused
from cluster.base.problems import Unavailable
from cluster.base.settings import settings
from cluster.http.outbound_urls import OutboundRefused

log = logging.getLogger(__name__)

TYPE_HEADER = "x-amz-sns-message-type"
_TOPIC = re.compile(r"arn:(aws[a-z-]*):sns:([a-z0-9-]{4,32}):[0-9]{12}:[A-Za-z0-9_.-]{1,256}")
_CERTIFICATE_PATH = re.compile(r"/[A-Za-z0-9_.-]{1,200}\.pem")
_KEPT_S = 24 * 3600.0
_KEPT_WITHOUT_S = 60.0
_MOST_KEPT = 16
_LEAST_BITS = 2048
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
Short = Annotated[str, Field(max_length=4096)]


class SnsMessage(BaseModel):
    """What SNS posts."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_pascal)

    type: Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]
    message_id: Short
    topic_arn: Short
    message: str
    timestamp: Short
    signature_version: Literal["1", "2"]
    signature: Short
    signing_cert_url: Annotated[Short, Field(alias="SigningCertURL")]
    subject: Short | None = None
    token: Short | None = None
    subscribe_url: Annotated[Short | None, Field(alias="SubscribeURL")] = None

    def signed(self) -> bytes:
        """Return what the signature is about: names and values, a line each; Subject only where there is one."""
        values = self.model_dump(by_alias=True, exclude_none=True)
        lines = [line for name in _SIGNED[self.type] if name in values for line in (name, values[name])]
        return ("\n".join(lines) + "\n").encode()


async def read_message(content: bytes) -> SnsMessage:
    """Read a message whose signature shows that SNS wrote it for one of our topics.

    Raises:
        InboundRefused: somebody else wrote it, or for another topic.
        Unavailable: the certificate cannot be fetched now.
    """
    try:
        message = SnsMessage.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(each) for each in first["loc"]) or "the body"
        raise InboundRefused(f"this is no message of SNS: {place}: {first['msg']}") from None
    if message.topic_arn not in settings().ses_topics:
        raise InboundRefused("the topic is not one of HUB_SES_TOPICS: add its ARN, or end the subscription")
    _check_signature(message, await _key_of(_address_of_certificate(message)))
    return message


def host_of(topic_arn: str) -> str:
    """Return the host of SNS in the region of a topic.

    Raises:
        InboundRefused: the topic has no ARN.
    """
    found = _TOPIC.fullmatch(topic_arn)
    if found is None:
        raise InboundRefused("the topic is no ARN of SNS: correct it in HUB_SES_TOPICS")
    return f"sns.{found[2]}.amazonaws.com" + (".cn" if found[1] == "aws-cn" else "")


def _at_sns(text: str, topic_arn: str) -> URL | None:
    """Return an address if it is one of SNS in the topic's region, or of the one port that is open to tests."""
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        return None
    loopback = settings().outbound_loopback_port
    if loopback > 0 and (url.scheme, url.host, port) == ("http", "127.0.0.1", loopback):
        return url
    return url if (url.scheme, url.authority) == ("https", host_of(topic_arn)) else None


def _address_of_certificate(message: SnsMessage) -> str:
    url = _at_sns(message.signing_cert_url, message.topic_arn)
    if url is None or url.query_string or not _CERTIFICATE_PATH.fullmatch(url.raw_path):
        raise InboundRefused("SigningCertURL is no certificate at the host of SNS in the topic's region")
    return str(url)


_kept: dict[str, tuple[RSAPublicKey | None, float]] = {}
_fetching = asyncio.Lock()


async def _key_of(url: str) -> RSAPublicKey:
    """Return the key of a certificate. It is kept for a day; that there is none there, for a minute.

    Raises:
        InboundRefused: there is no certificate that is valid now.
        Unavailable: SNS does not answer.
    """
    if not _is_kept(url):
        # One at a time: whoever invents addresses does not make us ask for many.
        async with _fetching:
            if not _is_kept(url):
                _keep(url, _read_certificate(await _fetch(url)))
    key, _ = _kept[url]
    if key is None:
        raise InboundRefused("SigningCertURL leads to no certificate that is valid now")
    return key


def _is_kept(url: str) -> bool:
    return url in _kept and _kept[url][1] > time.monotonic()


def _keep(url: str, key: RSAPublicKey | None) -> None:
    _kept.pop(url, None)
    while len(_kept) >= _MOST_KEPT:
        del _kept[next(iter(_kept))]
    _kept[url] = key, time.monotonic() + (_KEPT_WITHOUT_S if key is None else _KEPT_S)


async def _fetch(url: str) -> bytes:
    """Return what stands there, nothing if it is refused.

    Raises:
        Unavailable: nobody answers there, or answers that something is wrong with them.
    """
    import aiohttp

    from cluster.http.outbound import Outbound

    try:
        async with Outbound(connections=1) as outbound:
            reply = await outbound.get(url)
    except OutboundRefused as error:
        raise InboundRefused(f"its address cannot be fetched: {error}") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unavailable("SNS does not answer: send it again") from error
    if reply.status >= 500:
        raise Unavailable("SNS has a fault: send it again")
    return reply.body if reply.status == 200 else b""


def _read_certificate(content: bytes) -> RSAPublicKey | None:
    try:
        certificate = x509.load_pem_x509_certificate(content)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= _LEAST_BITS else None


def _check_signature(message: SnsMessage, key: RSAPublicKey) -> None:
    algorithm = SHA256() if message.signature_version == "2" else SHA1()  # noqa: S303 (version 1 has no other)
    try:
        signature = base64.b64decode(message.signature, validate=True)
        key.verify(signature, message.signed(), PKCS1v15(), algorithm)
    except (InvalidSignature, binascii.Error, ValueError):
        raise InboundRefused("Signature is not that of SNS over these values") from None


async def confirm(message: SnsMessage) -> None:
    """Answer SNS that we want what is published on a topic.

    Raises:
        InboundRefused: the address is not that of a confirmation of this topic.
        Unavailable: SNS does not take the answer now.
    """
    url = _at_sns(message.subscribe_url or "", message.topic_arn)
    asked = {} if url is None else dict(url.query)
    if url is None or (asked.get("Action"), asked.get("TopicArn")) != ("ConfirmSubscription", message.topic_arn):
        raise InboundRefused("SubscribeURL does not confirm this subscription at the host of SNS in its region")
    if not await _fetch(str(url)):
        raise Unavailable("SNS did not take the confirmation: send it again, or subscribe anew")
    log.info("a subscription is confirmed", extra={"topic": message.topic_arn})
