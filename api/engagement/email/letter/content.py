"""The sealed part of a letter: to whom it goes, and what fills its template in."""

from dataclasses import dataclass
from uuid import UUID

import orjson

from cluster.base.addresses import EmailAddress
from cluster.base.sealing import mac, macs, seal, unseal

_SEALING_PURPOSE = "letter"
_HASHING_PURPOSE = "address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    to: str
    fields: dict[str, str]

    def seal(self) -> bytes:
        return seal("email", _SEALING_PURPOSE, orjson.dumps([self.to, self.fields]))

    @classmethod
    def unseal(cls, sealed: bytes) -> "Content":
        to, fields = orjson.loads(unseal("email", _SEALING_PURPOSE, sealed))
        return cls(to=to, fields=fields)


def hash_of(address: EmailAddress) -> bytes:
    """Return the keyed hash by which an address is known after its letters are forgotten."""
    return mac("email", _HASHING_PURPOSE, address.key.encode())


def hashes_of(key: str) -> list[bytes]:
    """Return the hashes of an address under each of the platform's secrets, the newest first."""
    return macs("email", _HASHING_PURPOSE, key.encode())


def message_id(letter_id: UUID, sender_domain: str) -> str:
    """Return the Message-ID of a letter, fixed before the first try (RFC 5322, 3.6.4)."""
    return f"<{letter_id}@{sender_domain}>"
