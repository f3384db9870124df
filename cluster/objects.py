"""Objects in S3: boto3 decides and signs, aiohttp carries the bytes.

Every object is written whole or not at all, and nobody sees half of one. A slow reader slows the transfer, and no transfer
holds more than its buffer. What is safe to repeat is repeated; when S3 stays away, callers get `Unavailable`. Nothing here
may run inside a write transaction.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import aiohttp
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cluster.postgres import holds_connection
from cluster.problems import Unavailable
from cluster.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

P = ParamSpec("P")
T = TypeVar("T")
Bytes = bytes | bytearray | memoryview

PART_BYTES = 8 * 1024 * 1024
"""Size of the parts of `write_stream`. S3 wants at least 5 MiB (but for the last) and at most 10,000 of them."""

CONFIG = Config(
    signature_version="s3v4",
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=16,
    retries={"mode": "standard", "total_max_attempts": 1},
    # Not every S3 knows the trailing checksums that newer clients send by default.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    proxies={},
)
_PIECE_BYTES = 256 * 1024
_ATTEMPTS = 3
_FIRST_PAUSE_S = 0.1
_SLOWEST_BYTES_PER_S = 128 * 1024
_SIGNED_FOR_S = 3600
_CONNECTIONS = 64
_MISSING = ("404", "NoSuchKey", "NotFound", "NoSuchBucket", "NoSuchUpload")
_PASSING = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "500", "502", "503", "504")


class ObjectMissing(Exception):
    """There is no object (or no bucket, or no multipart upload) of that name."""


class ObjectRefused(Exception):
    """S3 understood the request and will not do it: a fault of ours or of the settings."""


class _Passing(Exception):
    """S3 did not answer, or asked to be left alone for a moment: the same request may succeed shortly."""


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
        _outside_transaction()
        position, failures = start, 0
        while end is None or position < end:
            before = position
            try:
                async for chunk in self._get_once(key, position, end):
                    position += len(chunk)
                    yield chunk
                return
            except _Passing as failure:
                failures = failures + 1 if position == before else 1
                await _pause(failures, failure)

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
            found = await _control((await _client()).head_object, Bucket=self.name, Key=key)
        except ObjectMissing:
            return None
        return Stored(key, found["ContentLength"], found["LastModified"])

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are gone already do not matter.

        Raises:
            Unavailable
        """
        client = await _client()
        waiting = iter(keys)
        while batch := list(islice(waiting, 1000)):
            try:
                wanted: Any = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
                answer = await _control(client.delete_objects, Bucket=self.name, Delete=wanted)
            except ObjectMissing:
                return
            kept = [error for error in answer.get("Errors", []) if error.get("Code") not in _MISSING]
            if kept:
                raise Unavailable(f"{len(kept)} objects could not be deleted; repeat it")

    async def list(self, prefix: str = "") -> AsyncIterator[Stored]:
        """Stream all objects whose key begins with `prefix`, in the order of their keys.

        Raises:
            Unavailable
        """
        client = await _client()
        more: dict[str, Any] = {}
        while True:
            try:
                page = await _control(client.list_objects_v2, Bucket=self.name, Prefix=prefix, **more)
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
        client = await _client()
        try:
            page = await _control(client.list_multipart_uploads, Bucket=self.name)
        except ObjectMissing:
            return 0
        stale = [found for found in page.get("Uploads", []) if found.get("Initiated", before) < before]
        for found in stale:
            await self._abort(found.get("Key", ""), found.get("UploadId", ""))
        return len(stale)

    async def url(self, key: str, *, valid_for: timedelta = timedelta(hours=1)) -> str:
        """Sign a URL under which programs of ours read the object, ranges too. It never goes to a client."""
        client = await _client()
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
            await _control((await _client()).create_bucket, Bucket=self.name, **place)
        except ObjectRefused as error:
            if "BucketAlready" not in str(error):
                raise

    async def _get_once(self, key: str, start: int, end: int | None) -> AsyncGenerator[bytes, None]:
        address = await self.url(key)
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or end is not None else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)
        try:
            async with _session().get(address, headers=headers, timeout=timeout) as response:
                if response.status == 416:
                    return
                await _check(response)
                # Some stores answer a range with status 200; only Content-Range tells that it was understood.
                if headers and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                    raise ObjectRefused("the store does not answer ranges")
                async for chunk in response.content.iter_any():
                    yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _Passing(repr(error)) from error

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
            client = await _client()
            done: Any = {"Parts": parts}
            with _forgotten():
                await _control(
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
        client = await _client()
        for made in (False, True):
            try:
                begun = await _control(
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
            await _control((await _client()).abort_multipart_upload, Bucket=self.name, Key=key, UploadId=upload_id)
        except ObjectMissing:
            return

    async def _abort_quietly(self, key: str, upload_id: str) -> None:
        try:
            await self._abort(key, upload_id)
        except (Unavailable, ObjectRefused):
            return

    async def _send(self, operation: str, parameters: dict[str, Any], body: Bytes, headers: dict[str, str]) -> str:
        """PUT `body` to a signed URL and return the ETag."""
        _outside_transaction()
        client = await _client()
        bucket_made = False
        failures = 0
        while True:
            address = client.generate_presigned_url(
                operation, Params={"Bucket": self.name, **parameters}, ExpiresIn=_SIGNED_FOR_S
            )
            try:
                return await _put(address, body, headers)
            except ObjectMissing:
                if bucket_made or "UploadId" in parameters:
                    raise
                await self.ensure()
                bucket_made = True
            except _Passing as failure:
                failures += 1
                await _pause(failures, failure)


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


async def close() -> None:
    """Close this process's connections to S3."""
    global _http, _s3
    http, _http, _s3 = _http, None, None
    if http is not None:
        await http.close()


_http: aiohttp.ClientSession | None = None
_s3: "S3Client | None" = None
_making = threading.Lock()


def _session() -> aiohttp.ClientSession:
    global _http
    if _http is None or _http.closed:
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=30)
        _http = aiohttp.ClientSession(connector=connector, auto_decompress=False, trust_env=False)
    return _http


async def _client() -> "S3Client":
    # Making a client reads botocore's models from disk: in a thread, once.
    _outside_transaction()
    return _s3 if _s3 is not None else await asyncio.to_thread(_make_client)


def _make_client() -> "S3Client":
    global _s3
    with _making:
        if _s3 is None:
            where = settings()
            _s3 = cast("Any", boto3).client(
                "s3",
                endpoint_url=where.s3_endpoint,
                aws_access_key_id=where.s3_access_key,
                aws_secret_access_key=where.s3_secret_key,
                region_name=where.s3_region,
                config=CONFIG,
            )
        return cast("S3Client", _s3)


async def _control(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a boto3 call in a thread, again when S3 was away. Every call used here may be repeated."""
    _outside_transaction()
    failures = 0
    while True:
        try:
            return await asyncio.to_thread(call, *args, **kwargs)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _MISSING:
                raise ObjectMissing(str(error)) from error
            if code not in _PASSING:
                raise ObjectRefused(str(error)) from error
            failure: Exception = error
        except BotoCoreError as error:
            failure = error
        failures += 1
        await _pause(failures, failure)


async def _put(address: str, body: Bytes, headers: dict[str, str]) -> str:
    # The whole request has a time limit: an answer comes only after the last byte, so silence says nothing.
    timeout = aiohttp.ClientTimeout(total=30 + len(body) / _SLOWEST_BYTES_PER_S, sock_connect=5)
    headers = headers | {"Content-Length": str(len(body))}
    try:
        async with _session().put(address, data=_pieces(body), headers=headers, timeout=timeout) as response:
            await _check(response)
            return response.headers.get("ETag", "")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _Passing(repr(error)) from error


async def _pieces(body: Bytes) -> AsyncGenerator[memoryview, None]:
    # Copied to the socket piece by piece: one large write would double the memory.
    view = memoryview(body)
    for start in range(0, len(view), _PIECE_BYTES):
        yield view[start : start + _PIECE_BYTES]


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status < 300:
        return
    said = (await response.text())[:500]
    if response.status == 404:
        raise ObjectMissing(said)
    if response.status >= 500 or response.status in (408, 429):
        raise _Passing(said)
    raise ObjectRefused(f"{response.status}: {said}")


async def _pause(failures: int, failure: Exception) -> None:
    """Wait a little before the next attempt.

    Raises:
        Unavailable: there were enough.
    """
    if failures >= _ATTEMPTS:
        raise Unavailable(
            "the file store does not answer; nothing that was stored is lost, repeat it shortly"
        ) from failure
    await asyncio.sleep(_FIRST_PAUSE_S * 4 ** (failures - 1))


def _outside_transaction() -> None:
    if holds_connection():
        raise RuntimeError("objects while a connection is held: transfer first, then commit what is true")
