"""One OpenAPI 3.1 document of several services."""

import json
from collections.abc import Sequence
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from cluster.http.documentation import PROBLEM_SCHEMA, describe
from cluster.http.routing import Route

_PREFIX = "#/components/schemas/"


def openapi(
    apps: Sequence[FastAPI], *, title: str = "LearningHub", version: str = "1", server: str = "/"
) -> dict[str, Any]:
    """Merge the documents of several services. Schemas that share a name and differ get their service's name in front.

    Raises:
        ValueError: two services answer the same method of the same path, or an example is not valid.
    """
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {"Problem": PROBLEM_SCHEMA}
    for app in apps:
        for route in app.routes:
            if isinstance(route, Route):
                describe(route, route.documentation)
        document = get_openapi(title=app.title, version=version, routes=app.routes)
        own: dict[str, Any] = document.get("components", {}).get("schemas", {})
        names = _renamed(own, schemas, app.title)
        schemas.update({names.get(name, name): _rewrite(schema, names) for name, schema in own.items()})
        for path, operations in _rewrite(document.get("paths", {}), names).items():
            known = paths.setdefault(path, {})
            doubled = known.keys() & operations.keys()
            if doubled:
                raise ValueError(f"{app.title} answers {', '.join(doubled)} {path}, which another service answers too")
            known.update(_accept_merge_patches(operations))
    problems, examples = _share_problems(paths)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": server}],
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": dict(sorted(problems.items())),
            "examples": dict(sorted(examples.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _renamed(own: dict[str, Any], taken: dict[str, Any], service: str) -> dict[str, str]:
    """Return new names for the schemas that differ from what has their name already, themselves or by reference."""
    differing = {name for name, schema in own.items() if name in taken and taken[name] != schema}
    while True:
        more = {
            name
            for name, schema in own.items()
            if name in taken and name not in differing and _references(schema) & differing
        }
        if not more:
            break
        differing |= more
    prefix = "".join(part.title() for part in service.split("_"))
    return {name: prefix + name for name in differing}


def _share_problems(paths: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Replace the problem responses of all operations by references; return the responses and their examples by name.

    The same few problems stand at nearly every operation: shared, the document is a quarter of its size.
    """
    responses: dict[str, Any] = {}
    examples: dict[str, Any] = {}
    for operations in paths.values():
        for operation in operations.values():
            for status, response in operation.get("responses", {}).items():
                content = response.get("content", {}).get("application/problem+json")
                if content is None:
                    continue
                shown: dict[str, Any] = content.get("examples", {})
                examples.update(shown)
                name = f"{status}.{'.'.join(sorted(shown))}"
                references = {slug: {"$ref": f"#/components/examples/{slug}"} for slug in shown}
                shared = content | {"examples": references}
                responses[name] = response | {"content": {"application/problem+json": shared}}
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return responses, examples


def _references(schema: Any) -> set[str]:
    text = json.dumps(schema)
    return {part.partition('"')[0] for part in text.split(_PREFIX)[1:]}


def _rewrite(value: Any, names: dict[str, str]) -> Any:
    if not names:
        return value
    if isinstance(value, dict):
        return {name: _rewrite(child, names) for name, child in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        return [_rewrite(child, names) for child in cast(list[Any], value)]
    if isinstance(value, str) and value.startswith(_PREFIX):
        name = value.removeprefix(_PREFIX)
        return _PREFIX + names.get(name, name)
    return value


def _accept_merge_patches(operations: dict[str, Any]) -> dict[str, Any]:
    content = operations.get("patch", {}).get("requestBody", {}).get("content", {})
    if "application/json" in content:
        content["application/merge-patch+json"] = content["application/json"]
    return operations
