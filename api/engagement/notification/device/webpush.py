"""Web Push: messages to browsers through their push services, encrypted for the browser alone.

Source: RFC 8030 (protocol), RFC 8188 and 8291 (encryption), RFC 8292 (VAPID).
"""

import base64
import hashlib
import time
from functools import lru_cache
from typing import Any

import http_ece
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.engagement.notification.device.message import Message, fitting, topic_of
from cluster.base.secrets import keys
from cluster.base.settings import settings
from cluster.http.outbound_urls import check_url

MAX_PLAIN_BYTES = 3800
"""A message of 4096 bytes holds so much beside its header, its tag and its padding. Source: RFC 8291, section 4."""
_PURPOSE = "notification.vapid"
_ORDER = int("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551", 16)
"""Of the group of P-256. Source: FIPS 186-4, D.1.2.3."""
_TOKEN_S = 12 * 3600
_SALT_BYTES, _AUTH_BYTES, _POINT_BYTES = 16, 16, 65


def decode_keys(p256dh: str, auth: str) -> tuple[bytes, bytes]:
    """Read the keys of a subscription.

    Raises:
        ValueError: they are no point of the curve and no secret of 16 bytes.
    """
    point, secret = (base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) for text in (p256dh, auth))
    if len(point) != _POINT_BYTES or len(secret) != _AUTH_BYTES:
        raise ValueError("a key has another length")
    ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return point, secret


def key_ids() -> list[str]:
    """Return the ids of the secrets whose keys we have, newest first."""
    return list(keys(_PURPOSE))


def public_key(key_id: str) -> str:
    """Return the key that browsers subscribe with, as `applicationServerKey` takes it."""
    point = _private_key(key_id).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return _encode(point)


@lru_cache(maxsize=64)
def _private_key(key_id: str) -> ec.EllipticCurvePrivateKey:
    """Derive the deployment's key, so that none has to be kept.

    Raises:
        KeyError: the secret is not listed any more.
    """
    seed = keys(_PURPOSE)[key_id]
    return ec.derive_private_key(int.from_bytes(hashlib.sha512(seed).digest()) % (_ORDER - 1) + 1, ec.SECP256R1())


def headers(endpoint: str, key_id: str, message: Message) -> dict[str, str]:
    """Return the headers of a message.

    Raises:
        KeyError: the secret that the browser subscribed with is not listed any more.
    """
    return {
        "Authorization": _authorization(str(check_url(endpoint).origin()), key_id, int(time.time()) // 3600),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(message.ttl_s),
        "Topic": topic_of(message.topic),
        "Urgency": message.urgency,
    }


@lru_cache(maxsize=4096)
def _authorization(origin: str, key_id: str, hour: int) -> str:
    """Sign a token for a push service; one of the same hour is used again."""
    claims = {"aud": origin, "sub": settings().public_url, "exp": hour * 3600 + _TOKEN_S}
    token = jwt.encode(claims, _private_key(key_id), algorithm="ES256")
    return f"vapid t={token}, k={public_key(key_id)}"


def encrypt(plain: bytes, p256dh: bytes, auth_secret: bytes) -> bytes:
    """Encrypt for a browser, with a key of this message alone."""
    return http_ece.encrypt(
        plain,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=p256dh,
        auth_secret=auth_secret,
        version="aes128gcm",
    )


def plain_of(message: Message) -> bytes:
    """Return what the browser opens."""
    return fitting(message, _shape, limit_bytes=MAX_PLAIN_BYTES)


def _shape(message: Message) -> dict[str, Any]:
    return {
        "title": message.title,
        "body": message.body,
        "url": message.url,
        "id": message.id,
        "seq": message.seq,
        "tag": message.tag,
    }


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
