"""How this process speaks with S3: its connections, its threads, what is tried again and what counts as away.

boto3 blocks, so its calls run in threads of their own: an S3 that does not answer holds up nobody who needs the event loop's
threads for something else. boto3 and aiohttp take a third of a second to import, so the first request to S3 does it, there too.
"""

import asyncio
import importlib
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from cluster.base.away import is_away
from cluster.base.problems import Unavailable
from cluster.base.settings import settings
from cluster.data.postgres import holds_connection

if TYPE_CHECKING:
    import aiohttp
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client

P = ParamSpec("P")
T = TypeVar("T")
Bytes = bytes | bytearray | memoryview

CONNECTIONS_OF_BOTO = 16
_PIECE_BYTES = 256 * 1024
_ATTEMPTS = 3
_FIRST_PAUSE_S = 0.1
_SLOWEST_BYTES_PER_S = 128 * 1024
MISSING = ("404", "NoSuchKey", "NotFound", "NoSuchBucket", "NoSuchUpload")
_PASSING = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "500", "502", "503", "504")


class ObjectMissing(Exception):
    """There is no object (or no bucket, or no multipart upload) of that name."""


class ObjectRefused(Exception):
    """S3 understood the request and will not do it: a fault of ours or of the settings."""


class Passing(Exception):
    """S3 did not answer, or asked to be left alone for a moment: the same request may succeed shortly."""


async def close() -> None:
    """Close this process's connections to S3."""
    global _http, _s3
    http, _http, _s3 = _http, None, None
    if http is not None:
        await http.close()


_http: "aiohttp.ClientSession | None" = None
_s3: "S3Client | None" = None
_making = threading.Lock()
_threads = ThreadPoolExecutor(CONNECTIONS_OF_BOTO, thread_name_prefix="s3")


def session() -> "aiohttp.ClientSession":
    import aiohttp

    global _http
    if _http is None or _http.closed:
        # No limit here: a reader on a bad line holds its connection, and would keep everybody else waiting for one. The
        # edge bounds how many streams there are.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
        _http = aiohttp.ClientSession(connector=connector, auto_decompress=False, trust_env=False)
    return _http


async def client() -> "S3Client":
    # Making a client imports boto3 and reads botocore's models from disk: in a thread, once.
    outside_transaction()
    return _s3 if _s3 is not None else await _in_thread(_make_client)


def config() -> "Config":
    """Return how boto3 speaks with S3."""
    from botocore.config import Config

    return Config(
        signature_version="s3v4",
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=CONNECTIONS_OF_BOTO,
        retries={"mode": "standard", "total_max_attempts": 1},
        # Not every S3 knows the trailing checksums that newer clients send by default.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        proxies={},
    )


def _make_client() -> "S3Client":
    import boto3

    importlib.import_module("aiohttp")  # `session` comes next, in the event loop
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
                config=config(),
            )
        return cast("S3Client", _s3)


async def control(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a boto3 call in a thread, again when S3 was away. Every call used here may be repeated."""
    from botocore.exceptions import BotoCoreError, ClientError

    outside_transaction()
    failures = 0
    while True:
        try:
            return await _in_thread(partial(call, *args, **kwargs))
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in MISSING:
                raise ObjectMissing(str(error)) from error
            if code not in _PASSING:
                raise ObjectRefused(str(error)) from error
            failure: Exception = error
        except BotoCoreError as error:
            if not is_away(error):
                raise
            failure = error
        failures += 1
        await pause(failures, failure)


async def _in_thread(call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, copy_context().run, call)


async def put(address: str, body: Bytes, headers: dict[str, str]) -> str:
    import aiohttp

    # The whole request has a time limit: an answer comes only after the last byte, so silence says nothing.
    timeout = aiohttp.ClientTimeout(total=30 + len(body) / _SLOWEST_BYTES_PER_S, sock_connect=5)
    headers = headers | {"Content-Length": str(len(body))}
    try:
        async with session().put(address, data=_pieces(body), headers=headers, timeout=timeout) as response:
            await check(response)
            return response.headers.get("ETag", "")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Passing(repr(error)) from error


async def _pieces(body: Bytes) -> AsyncGenerator[memoryview, None]:
    # Copied to the socket piece by piece: one large write would double the memory.
    view = memoryview(body)
    for start in range(0, len(view), _PIECE_BYTES):
        yield view[start : start + _PIECE_BYTES]


async def check(response: "aiohttp.ClientResponse") -> None:
    if response.status < 300:
        return
    said = (await response.text())[:500]
    if response.status == 404:
        raise ObjectMissing(said)
    if response.status >= 500 or response.status in (408, 429):
        raise Passing(said)
    raise ObjectRefused(f"{response.status}: {said}")


async def pause(failures: int, failure: Exception) -> None:
    """Wait a little before the next attempt.

    Raises:
        Unavailable: there were enough.
    """
    if failures >= _ATTEMPTS:
        raise Unavailable(
            "the file store does not answer; nothing that was stored is lost, repeat it shortly"
        ) from failure
    await asyncio.sleep(_FIRST_PAUSE_S * 4 ** (failures - 1))


def outside_transaction() -> None:
    if holds_connection():
        raise RuntimeError("objects while a connection is held: transfer first, then commit what is true")
