"""Which route of the API document a request is for, and what it costs."""

import re
from dataclasses import dataclass
from functools import cache

import orjson

from api.core.gateway.pages import openapi_document
from cluster.http.passage import READ_COST, READING, WRITE_COST

_PARAMETER = re.compile(r"\\\{[^/{}]+\\\}")


@dataclass(frozen=True, slots=True)
class Priced:
    """A route of the document and what a request for it costs."""

    path: str
    cost: int


def price_of(method: str, path: str) -> Priced | None:
    """Return the route that takes such a request, and its cost; None: there is no such route."""
    path = path.partition("?")[0]
    for pattern, template, costs in _routes():
        if method in costs and pattern.fullmatch(path):
            return Priced(template, costs[method])
    return None


def is_route(text: str) -> bool:
    """Tell whether requests can be counted for this: a method and a path of the document, or of something mounted (`/*`)."""
    method, _, path = text.partition(" ")
    return path.endswith("/*") or any(path == template and method in costs for _, template, costs in _routes())


@cache
def _routes() -> list[tuple[re.Pattern[str], str, dict[str, int]]]:
    """Return the routes, those without parameters first, as they answer."""
    paths = orjson.loads(openapi_document())["paths"]
    found = [
        (
            re.compile(_PARAMETER.sub("[^/]+", re.escape(template))),
            template,
            {
                method.upper(): operation.get("x-cost") or (READ_COST if method.upper() in READING else WRITE_COST)
                for method, operation in operations.items()
            },
        )
        for template, operations in paths.items()
    ]
    return sorted(found, key=lambda route: route[1].count("{"))
