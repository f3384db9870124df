"""The merged OpenAPI document as tests read it: made from the code as it stands, references followed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from deployments.generate import openapi_document

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    content: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.content.get("operationId", ""))

    @property
    def service(self) -> str:
        return str(self.content["tags"][0])

    @property
    def public(self) -> bool:
        return {} in self.content["security"]

    @property
    def statuses(self) -> dict[int, dict[str, Any]]:
        """Its answers, by status."""
        return {int(status): resolve(answer) for status, answer in self.content["responses"].items()}

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Its parameters, by name."""
        return {each["name"]: each for each in map(resolve, self.content.get("parameters", []))}

    @property
    def bodies(self) -> dict[str, dict[str, Any]]:
        """What its request may be, by media type."""
        return self.content.get("requestBody", {}).get("content", {})

    @property
    def answer(self) -> dict[str, Any] | None:
        """The schema of what it answers when all is well; None: not JSON."""
        for status, answer in self.statuses.items():
            schema = answer.get("content", {}).get("application/json", {}).get("schema")
            if status < 300 and schema is not None:
                return resolve(schema)
        return None

    @property
    def segments(self) -> list[str]:
        """The path after /v1."""
        return self.path.removeprefix("/v1/").split("/")

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path} ({self.id})"


@cache
def document() -> dict[str, Any]:
    return json.loads(openapi_document())


@cache
def operations() -> tuple[Operation, ...]:
    return tuple(
        Operation(method=method, path=path, content=methods[method])
        for path, methods in document()["paths"].items()
        for method in METHODS
        if method in methods
    )


def resolve(value: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference within the document."""
    while "$ref" in value:
        found: Any = document()
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def variants(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Walk the alternatives of a schema, `null` left out."""
    schema = resolve(schema)
    branches = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if branches:
        for branch in branches:
            yield from variants(branch)
    elif schema.get("type") != "null":
        yield schema


def properties(schema: dict[str, Any], seen: frozenset[str] = frozenset()) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk every named field of a schema and of what stands in it."""
    reference = schema.get("$ref", "")
    if reference in seen:
        return
    seen |= {reference} - {""}
    for variant in variants(schema):
        for name, field in variant.get("properties", {}).items():
            yield name, field
            yield from properties(field, seen)
        for inner in (variant.get("items"), variant.get("additionalProperties")):
            if isinstance(inner, dict):
                yield from properties(inner, seen)
