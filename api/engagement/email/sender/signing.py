"""Sign messages twice by DKIM (RFC 6376): RSA, which every receiver verifies, and Ed25519 (RFC 8463).

dkimpy canonicalizes; the keys are those of `cryptography`, because its RSA takes a twentieth of the time.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cluster.base.sealing import seal, unseal

_PURPOSE = "signing key"
_RSA_BITS = 2048
SIGNED = (
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "auto-submitted",
    "reply-to",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "mime-version",
    "content-type",
)
"""Each is named once more than it occurs, so that nobody adds another one (RFC 6376, 8.15)."""
REWRITTEN = ("date", "message-id")
_HEADER = re.compile(rb"([!-9;-~]+):((?:[^\r\n]|\r\n[ \t])*)\r\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKeys:
    """Keys as they are stored, and as DNS shows them."""

    selector: str
    rsa: bytes
    rsa_public: str
    ed25519: bytes
    ed25519_public: str


def make_keys(sender_id: UUID, generation: int) -> NewKeys:
    """Make the keys of a generation. It takes a tenth of a second."""
    long, short = rsa.generate_private_key(65537, _RSA_BITS), Ed25519PrivateKey.generate()
    der, info, plain = (
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo,
        serialization.NoEncryption(),
    )
    raw = serialization.Encoding.Raw
    return NewKeys(
        # Another organization that names the same domain has other selectors: DNS says whose keys it allows.
        selector=f"hub{generation}-{sender_id.hex[-12:]}",
        rsa=seal("email", _PURPOSE, long.private_bytes(der, serialization.PrivateFormat.PKCS8, plain)),
        rsa_public=base64.b64encode(long.public_key().public_bytes(der, info)).decode(),
        ed25519=seal("email", _PURPOSE, short.private_bytes(raw, serialization.PrivateFormat.Raw, plain)),
        ed25519_public=base64.b64encode(short.public_key().public_bytes(raw, serialization.PublicFormat.Raw)).decode(),
    )


@dataclass(frozen=True)
class Signer:
    """Signs the letters of a domain. `selector` is that of RSA; Ed25519 has an `e` behind it."""

    domain: str
    selector: str
    sealed_rsa: bytes
    sealed_ed25519: bytes

    @cached_property
    def _rsa(self) -> rsa.RSAPrivateKey:
        key: Any = serialization.load_der_private_key(unseal("email", _PURPOSE, self.sealed_rsa), None)
        return key

    @cached_property
    def _ed25519(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(unseal("email", _PURPOSE, self.sealed_ed25519))

    def sign(self, message: bytes, *, at_s: int, rewritten: bool = False) -> bytes:
        """Return the message with two signatures before it; `at_s` is their time in Unix seconds.

        `rewritten`: they leave out what SES writes anew. Source: SES Developer Guide, "Manual DKIM signing".

        Raises:
            SealBroken
        """
        from dkim.canonicalization import Relaxed

        head, _, body = message.partition(b"\r\n\r\n")
        headers = [(found[1], found[2]) for found in _HEADER.finditer(head + b"\r\n")]
        canonical: list[tuple[bytes, bytes]] = Relaxed.canonicalize_headers(headers)
        body_hash = base64.b64encode(hashlib.sha256(Relaxed.canonicalize_body(body)).digest()).decode()
        names: list[str] = []
        content = b""
        for name in SIGNED:
            if rewritten and name in REWRITTEN:
                continue
            # From the last one up, as a receiver goes (RFC 6376, 5.4.2).
            own = [value for key, value in reversed(canonical) if key == name.encode()]
            names += [name] * (len(own) + 1)
            content += b"".join(name.encode() + b":" + value for value in own)
        signatures = b""
        for algorithm, selector in (("ed25519-sha256", f"{self.selector}e"), ("rsa-sha256", self.selector)):
            unsigned = (
                f"v=1; a={algorithm}; c=relaxed/relaxed; d={self.domain}; s={selector}; t={at_s};\r\n"
                f" h={_folded(names)};\r\n bh={body_hash};\r\n b="
            ).encode()
            [(_, value)] = Relaxed.canonicalize_headers([(b"DKIM-Signature", unsigned)])
            signed = content + b"dkim-signature:" + value.removesuffix(b"\r\n")
            if algorithm == "rsa-sha256":
                signature = self._rsa.sign(signed, padding.PKCS1v15(), hashes.SHA256())
            else:
                signature = self._ed25519.sign(hashlib.sha256(signed).digest())
            text = base64.b64encode(signature)
            lines = b"\r\n ".join(text[start : start + 72] for start in range(0, len(text), 72))
            signatures += b"DKIM-Signature: " + unsigned + lines + b"\r\n"
        return signatures + message


def _folded(names: list[str]) -> str:
    """Join names so that no line has more than 78 characters (RFC 5322, 2.1.1)."""
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > 70:
            lines.append("")
        lines[-1] += f"{name}:"
    return "\r\n  ".join(lines).removesuffix(":")


@lru_cache(maxsize=512)
def signer(domain: str, selector: str, sealed_rsa: bytes, sealed_ed25519: bytes) -> Signer:
    """Return the signer with these keys, opened once."""
    return Signer(domain, selector, sealed_rsa, sealed_ed25519)
