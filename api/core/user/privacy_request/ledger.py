"""The ledger: each erasure is noted in S3 before it begins, so that a restored backup can be erased again.

A database that is restored to yesterday knows nothing of an erasure of today. Entries are signed: whoever can write the bucket
must not be able to have people erased.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from api.core.user.contract import PrivacyRequestId
from api.core.user.privacy_request import signing
from api.core.user.privacy_request.store import Request
from cluster.base.ids import OrgId, UserId
from cluster.data.objects import Bucket, bucket

_TYP = "erasure+jws"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """An erasure that has begun."""

    request_id: PrivacyRequestId
    user_id: UserId
    org_id: OrgId | None
    requested_by: UserId
    created_at: datetime


def ledger() -> Bucket:
    return bucket("erasures")


async def note(request: Request) -> None:
    """Write the entry of a request; repeating it changes nothing."""
    document = {
        "request_id": str(request.id),
        "user_id": str(request.user_id),
        "org_id": None if request.org_id is None else str(request.org_id),
        "requested_by": str(request.requested_by),
        "created_at": request.created_at.isoformat(),
    }
    text = signing.sign(document, _TYP)
    await ledger().put(f"{request.id}.jws", text.encode(), content_type="application/jose")


async def entries() -> AsyncIterator[Noted | str]:
    """Stream all entries; a text names one that this platform did not sign.

    Raises:
        Unavailable
    """
    async for stored in ledger().list():
        try:
            read = signing.verified((await ledger().read(stored.key)).decode(), _TYP)
        except ValueError as error:
            yield f"{stored.key} is {error}"
            continue
        yield Noted(
            request_id=PrivacyRequestId(UUID(read["request_id"])),
            user_id=UserId(UUID(read["user_id"])),
            org_id=None if read["org_id"] is None else OrgId(UUID(read["org_id"])),
            requested_by=UserId(UUID(read["requested_by"])),
            created_at=datetime.fromisoformat(read["created_at"]),
        )
