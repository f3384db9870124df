"""Objects in S3: boto3 decides and signs, aiohttp carries the bytes.

Every object is written whole or not at all, and nobody sees half of one. A slow reader slows the transfer, and no transfer
holds more than its buffer. What is safe to repeat is repeated; when S3 stays away, callers get `Unavailable`. Nothing here
may run inside a write transaction.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from cluster.base.problems import Unavailable
from cluster.base.settings import settings
from cluster.data import s3
from cluster.data.s3 import Bytes, ObjectMissing, ObjectRefused, close, config

__all__ = ["PART_BYTES", "Bucket", "ObjectMissing", "ObjectRefused", "Stored", "bucket", "close", "config"]

PART_BYTES = 8 * 1024 * 1024
"""Size of the parts of `write_stream`. S3 wants at least 5 MiB (but for the last) and at most 10,000 of them."""

_SIGNED_FOR_S = 3600
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as S3 describes it."""

    key: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket by its full name; it is made on the first write where it is missing."""

    name: str

    async def put(self, key: str, body: Bytes, *, content_type: str = "application/octet-stream") -> None:
        """Write a small object (at most some MiB) whole, in place of one of the same key.

        Raises:
            Unavailable
        """
        await self._send("put_object", {"Key": key, "ContentType": content_type}, body, {"Content-Type": content_type})

    async def write_stream(
        self, key: str, chunks: AsyncIterable[Bytes], *, content_type: str = "application/octet-stream"
    ) -> int:
        """Write an object of any size in parts of `PART_BYTES`, holding one, and return its size.

        It appears when all of it is there; when this or `chunks` raises, nothing appears.

        Raises:
            Unavailable
        """
        size = 0
        part = bytearray()
        async with self._multipart(key, content_type) as add_part:
            async for chunk in chunks:
                size += len(chunk)
                rest = memoryview(chunk)
                while len(part) + len(rest) >= PART_BYTES:
                    room = PART_BYTES - len(part)
                    part += rest[:room]
                    rest = rest[room:]
                    await add_part(part)
                    part = bytearray()
                part += rest
            if part or not size:
                await add_part(part)
        return size

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """Stream the bytes from `start` up to but without `end`. A broken connection is taken up where it broke.

        Close the iterator (`contextlib.aclosing`) when you stop before its end.

        Raises:
            ObjectMissing, Unavailable
        """
        s3.outside_transaction()
        position, failures = start, 0
        while end is None or position < end:
            before = position
            try:
                async for chunk in self._get_once(key, position, end):
                    position += len(chunk)
                    yield chunk
                return
            except s3.Passing as failure:
                failures = failures + 1 if position == before else 1
                await s3.pause(failures, failure)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return a small object, or a range of one.

        Raises:
            ObjectMissing, Unavailable
        """
        return b"".join([chunk async for chunk in self.get(key, start, end)])

    async def head(self, key: str) -> Stored | None:
        """Say what S3 knows of an object; None when there is none.

        Raises:
            Unavailable
        """
        try:
            found = await s3.control((await s3.client()).head_object, Bucket=self.name, Key=key)
        except ObjectMissing:
            return None
        return Stored(key, found["ContentLength"], found["LastModified"])

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are gone already do not matter.

        Raises:
            Unavailable
        """
        client = await s3.client()
        waiting = iter(keys)
        while batch := list(islice(waiting, 1000)):
            try:
                wanted: Any = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
                answer = await s3.control(client.delete_objects, Bucket=self.name, Delete=wanted)
            except ObjectMissing:
                return
            kept = [error for error in answer.get("Errors", []) if error.get("Code") not in s3.MISSING]
            if kept:
                raise Unavailable(f"{len(kept)} objects could not be deleted; repeat it")

    async def list(self, prefix: str = "") -> AsyncIterator[Stored]:
        """Stream all objects whose key begins with `prefix`, in the order of their keys.

        Raises:
            Unavailable
        """
        client = await s3.client()
        more: dict[str, Any] = {}
        while True:
            try:
                page = await s3.control(client.list_objects_v2, Bucket=self.name, Prefix=prefix, **more)
            except ObjectMissing:
                return
            for found in page.get("Contents", []):
                yield Stored(found.get("Key", ""), found.get("Size", 0), found["LastModified"])  # pyright: ignore
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page.get("NextContinuationToken")}

    async def abort_stale_multiparts(self, before: datetime) -> int:
        """Free what killed processes left of `write_stream`s begun before that instant; return how many.

        Raises:
            Unavailable
        """
        client = await s3.client()
        freed = 0
        more: dict[str, Any] = {}
        while True:
            try:
                page = await s3.control(client.list_multipart_uploads, Bucket=self.name, MaxUploads=_PAGE, **more)
            except ObjectMissing:
                return freed
            for found in page.get("Uploads", []):
                if found.get("Initiated", before) < before:
                    await self._abort(found.get("Key", ""), found.get("UploadId", ""))
                    freed += 1
            if not page.get("IsTruncated"):
                return freed
            more = {"KeyMarker": page.get("NextKeyMarker"), "UploadIdMarker": page.get("NextUploadIdMarker")}

    async def url(self, key: str, *, valid_for: timedelta = timedelta(hours=1)) -> str:
        """Sign a URL under which programs of ours read the object, ranges too. It never goes to a client."""
        client = await s3.client()
        return client.generate_presigned_url(
            "get_object", Params={"Bucket": self.name, "Key": key}, ExpiresIn=int(valid_for.total_seconds())
        )

    async def ensure(self) -> None:
        """Make the bucket unless it is there.

        Raises:
            Unavailable
        """
        where = settings().s3_region
        place: Any = {} if where == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": where}}
        try:
            await s3.control((await s3.client()).create_bucket, Bucket=self.name, **place)
        except ObjectRefused as error:
            if "BucketAlready" not in str(error):
                raise

    async def _get_once(self, key: str, start: int, end: int | None) -> AsyncGenerator[bytes, None]:
        address = await self.url(key)
        import aiohttp  # imported by now: see `s3`

        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)
        try:
            async with s3.session().get(address, headers=headers, timeout=timeout) as response:
                if response.status == 416:
                    return
                await s3.check(response)
                # Some stores answer a range with status 200; only Content-Range tells that it was understood.
                if headers and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                    raise ObjectRefused("the store does not answer ranges")
                async for chunk in response.content.iter_any():
                    yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise s3.Passing(repr(error)) from error

    @asynccontextmanager
    async def _multipart(self, key: str, content_type: str) -> AsyncGenerator[Callable[[Bytes], Awaitable[None]]]:
        upload_id = await self._begin(key, content_type)
        parts: list[Any] = []

        async def add_part(body: Bytes) -> None:
            number = len(parts) + 1
            where = {"Key": key, "UploadId": upload_id, "PartNumber": number}
            with _forgotten():
                tag = await self._send("upload_part", where, body, {})
            parts.append({"ETag": tag, "PartNumber": number})

        try:
            yield add_part
            client = await s3.client()
            done: Any = {"Parts": parts}
            with _forgotten():
                await s3.control(
                    client.complete_multipart_upload,
                    Bucket=self.name,
                    Key=key,
                    UploadId=upload_id,
                    MultipartUpload=done,
                )
        except BaseException:
            # Best effort: what stays behind is found by `abort_stale_multiparts`.
            await asyncio.shield(self._abort_quietly(key, upload_id))
            raise

    async def _begin(self, key: str, content_type: str) -> str:
        client = await s3.client()
        for made in (False, True):
            try:
                begun = await s3.control(
                    client.create_multipart_upload, Bucket=self.name, Key=key, ContentType=content_type
                )
                return begun["UploadId"]
            except ObjectMissing:
                if made:
                    raise
                await self.ensure()
        raise AssertionError("unreachable")

    async def _abort(self, key: str, upload_id: str) -> None:
        try:
            await s3.control((await s3.client()).abort_multipart_upload, Bucket=self.name, Key=key, UploadId=upload_id)
        except ObjectMissing:
            return

    async def _abort_quietly(self, key: str, upload_id: str) -> None:
        try:
            await self._abort(key, upload_id)
        except (Unavailable, ObjectRefused):
            return

    async def _send(self, operation: str, parameters: dict[str, Any], body: Bytes, headers: dict[str, str]) -> str:
        """PUT `body` to a signed URL and return the ETag."""
        s3.outside_transaction()
        client = await s3.client()
        bucket_made = False
        failures = 0
        while True:
            address = client.generate_presigned_url(
                operation, Params={"Bucket": self.name, **parameters}, ExpiresIn=_SIGNED_FOR_S
            )
            try:
                return await s3.put(address, body, headers)
            except ObjectMissing:
                if bucket_made or "UploadId" in parameters:
                    raise
                await self.ensure()
                bucket_made = True
            except s3.Passing as failure:
                failures += 1
                await s3.pause(failures, failure)


@contextmanager
def _forgotten() -> Generator[None]:
    """Make an unknown multipart upload a passing fault: some stores forget those in progress when they restart."""
    try:
        yield
    except ObjectMissing as error:
        raise Unavailable("the file store restarted meanwhile; repeat it") from error


def bucket(purpose: str) -> Bucket:
    """Name this stack's bucket for a purpose."""
    return Bucket(f"{settings().stack}-{purpose}".replace("_", "-"))
