"""Tell an outage from a fault: a server that this needs is away, and the same work may succeed shortly."""

import errno
import socket

from cluster.base.problems import Problem

_UNREACHABLE = {
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.ENETUNREACH,
    errno.ETIMEDOUT,
}
# By name, subclasses included: a library that is not loaded did not raise, and loading all of them would cost more.
_AWAY = {
    "asyncpg": {
        "PostgresConnectionError",
        "InsufficientResourcesError",
        "AdminShutdownError",
        "CrashShutdownError",
        "CannotConnectNowError",
        "IdleSessionTimeoutError",
        "LockNotAvailableError",
        "TransactionRollbackError",
        "ReadOnlySQLTransactionError",
        # What a pooled connection raises on its first use after its server died while it was idle.
        "InternalClientError",
    },
    "redis": {"ConnectionError", "TimeoutError", "RedisClusterException", "ClusterError", "ClusterDownError"},
    "aiokafka": {
        "KafkaConnectionError",
        "KafkaTimeoutError",
        "KafkaUnavailableError",
        "NoBrokersAvailable",
        "NodeNotReadyError",
        "RequestTimedOutError",
    },
    "aiohttp": {"ClientConnectionError", "ClientPayloadError"},
    "opensearchpy": {"ConnectionError"},
    "botocore": {"ConnectionError", "HTTPClientError"},
}

_BUSY = (429, 502, 503, 504)


def is_away(error: BaseException) -> bool:
    """Tell whether `error`, or what it was raised from, says that a server does not answer or asks to try again.

    A deadline of the caller's own (`asyncio.timeout`, a statement's time limit) is no outage: nothing says that the next try is
    faster.
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, Problem):
            # Whoever made a problem of an outage decided what it means.
            return at.status == 503
        if isinstance(at, BaseExceptionGroup):
            return all(is_away(each) for each in at.exceptions)
        if isinstance(at, OSError) and _of_socket(at):
            return True
        if _of_client(at):
            return True
        seen.add(id(at))
        at = at.__cause__
    return False


def _of_socket(error: OSError) -> bool:
    if isinstance(error, (ConnectionError, socket.gaierror)):
        return True
    # asyncio's words, without an errno, when every address of a host refused.
    return error.errno in _UNREACHABLE or str(error).startswith("Multiple exceptions: ")


def _of_client(error: BaseException) -> bool:
    for base in type(error).__mro__:
        if base.__name__ in _AWAY.get(base.__module__.partition(".")[0], ()):
            return True
    if type(error).__module__.startswith("opensearchpy.") and getattr(error, "status_code", None) in _BUSY:
        return True
    # Not its subclasses: the text of a DataError quotes the value that was refused.
    return (type(error).__module__.partition(".")[0], type(error).__name__) == ("asyncpg", "InterfaceError") and any(
        word in str(error) for word in ("closed", "closing", "released")
    )
