"""Checkpoints: the ends of chains, signed and kept in S3, so that a rewritten database is found by comparing.

A change is found when it is made in the database alone, in the bucket alone, or in both without knowing HUB_SECRET while the
checkpoints stay. When somebody removes the newest checkpoints together with the entries that they hold, or knows the secret and
writes both, the change is found only if the bucket keeps every version (S3 Object Lock) or somebody keeps copies.
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
_MAX_ENDS = 5000


@dataclass(frozen=True, slots=True)
class CheckpointFindings:
    """The last end of each chain that checkpoints hold, and the faults of the checkpoints themselves."""

    ends: dict[UUID, End]
    faults: list[str]


def checkpoints_bucket() -> Bucket:
    return bucket("audit")


def encode(ends: Sequence[End], at: datetime) -> bytes:
    """Sign ends. The document contains the signed text unchanged, so that it is verified unchanged."""
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
    """Return the ends of a checkpoint that this platform signed.

    Raises:
        ValueError: this platform did not sign it, or it was changed.
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
    """Check that a key of this platform signed this: the newest, or a former one that HUB_SECRET still lists.

    Raises:
        InvalidSignature
    """
    for key in secrets.keys(_PURPOSE).values():
        try:
            return Ed25519PrivateKey.from_private_bytes(key).public_key().verify(signature, text)
        except InvalidSignature:
            continue
    raise InvalidSignature


async def write_checkpoints(caller: Principal) -> int:
    """Write checkpoints of every chain that has grown, and return their number.

    The bucket is written first: a checkpoint that is not recorded afterwards is still true, and its ends are written once more.
    """
    written = 0
    while True:
        async with read() as db:
            ends = await store.list_unnoted_ends(db, _MAX_ENDS)
        if not ends:
            return written
        key = f"{_PREFIX}{new_id()}.json"
        body = encode(ends, datetime.now(UTC))
        await checkpoints_bucket().put(key, body, content_type="application/json")
        async with write(caller) as tx:
            await store.insert_checkpoint(tx, key, hashlib.sha256(body).digest(), ends)
        written += 1


async def read_checkpoints() -> CheckpointFindings:
    """Read all checkpoints, and compare them with those that are recorded.

    Raises:
        Unavailable: the file store does not answer, so nothing is known about the checkpoints.
    """
    async with read() as db:
        missing = await store.list_checkpoints(db)
    found = CheckpointFindings({}, [])
    async for stored in checkpoints_bucket().list(_PREFIX):
        body = await checkpoints_bucket().read(stored.key)
        known = missing.pop(stored.key, None)
        if known is not None and known != hashlib.sha256(body).digest():
            found.faults.append(f"checkpoint {stored.key} is not what was written")
        try:
            ends = decode(body)
        except ValueError as error:
            found.faults.append(f"checkpoint {stored.key} is {error}")
            continue
        for end in ends:
            last = found.ends.setdefault(end.chain, end)
            if last.seq == end.seq and last.hash != end.hash:
                found.faults.append(f"checkpoint {stored.key} contradicts another about {end.chain} at {end.seq}")
            if last.seq < end.seq:
                found.ends[end.chain] = end
    found.faults.extend(f"checkpoint {key} is missing" for key in sorted(missing))
    return found
