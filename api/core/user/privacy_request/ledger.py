"""The ledger: each erasure is recorded in S3 before it begins, so that it can be repeated on a restored backup.

A database that is restored to yesterday has no record of an erasure of today. Entries are signed: the right to write the bucket
must not be enough to have people erased.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from api.core.user.contract import PrivacyRequestId
from api.core.user.privacy_request import signing
from api.core.user.privacy_request.store import LedgerEntry, Request
from cluster.base.ids import OrgId, UserId
from cluster.data.objects import Bucket, bucket

_TYP = "erasure+jws"


def ledger() -> Bucket:
    return bucket("erasures")


async def record(request: Request) -> None:
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


async def entries() -> AsyncIterator[LedgerEntry | str]:
    """Stream all entries; a text is the fault of one that this platform did not sign.

    Raises:
        Unavailable
    """
    async for stored in ledger().list():
        try:
            read = signing.verified((await ledger().read(stored.key)).decode(), _TYP)
        except ValueError as error:
            yield f"{stored.key} is {error}"
            continue
        yield LedgerEntry(
            request_id=PrivacyRequestId(UUID(read["request_id"])),
            user_id=UserId(UUID(read["user_id"])),
            org_id=None if read["org_id"] is None else OrgId(UUID(read["org_id"])),
            requested_by=UserId(UUID(read["requested_by"])),
            created_at=datetime.fromisoformat(read["created_at"]),
        )
