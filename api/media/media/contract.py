"""What other services may know of media: assets, purposes of uploads, events, problems and the calls it answers."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType, Protocol
from uuid import UUID

from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.problems import BadRequest, Conflict, Invalid, NotFound, Problem, TooLarge
from cluster.data.uses import Ref, Thing
from cluster.data.uses import State as ThingState
from cluster.events import event
from cluster.jobs import job
from cluster.people.access import Guarded

AssetId = NewType("AssetId", UUID)
State = Literal["uploading", "checking", "ready", "rejected"]
TargetKind = Literal["org", "course", "run", "user"]
Reason = Literal["empty", "type-unknown", "type-not-allowed", "content-lost"]
"""Why an asset was rejected."""
REASONS: dict[Reason, str] = {
    "empty": "the file is empty",
    "type-unknown": "what the file is cannot be told from its content",
    "type-not-allowed": "files of this type are not taken for this purpose",
    "content-lost": "the file store lost a part of the file: upload it again",
}
_THING_STATES: dict[State, ThingState] = {
    "uploading": "pending",
    "checking": "pending",
    "ready": "ready",
    "rejected": "failed",
}


def new_object_key() -> str:
    """Name an object of the bucket `media` for `MediaCalls.adopt`. An object that is not adopted within a day is deleted."""
    return f"{new_id()}/{new_id().hex}"


def asset_ref(asset_id: AssetId) -> Ref:
    """Name an asset among the things that can be used."""
    return Ref("asset", asset_id)


@dataclass(frozen=True, slots=True)
class UploadPurpose:
    """An offer: a purpose that files are uploaded for. `Upload-Metadata: purpose` names it."""

    name: str
    max_bytes: int
    content_types: tuple[str, ...]
    """The types that the bytes may have, whatever the file is called: `application/pdf`, `video/*`."""
    permission: str
    """Needed on the target."""
    targets: tuple[TargetKind, ...]
    shown: bool = False
    """Whether those who may open what shows such a file may have its content, too."""
    seen_with: str | None = None
    """The permission on its place or owner that lets one have its content, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """An uploaded file. Its bytes lie in `bucket` under `object_key` once it is ready."""

    id: AssetId
    org_id: OrgId | None
    """None: it belongs to a person (`user:me`)."""
    course_id: UUID | None
    run_id: UUID | None
    owner_id: UserId
    """Its uploader."""
    purpose: str
    filename: str
    content_type: str | None
    """The type that the uploader declares; when ready, the type that the bytes have."""
    size_bytes: int
    state: State
    reason: Reason | None
    sha256: str | None
    bucket: str
    object_key: str | None
    version: int
    created_at: datetime
    expires_at: datetime | None
    """When an unfinished upload is given up."""

    def guarded(self) -> "Guarded[Asset]":
        """Wrap it for `permit`."""
        return Guarded(self, org_id=self.org_id, course_id=self.course_id, run_id=self.run_id, owner_id=self.owner_id)

    def content_key(self) -> str:
        """Return the object with the content.

        Raises:
            AssetNotReady, AssetRejected
        """
        if self.reason is not None:
            raise AssetRejected(REASONS[self.reason], reason=self.reason)
        if self.object_key is None:
            raise AssetNotReady(f"it is {self.state}; wait for state ready", state=self.state)
        return self.object_key

    def thing(self) -> Thing:
        """Describe it to its users."""
        return Thing(
            kind="asset",
            id=self.id,
            org_id=self.org_id,
            course_id=self.course_id,
            state=_THING_STATES[self.state],
            fault=self.reason,
            facts={"content_type": self.content_type, "purpose": self.purpose},
            bytes=self.size_bytes,
            version=self.version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownIn:
    """A run that shows a file."""

    run_id: UUID
    course_id: UUID
    org_id: OrgId
    released: bool
    """False: only in blocks that are still to open."""


class ShowingSource(Protocol):
    """A leaf: answered by the service that shows files to the learners of runs."""

    async def shown_in(self, asset_id: AssetId, run_ids: list[UUID]) -> list[ShownIn]:
        """Return those of these runs that show a file now."""
        ...


class MediaCalls(Protocol):
    """The calls of media, for higher ranks. They check the caller's rights with `Asset.guarded()`."""

    async def find_asset(self, asset_id: AssetId) -> Asset | None: ...

    async def find_assets(self, asset_ids: Collection[AssetId]) -> list[Asset]: ...

    async def adopt(
        self,
        object_key: str,
        target: str,
        purpose: str,
        filename: str,
        owner_id: UserId,
        declared_type: str | None = None,
    ) -> AssetId:
        """Make an asset of a file that a service has written to the bucket `media` under a `new_object_key()`.

        `target` as in uploads: `org:<id>`, `course:<id>`, `run:<id>`, or `user:me` for the owner's own. It is checked like
        an upload and counts in the quota. Up to 32 MiB it is ready when this returns, a larger one soon. It expires
        like every asset unless the caller uses it within a day. Adopting again returns the same asset.

        Raises:
            AssetNotFound: there is no such object.
            AssetRejected, QuotaExceeded, UploadPurposeUnknown, UploadTargetInvalid, UploadTooLarge
            NotFound: there is no such target.
        """
        ...

    async def restore_asset(self, asset_id: AssetId) -> None:
        """Bring a deleted asset back for something that is restored itself. Restoring one that is not deleted changes nothing.

        Raises:
            AssetNotFound: it was deleted more than 30 days ago.
            QuotaExceeded
        """
        ...


@event("asset.created", subject="asset_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AssetCreated:
    """An upload began."""

    asset_id: AssetId
    org_id: OrgId | None
    purpose: str
    size_bytes: int
    course_id: UUID | None = None
    run_id: UUID | None = None


@event("asset.ready", subject="asset_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AssetReady:
    asset_id: AssetId
    org_id: OrgId | None
    purpose: str
    content_type: str
    size_bytes: int


@event("asset.rejected", subject="asset_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRefused:
    asset_id: AssetId
    org_id: OrgId | None
    purpose: str
    reason: Reason


@event("asset.deleted", subject="asset_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AssetDeleted:
    asset_id: AssetId
    org_id: OrgId | None
    purpose: str
    expired: bool
    """It was not finished in time, or nothing used it any more."""


@event("asset.restored", subject="asset_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRestored:
    """It was deleted and is back."""

    asset_id: AssetId
    org_id: OrgId | None
    purpose: str


@event("asset.held", subject="asset_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AssetHeld:
    """It is under a legal hold, for a first or another reason: it is not purged."""

    asset_id: AssetId
    org_id: OrgId | None
    purpose: str


@event("asset.released", subject="asset_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class AssetReleased:
    """Its legal hold has ended."""

    asset_id: AssetId
    org_id: OrgId | None
    purpose: str


@job("media.check_asset", attempts=20, timeout_s=120, concurrency=2)
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAsset:
    """Makes one object of the parts of a complete upload and finds its type."""

    asset_id: AssetId


@job("media.remove_objects", attempts=20, timeout_s=120, lane="bulk")
@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveObjects:
    """Deletes the objects of an asset that nothing refers to."""

    asset_id: AssetId


@job("media.remove_unused", attempts=20, timeout_s=60, lane="bulk")
@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveUnused:
    """Deletes an asset unless something uses it; it can be restored for 30 days."""

    id: UUID


@job("media.purge_asset", attempts=20, timeout_s=300, lane="bulk")
@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeAsset:
    """Deletes a removed asset for good: its objects, then its rows."""

    id: UUID


class AssetNotFound(NotFound):
    title = "No such file"


class AssetNotHeld(NotFound):
    title = "The file is not held"


class AssetNotReady(Conflict):
    title = "The file is not ready yet"


class AssetRejected(Invalid):
    title = "The file was rejected"


class RangeNotSatisfiable(Problem):
    """No byte of the range exists (RFC 9110, section 15.5.17)."""

    status = 416
    title = "The requested range is outside the file"


class TusVersionUnsupported(Problem):
    status = 412
    title = "This version of tus is not spoken here"

    def __init__(self) -> None:
        super().__init__("send Tus-Resumable: 1.0.0", headers={"Tus-Version": "1.0.0"})


class UploadHeaderInvalid(BadRequest):
    title = "A header of the upload cannot be read"


class UploadPurposeUnknown(Invalid):
    title = "Files are not uploaded for this"


class UploadTargetInvalid(Invalid):
    title = "The target does not fit"


class UploadTooLarge(TooLarge):
    title = "The file is too large"


class QuotaExceeded(TooLarge):
    title = "There is no room left for this file"


class TooManyUploads(Conflict):
    """Carries `open_uploads` and `awaited_bytes`: how many are unfinished, and how much they have still to send."""

    title = "Too much is being uploaded already"


class UploadGone(Problem):
    """It expired, or was ended by its owner."""

    status = 410
    title = "The upload is gone"


class UploadOffsetMismatch(Conflict):
    """The offset that the client sent differs from the bytes that arrived."""

    title = "The upload stands elsewhere"

    def __init__(self, offset_bytes: int) -> None:
        super().__init__(
            f"go on at byte {offset_bytes}",
            headers={"Upload-Offset": str(offset_bytes)},
            offset_bytes=offset_bytes,
        )


class UploadTakenOver(Conflict):
    """A later request goes on with this upload; this one's unacknowledged bytes are not kept."""

    title = "Another request goes on with this upload"


class UploadStalled(Problem):
    """No byte came for a minute. The bytes before are kept."""

    status = 408
    title = "The upload stalled"


class ChecksumMismatch(Problem):
    """Source: tus 1.0.0, checksum extension."""

    status = 460
    title = "The bytes do not match their checksum"
