"""Amazon SNS for tests: it signs as SNS does, and serves its certificate and its confirmations on loopback."""

import base64
import datetime
from typing import Any

import orjson
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from cluster.base.ids import new_id

TOPIC = "arn:aws:sns:eu-central-1:123456789012:mail"
_NAMES = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


class SnsServer:
    """`notice(...)` is what SNS posts; `asked` is what it was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[str] = []
        self.fails = False
        self._key = rsa.generate_private_key(65537, 2048)
        self._pages = {
            "/sns.pem": certificate_of(self._key),
            "/expired.pem": certificate_of(self._key, days=-1),
            "/weak.pem": certificate_of(rsa.generate_private_key(65537, 1024)),  # noqa: S505 (what must be refused)
            "/page.pem": b"<html>",
        }

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if self.fails:
            return web.Response(status=503)
        if request.path == "/":
            return web.Response(body=b"<ConfirmSubscriptionResponse/>")
        page = self._pages.get(request.path)
        return web.Response(status=404) if page is None else web.Response(body=page)

    def notice(
        self,
        message: str,
        *,
        version: str = "2",
        cert: str | None = None,
        key: rsa.RSAPrivateKey | None = None,
        changed: dict[str, Any] | None = None,
        fields: dict[str, str] | None = None,
    ) -> bytes:
        """Return a signed message; `changed` is changed after it was signed."""
        values = {
            "Type": "Notification",
            "MessageId": str(new_id()),
            "TopicArn": TOPIC,
            "Message": message,
            "Timestamp": "2031-05-04T20:00:00.000Z",
        } | (fields or {})
        signed = "".join(f"{name}\n{values[name]}\n" for name in _NAMES if name in values)
        algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303
        signature = (key or self._key).sign(signed.encode(), padding.PKCS1v15(), algorithm)
        values |= {
            "SignatureVersion": version,
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": cert or f"{self.url}/sns.pem",
            "UnsubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Action=Unsubscribe",
        }
        return orjson.dumps(values | (changed or {}))


def certificate_of(key: rsa.RSAPrivateKey, *, days: int = 30) -> bytes:
    """Return a certificate of a key that is valid until so many days from now."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - datetime.timedelta(days=60))
        .not_valid_after(until)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
