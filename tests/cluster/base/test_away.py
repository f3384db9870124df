"""What counts as an outage, by the errors that the clients of our servers really raise."""

import asyncio
import socket
import ssl
from collections.abc import Callable

import aiohttp
import aiokafka.errors
import asyncpg
import botocore.exceptions
import opensearchpy
import pytest
import redis.exceptions

from cluster.base.away import is_away
from cluster.base.problems import NotFound, Problem, Unavailable

AWAY: list[BaseException] = [
    ConnectionRefusedError(111, "refused"),
    ConnectionResetError(),
    TimeoutError(110, "Connection timed out"),
    OSError(113, "No route to host"),
    socket.gaierror(-3, "Temporary failure in name resolution"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.AdminShutdownError("terminating connection"),
    asyncpg.CrashShutdownError("terminating connection"),
    asyncpg.TooManyConnectionsError("too many clients"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.SerializationError("could not serialize"),
    asyncpg.LockNotAvailableError("lock timeout"),
    asyncpg.ReadOnlySQLTransactionError("a standby"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InternalClientError("got result for unknown protocol state"),
    redis.exceptions.ConnectionError("Connection reset"),
    redis.exceptions.BusyLoadingError("loading"),
    redis.exceptions.TimeoutError("Timeout reading"),
    redis.exceptions.ClusterDownError("CLUSTERDOWN"),
    aiokafka.errors.KafkaConnectionError("no bootstrap server"),
    aiokafka.errors.KafkaTimeoutError("timeout"),
    aiokafka.errors.NoBrokersAvailable(),
    aiokafka.errors.NodeNotReadyError("not ready"),
    aiokafka.errors.RequestTimedOutError(),
    aiohttp.ClientConnectionError("refused"),
    aiohttp.ServerDisconnectedError(),
    aiohttp.ClientPayloadError("incomplete"),
    botocore.exceptions.EndpointConnectionError(endpoint_url="http://s3.example"),
    botocore.exceptions.ReadTimeoutError(endpoint_url="http://s3.example"),
    botocore.exceptions.ConnectionClosedError(endpoint_url="http://s3.example"),
    opensearchpy.ConnectionError("N/A", "refused", OSError()),
    opensearchpy.ConnectionTimeout("TIMEOUT", "no answer", TimeoutError()),
    opensearchpy.TransportError(429, "rejected", {}),
    Unavailable("a moment"),
    ExceptionGroup("both", [ConnectionResetError(), Unavailable("a moment")]),
]
FAULTS: list[BaseException] = [
    ValueError("connection closed"),
    TimeoutError(),
    FileNotFoundError(2, "no such file"),
    OSError(28, "No space left on device"),
    OSError("the image is truncated"),
    ssl.SSLError(1, "certificate verify failed"),
    asyncpg.UniqueViolationError("duplicate key"),
    opensearchpy.NotFoundError(404, "index_not_found_exception", {}),
    asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
    asyncpg.exceptions._base.DataError("invalid input for query argument $1: 'closed'"),  # pyright: ignore[reportPrivateUsage]
    asyncpg.InterfaceError("another operation is in progress"),
    redis.exceptions.ResponseError("WRONGTYPE"),
    aiokafka.errors.MessageSizeTooLargeError(),
    botocore.exceptions.NoCredentialsError(),
    botocore.exceptions.ParamValidationError(report="Invalid bucket name"),
    aiohttp.InvalidURL("x"),
    NotFound("gone"),
    ExceptionGroup("one", [ConnectionResetError(), ValueError()]),
    asyncio.CancelledError(),
]


def _name(error: BaseException) -> str:
    return f"{type(error).__module__.partition('.')[0]}-{type(error).__name__}"


def raised(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("error", AWAY, ids=_name)
def test_is_away_accepts_errors_of_servers(error: BaseException) -> None:
    assert is_away(error)


@pytest.mark.parametrize("error", FAULTS, ids=_name)
def test_is_away_rejects_faults_and_deadlines(error: BaseException) -> None:
    assert not is_away(error)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: raised(RuntimeError("cannot copy"), ConnectionResetError()), True),
        (lambda: raised(RuntimeError("cannot copy"), ValueError()), False),
        (lambda: raised(Problem("broken"), ConnectionResetError()), False),
        (lambda: raised(NotFound("gone"), ConnectionResetError()), False),
    ],
    ids=["outage", "fault", "problem", "not-found"],
)
def test_is_away_follows_the_cause(make: Callable[[], BaseException], expected: bool) -> None:
    assert is_away(make()) is expected


def test_is_away_ends_on_a_circle_of_causes() -> None:
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first

    assert not is_away(first)


async def test_is_away_accepts_a_host_that_refuses_on_every_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        async def no_addresses_left() -> None:
            loop = asyncio.get_running_loop()
            await loop.create_connection(asyncio.Protocol, "localhost", port)

        with pytest.raises(OSError) as refused:  # noqa: PT011 (the class is what is asked about)
            await no_addresses_left()

    assert is_away(refused.value)
