"""Compare every answer that tests get with its route: a problem that the API document does not declare fails the test."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx

from cluster.base.registry import room
from cluster.base.services import table
from cluster.http.documentation import describe
from cluster.http.routing import Route


async def refuse_undeclared(response: httpx.Response) -> None:
    """Fail when a response is a problem that its route does not declare; a fault of the platform (500) is nobody's."""
    if response.headers.get("content-type") != "application/problem+json" or response.status_code == 500:
        return
    if not await response.aread():
        return
    request, slug = response.request, re.split(r"[/#]", response.json()["type"])[-1]
    declared = declared_by(request.method, request.url.path)
    assert declared is None or slug in declared, (
        f"{request.method} {request.url.path} answers {slug}, which its route does not declare: add the problem to `raises=` "
        f"and run ./hub generate. Declared: {', '.join(sorted(declared))}. Answered: {response.text}"
    )


def declared_by(method: str, path: str) -> frozenset[str] | None:
    """Return the slugs of the problems that the route of a request declares; None: no route of the document answers it."""
    method = "GET" if method == "HEAD" else method
    for template, methods, declared in _routes():
        if method in methods and template.match(path):
            return declared
    return None


@cache
def _routes() -> tuple[tuple[re.Pattern[str], set[str], frozenset[str]], ...]:
    routers = [routes.router for service in table() if (routes := room(service, "routes")) is not None]
    return tuple(
        (route.path_regex, route.methods or set(), frozenset(_slugs(route)))
        for router in routers
        for route in router.routes()
        if route.include_in_schema
    )


def _slugs(route: Route) -> Iterator[str]:
    describe(route, route.documentation)
    for response in route.responses.values():
        content: dict[str, Any] = response.get("content", {})
        yield from content.get("application/problem+json", {}).get("examples", {})
