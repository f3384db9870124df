"""Signed documents: the report of a request, and the erasures in the ledger outside the database.

Both are JWS in compact form (RFC 7515, EdDSA by RFC 8037) over canonical JSON (RFC 8785).
"""

import base64
import hmac
from contextlib import suppress
from functools import cache
from typing import Any
from uuid import UUID

import orjson
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt import PyJWS
from jwt.exceptions import PyJWTError

from api.core.user.contract import PrivacyRequestId
from cluster.base import secrets

_DOCUMENTS = "privacy documents"
_TOKENS = "privacy report token"


@cache
def _signer(key: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(key)


def sign(document: dict[str, Any], typ: str) -> str:
    """Sign a document; `typ` prevents that one kind is taken for another."""
    return PyJWS().encode(
        rfc8785.dumps(document), _signer(secrets.key(_DOCUMENTS)), algorithm="EdDSA", headers={"typ": typ}
    )


def verified(text: str, typ: str) -> dict[str, Any]:
    """Return a document that this platform signed, with the newest secret or a former one.

    Raises:
        ValueError: the platform did not sign it, or it was changed.
    """
    read = None
    for key in secrets.keys(_DOCUMENTS).values():
        with suppress(PyJWTError):
            read = PyJWS().decode_complete(text, _signer(key).public_key(), algorithms=["EdDSA"])
    if read is None:
        raise ValueError("not signed by this platform")
    if read["header"].get("typ") != typ:
        raise ValueError(f"a {read['header'].get('typ')}, not a {typ}")
    return orjson.loads(read["payload"])


def token_of(request_id: PrivacyRequestId) -> str:
    """Return the token that opens the report of a request: an erased person cannot sign in any more."""
    return _token(secrets.key(_TOKENS), request_id)


def _token(key: bytes, request_id: PrivacyRequestId) -> str:
    proof = hmac.digest(key, request_id.bytes, "sha256")[:16]
    return base64.urlsafe_b64encode(request_id.bytes + proof).decode().rstrip("=")


def request_of(token: str) -> PrivacyRequestId | None:
    """Return the request of a token, None when this platform did not make the token."""
    try:
        content = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        request_id = PrivacyRequestId(UUID(bytes=content[:16]))
    except ValueError:
        return None
    made = (_token(key, request_id) for key in secrets.keys(_TOKENS).values())
    return request_id if any(hmac.compare_digest(each.encode(), token.encode()) for each in made) else None
