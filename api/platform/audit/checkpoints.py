"""Checkpoints: the ends of chains, signed and kept in S3, so that who rewrites the database is found by comparing.

Found is whoever can write the database or the bucket alone, and whoever writes both without knowing HUB_SECRET and keeps the
checkpoints. Who removes the newest checkpoints together with what they vouch for, or knows the secret and writes both, is found
only where the bucket keeps every version (S3 Object Lock) or somebody keeps copies.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.platform.audit import store
from api.platform.audit.store import End
from cluster.base import secrets
from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.data import read, write
from cluster.data.objects import Bucket, bucket

FORMAT = 1
_PURPOSE = "audit checkpoint"
_PREFIX = "checkpoints/"
_ENDS = 5000


@dataclass(frozen=True, slots=True)
class Noted:
    """What checkpoints hold: the last end of each chain, and what is wrong with the checkpoints themselves."""

    ends: dict[UUID, End]
    faults: list[str]


def checkpoints_bucket() -> Bucket:
    return bucket("audit")


def encode(ends: Sequence[End], at: datetime) -> bytes:
    """Sign ends. The text that is signed stands in the document as it is, so that it is verified as it is."""
    signer = Ed25519PrivateKey.from_private_bytes(secrets.key(_PURPOSE))
    text = rfc8785.dumps(
        {
            "format": FORMAT,
            "at": at.isoformat(timespec="microseconds"),
            "ends": {str(end.chain): {"seq": str(end.seq), "hash": end.hash.hex()} for end in ends},
        }
    )
    return orjson.dumps({"checkpoint": text.decode(), "signature": b64encode(signer.sign(text)).decode()})


def decode(body: bytes) -> list[End]:
    """Return the ends of a checkpoint that we signed.

    Raises:
        ValueError: we did not, or it was changed.
    """
    try:
        document: Any = orjson.loads(body)
        text = document["checkpoint"].encode()
        _verify(b64decode(document["signature"], validate=True), text)
        ends: dict[str, Any] = orjson.loads(text)["ends"]
        return [End(UUID(chain), int(end["seq"]), bytes.fromhex(end["hash"])) for chain, end in ends.items()]
    except (InvalidSignature, LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not signed by this platform: {error or 'the signature is wrong'}") from None


def _verify(signature: bytes, text: bytes) -> None:
    """Return when a key of ours signed this, the newest or a former one that HUB_SECRET still lists.

    Raises:
        InvalidSignature
    """
    for key in secrets.keys(_PURPOSE).values():
        try:
            return Ed25519PrivateKey.from_private_bytes(key).public_key().verify(signature, text)
        except InvalidSignature:
            continue
    raise InvalidSignature


async def note_ends(caller: Principal) -> int:
    """Write checkpoints of every chain that has grown, and return how many.

    The bucket comes first: what is not recorded after it is written is still true, and is written once more.
    """
    written = 0
    while True:
        async with read() as db:
            ends = await store.list_unnoted(db, _ENDS)
        if not ends:
            return written
        key = f"{_PREFIX}{new_id()}.json"
        body = encode(ends, datetime.now(UTC))
        await checkpoints_bucket().put(key, body, content_type="application/json")
        async with write(caller) as tx:
            await store.insert_checkpoint(tx, key, hashlib.sha256(body).digest(), ends)
        written += 1


async def read_noted() -> Noted:
    """Read all checkpoints, and compare them with those that there must be.

    Raises:
        Unavailable: the file store does not answer; nothing is said about the checkpoints then.
    """
    async with read() as db:
        missing = await store.list_checkpoints(db)
    noted = Noted({}, [])
    async for stored in checkpoints_bucket().list(_PREFIX):
        body = await checkpoints_bucket().read(stored.key)
        known = missing.pop(stored.key, None)
        if known is not None and known != hashlib.sha256(body).digest():
            noted.faults.append(f"checkpoint {stored.key} is not what was written")
        try:
            ends = decode(body)
        except ValueError as error:
            noted.faults.append(f"checkpoint {stored.key} is {error}")
            continue
        for end in ends:
            last = noted.ends.setdefault(end.chain, end)
            if last.seq == end.seq and last.hash != end.hash:
                noted.faults.append(f"checkpoint {stored.key} contradicts another about {end.chain} at {end.seq}")
            if last.seq < end.seq:
                noted.ends[end.chain] = end
    noted.faults.extend(f"checkpoint {key} is missing" for key in sorted(missing))
    return noted
