"""What OpenAPI says of one route beyond its types: security, problems, examples, the idempotency key."""

from dataclasses import dataclass
from typing import Any, cast

from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from cluster.base.problems import (
    BadRequest,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionRequired,
    Problem,
    RequestTimeout,
    Stale,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from cluster.data.idempotency import KeyInFlight, KeyReused
from cluster.http.admission import TemporaryReducedCapacity
from cluster.http.conditions import if_match
from cluster.http.examples import example_of
from cluster.http.paging import paging
from cluster.http.passage import QuotaExceeded, UnderMaintenance
from cluster.people.identity import InvalidToken

IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A request that is repeated within 24 hours with the same key and body takes effect once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Documentation:
    """What a route declares beside its types."""

    raises: tuple[type[Problem], ...] = ()
    example: Any = None
    public: bool = False


def describe(route: APIRoute, declared: Documentation) -> None:
    """Complete a route for the API's document. Answering needs none of it, so a host starts without.

    Raises:
        ValueError: the example of the body does not validate.
    """
    takes_keys = not {"once", "created"}.isdisjoint(route.endpoint.__code__.co_names)
    extra: dict[str, Any] = {"security": [{}, {"bearer": []}] if declared.public else [{"bearer": []}]}
    if takes_keys:
        extra["parameters"] = [IDEMPOTENCY_KEY]
    if route.body_field is not None:
        extra["requestBody"] = {"content": {"application/json": {"example": _checked_example(route, declared.example)}}}
    route.openapi_extra = {**(route.openapi_extra or {}), **extra}
    for status, document in _responses((*declared.raises, *_usual(route, declared.public, takes_keys))).items():
        route.responses.setdefault(status, document)


def _checked_example(route: APIRoute, example: Any) -> Any:
    field = route.body_field
    assert field is not None
    if example is None:
        example = example_of(TypeAdapter[Any](cast(Any, field.field_info.annotation)).json_schema())
    _, errors = field.validate(example, {}, loc=("body",))
    if errors:
        raise ValueError(
            f"{route.operation_id}: the example of its body is not valid: pass example=, or give the fields of "
            f"{field.field_info.annotation} Field(examples=[...]). {example!r}: {errors}"
        )
    return example


def _usual(route: APIRoute, public: bool, takes_keys: bool) -> tuple[type[Problem], ...]:
    # The edge refuses an access token that is not valid on a public route too.
    usual: list[type[Problem]] = [TooManyRequests, QuotaExceeded, InvalidToken]
    usual += [Unavailable, UnderMaintenance, TemporaryReducedCapacity]
    dependant = route.dependant
    if not public:
        usual += [Unauthorized, Forbidden]
    names_something = any(parameter.name.endswith("_id") for parameter in dependant.query_params)
    if dependant.path_params or (not public and (names_something or route.body_field is not None)):
        # Whoever may not know of an organization or a course is told that it does not exist.
        usual.append(NotFound)
    dependencies = {each.call for each in dependant.dependencies}
    if if_match in dependencies:
        usual += [PreconditionRequired, Stale, BadRequest]
    if paging in dependencies:
        usual.append(BadRequest)
    if route.body_field is not None:
        usual += [BadRequest, RequestTimeout, TooLarge, UnsupportedMediaType]
    if takes_keys:
        usual += [KeyInFlight, KeyReused, BadRequest]
    return (*usual, Invalid)


def _responses(problems: tuple[type[Problem], ...]) -> dict[int | str, dict[str, Any]]:
    by_status: dict[int | str, dict[str, Any]] = {}
    for problem in dict.fromkeys(problems):
        response = by_status.setdefault(
            problem.status,
            {
                "description": problem.title,
                "content": {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
                },
            },
        )
        response["content"]["application/problem+json"]["examples"][problem.slug()] = {
            "summary": problem.title,
            "value": {
                "type": problem.type(),
                "title": problem.title,
                "status": problem.status,
                "detail": problem.title,
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                "errors": [],
            },
        }
        if problem.status in (401, 429, 503):
            name = "WWW-Authenticate" if problem.status == 401 else "Retry-After"
            schema = {"type": "string"} if problem.status == 401 else {"type": "integer"}
            response["headers"] = {name: {"schema": schema}}
    return by_status


PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "A problem document (RFC 9457). Translate by `code`.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "trace_id", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "trace_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "params", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901, into the body or /query, /path, /header"},
                    "code": {"type": "string"},
                    "params": {"type": "object"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
