"""Plain reads, answered without FastAPI's machinery, which costs a request more than most handlers do.

A read is plain when its parameters come from the path, the query and headers, through nothing but coroutines, and its answer is
a model. Parameters are checked and models are written by FastAPI's own functions, so that what clients see stays the same.
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, serialize_response
from fastapi.utils import is_body_allowed_for_status_code
from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Solve = Callable[[Request, Response, list[Any]], Awaitable[dict[str, Any]]]


def plain_read(route: APIRoute) -> Handler | None:
    """Return what answers `route`, None when it is not a plain read."""
    calls = [each.call for each in dependants(route.dependant)]
    if (
        route.methods != {"GET"}
        or route.response_field is None
        or not isinstance(route.response_class, DefaultPlaceholder)
        or route.is_sse_stream
        or route.is_json_stream
        # FastAPI asks a dependency once per request, however often it is named.
        or len(set(calls)) != len(calls)
        or not all(_is_plain(each) for each in dependants(route.dependant))
    ):
        return None
    endpoint: Callable[..., Awaitable[Any]] = route.endpoint
    solve = _solver(route.dependant)
    status = route.status_code or 200

    async def handle(request: Request) -> Response:
        # What handlers set on the response they are given: its status and headers.
        given = Response()
        given.raw_headers.clear()
        given.status_code = 0
        errors: list[Any] = []
        values = await solve(request, given, errors)
        if errors:
            raise RequestValidationError(errors)
        answer = await endpoint(**values)
        if isinstance(answer, Response):
            return answer
        content = await serialize_response(
            field=route.response_field,
            response_content=answer,
            include=route.response_model_include,
            exclude=route.response_model_exclude,
            by_alias=route.response_model_by_alias,
            exclude_unset=route.response_model_exclude_unset,
            exclude_defaults=route.response_model_exclude_defaults,
            exclude_none=route.response_model_exclude_none,
            dump_json=True,
        )
        response = Response(content, given.status_code or status, media_type="application/json")
        response.raw_headers.extend(given.raw_headers)
        return response

    return handle if is_body_allowed_for_status_code(status) else None


def dependants(dependant: Dependant) -> Iterator[Dependant]:
    """Return what computes a route's arguments: itself, and all that it depends on."""
    yield dependant
    for each in dependant.dependencies:
        yield from dependants(each)


def _is_plain(dependant: Dependant) -> bool:
    return inspect.iscoroutinefunction(dependant.call) and not (
        dependant.cookie_params
        or dependant.body_params
        or dependant.background_tasks_param_name
        or dependant.http_connection_param_name
        or dependant.websocket_param_name
        or dependant.security_scopes_param_name
        or dependant.own_oauth_scopes
        or dependant.concurrency
    )


def _solver(dependant: Dependant) -> Solve:
    """Return what computes the arguments of one function, and appends what is wrong with them to a list."""
    needed: list[tuple[str | None, Callable[..., Awaitable[Any]], Solve]] = [
        (each.name, each.call, _solver(each)) for each in dependant.dependencies if each.call is not None
    ]
    path = [(field.name, field.alias, field) for field in dependant.path_params]
    query, headers = dependant.query_params, dependant.header_params
    request_name, response_name = dependant.request_param_name, dependant.response_param_name

    async def solve(request: Request, given: Response, errors: list[Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, call, solve_needed in needed:
            known = len(errors)
            arguments = await solve_needed(request, given, errors)
            if len(errors) == known:
                value = await call(**arguments)
                if name is not None:
                    values[name] = value
        for name, alias, field in path:
            values[name], faults = field.validate(request.path_params[alias], {}, loc=("path", alias))
            errors += faults
        if query:
            found, faults = request_params_to_args(query, request.query_params)
            values |= found
            errors += faults
        if headers:
            found, faults = request_params_to_args(headers, request.headers)
            values |= found
            errors += faults
        if request_name is not None:
            values[request_name] = request
        if response_name is not None:
            values[response_name] = given
        return values

    return solve
