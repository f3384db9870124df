"""Turn every error into a problem document (RFC 9457); the one place that does."""

import logging
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from cluster.base.away import is_away
from cluster.base.problems import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from cluster.base.telemetry import trace_id
from cluster.base.validation import field_errors

log = logging.getLogger(__name__)

CHALLENGE = 'Bearer realm="learninghub"'
_BY_STATUS: dict[int, type[Problem]] = {
    problem.status: problem
    for problem in (BadRequest, Unauthorized, Forbidden, NotFound, Conflict, TooLarge, UnsupportedMediaType, Invalid)
}
# Deadlines are no outages, but a client is told the same.
_TOO_SLOW = (TimeoutError, asyncpg.QueryCanceledError, asyncpg.IdleInTransactionSessionTimeoutError)


class MethodNotAllowed(Problem):
    """The path exists, the method does not (RFC 9110, section 15.5.6)."""

    status = 405
    title = "This method is not offered here"


class InternalError(Problem):
    status = 500
    title = "Something went wrong on our side"


def text_response(
    content: bytes, media_type: str, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Make a response of bytes that are encoded already."""
    return Response(content, status, headers, media_type)


def problem_response(problem: Problem) -> Response:
    """Make the response that tells a client about a problem."""
    headers = dict(problem.headers)
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", CHALLENGE)
    content = orjson.dumps(problem.document(trace_id()), default=str)
    return Response(content, problem.status, headers, "application/problem+json")


def problem_of(error: Exception) -> Problem:
    """Say what a client is told about an error; what is our fault is logged and not told."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            errors: Sequence[Any] = error.errors()
            return Invalid("each entry of errors names a field and what to change", errors=field_errors(errors))
        case HTTPException():
            return _http(error)
        case ClientDisconnect():
            return BadRequest("the connection broke off before the request was complete")
        case asyncpg.DataError() | asyncpg.exceptions._base.DataError():  # pyright: ignore[reportPrivateUsage]
            log.warning("value refused by the database", exc_info=error)
            return Invalid("a value is outside what can be stored: check the length of texts and the size of numbers")
        case asyncpg.UniqueViolationError() | asyncpg.ForeignKeyViolationError() | asyncpg.ExclusionViolationError():
            log.warning("constraint not foreseen", exc_info=error)
            return Conflict("something else was changed at the same time: read again, then repeat")
        case _ if is_away(error) or isinstance(error, _TOO_SLOW):
            log.warning("unavailable", extra={"error": repr(error)})
            return Unavailable(
                "a server that this needs does not answer; nothing was changed by halves, repeat it shortly"
            )
        case _:
            log.error("unexpected error", exc_info=error)
            return InternalError("it was logged under this trace_id; nothing was done by halves")


def _http(error: HTTPException) -> Problem:
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return NotFound("no such path; /openapi.json lists them all")
    if error.status_code == 405:
        return MethodNotAllowed(f"the path takes {headers.get('Allow', 'other methods')}", headers=headers)
    found = _BY_STATUS.get(error.status_code)
    if found is None:
        return (
            InternalError("it was logged under this trace_id") if error.status_code >= 500 else BadRequest(error.detail)
        )
    return found(error.detail, headers=headers)
