"""The conventions of the API, held by every operation that any service has; `tests.platform.exceptions` says how to differ."""

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import jsonschema

from cluster.base.services import service_of_area, table
from tests.platform.document import Operation, document, operations, variants
from tests.platform.exceptions import Exceptions, Fault, excepted, exceptions, hold

_WORD = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
_NOT_OF_OPERATIONS = {"no_plural", "no_uuid", "dotted_fields", "may_scan", "unnoticed"}
_FIELD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_DOTTED_FIELD = re.compile(rf"{_FIELD.pattern}\.{_FIELD.pattern}")


def _shape(operation: Operation) -> str:
    """Abbreviate a path: `area/ID/word/ID/word`; `me` counts as an id, being one's own."""
    parts = ["ID" if _PLACEHOLDER.fullmatch(part) or part == "me" else part for part in operation.segments]
    return "/".join(["area", *("word" if _WORD.fullmatch(part) else part for part in parts[1:])])


def _lists() -> Iterator[tuple[Operation, dict[str, Any]]]:
    for operation in operations():
        answer = operation.answer
        if operation.method == "get" and answer is not None and "items" in answer.get("properties", {}):
            yield operation, answer


def test_paths_are_an_area_with_at_most_two_ids() -> None:
    shapes = {"area", "area/ID", "area/-/word", "area/ID/word", "area/ID/word/ID", "area/ID/word/ID/word"}

    def wrong() -> Iterator[str | Fault]:
        for operation in operations():
            if not operation.path.startswith("/v1/"):
                yield Fault("outside_v1", operation.id, f"{operation}: outside /v1")
                continue
            area = operation.segments[0]
            if _shape(operation) not in shapes:
                yield f"{operation}: only an id, `me` or `-` stand below an area, and at most two ids in a path"
            if not _WORD.fullmatch(area):
                yield f"{operation}: an area is in kebab-case"
            if not area.endswith("s"):
                yield Fault("no_plural", area, f"{operation}: an area is a plural noun")

    hold(wrong(), "outside_v1", "no_plural")


def test_every_area_is_answered_by_the_service_that_owns_it() -> None:
    def wrong() -> Iterator[str]:
        for operation in operations():
            owner = service_of_area(operation.segments[0])
            if operation.id in excepted("outside_v1"):
                if not any(operation.path.startswith(path) for path in table()[operation.service].paths):
                    yield f"{operation}: not among the paths of {operation.service}"
            elif owner is None or operation.content["tags"] != [owner.name]:
                yield f"{operation}: the area belongs to {owner and owner.name}"

    hold(wrong())


def test_methods_mean_what_they_mean_everywhere() -> None:
    reads = {operation.path for operation in operations() if operation.method == "get"}

    def wrong() -> Iterator[str | Fault]:
        for operation in operations():
            shape, method = _shape(operation), operation.method
            creates = method == "post" and (
                shape == "area" or (shape in ("area/ID/word", "area/-/word") and operation.path in reads)
            )
            expected = 201 if creates else 204 if method == "delete" else 200
            answers = {status for status in operation.statuses if status < 300}
            kind = "status_too" if expected in answers else "other_status"
            for status in answers - {expected}:
                yield Fault(kind, f"{operation.id} {status}", f"{operation}: answers {expected} when all is well")
            if not answers:
                yield f"{operation}: answers nothing when all is well"
            is_part = shape == "area/ID/word" and operation.path in reads
            if method == "put" and shape != "area/ID/word/ID" and not is_part:
                yield f"{operation}: PUT is for relations, and for a part that a resource has once and that is read there"
            if method == "patch" and set(operation.bodies) != {"application/json", "application/merge-patch+json"}:
                yield f"{operation}: takes application/merge-patch+json"
            if method == "patch" and "If-Match" not in operation.parameters:
                yield f"{operation}: takes If-Match"
            if method in ("get", "delete") and operation.bodies:
                yield f"{operation}: has a body"
            by_id = any(path.startswith(f"/v1/{operation.segments[0]}/{{") for path in reads)
            if creates and 201 in answers and shape == "area" and not by_id:
                yield f"{operation}: what is created cannot be read at its id"

    hold(wrong(), "other_status", "status_too")


def test_lists_have_pages() -> None:
    def wrong() -> Iterator[str | Fault]:
        for operation in operations():
            fields = (operation.answer or {}).get("properties", {})
            streamed = operation.id in excepted("streamed")
            if operation.method == "get" and _shape(operation) == "area" and "items" not in fields and not streamed:
                yield f"{operation}: a collection answers {{items, next_cursor}}"
        for operation, answer in _lists():
            limit = operation.parameters.get("limit", {}).get("schema", {})
            pages = set(answer["required"]) == {"items", "next_cursor"} and "cursor" in operation.parameters
            if not pages or (limit.get("default"), limit.get("maximum"), limit.get("minimum")) != (20, 100, 1):
                text = "a list has items, next_cursor, ?cursor= and ?limit= from 1 to 100, by default 20"
                yield Fault("short_lists", operation.id, f"{operation}: {text}")
                continue
            ids = operation.parameters.get("id", {}).get("schema", {})
            if [each.get("maxItems") for each in variants(ids)] != [100]:
                yield Fault("no_id_filter", operation.id, f"{operation}: takes ?id=a,b of at most 100")

    hold(wrong(), "short_lists", "no_id_filter")


def test_everything_that_goes_wrong_is_a_problem_document() -> None:
    def wrong() -> Iterator[str]:
        for operation in operations():
            statuses = operation.statuses
            for status, answer in statuses.items():
                if status >= 400 and list(answer.get("content", {})) != ["application/problem+json"]:
                    yield f"{operation}: {status} is no problem document"
            expected = {422, 429, 503}
            expected |= set() if operation.public else {401, 403}
            expected |= {400, 413, 415} if operation.bodies else set()
            expected |= {404} if "{" in operation.path else set()
            expected |= {412, 428} if "If-Match" in operation.parameters else set()
            if missing := expected - statuses.keys():
                yield f"{operation}: does not document {missing}"
            if 401 in statuses and "WWW-Authenticate" not in statuses[401].get("headers", {}):
                yield f"{operation}: 401 without WWW-Authenticate"
            if "Retry-After" not in statuses[503].get("headers", {}):
                yield f"{operation}: 503 without Retry-After"

    hold(wrong())


def test_every_operation_is_documented_under_a_name_that_stays() -> None:
    def wrong() -> Iterator[str]:
        seen: set[str] = set()
        for operation in operations():
            if not operation.content.get("summary") or not operation.content.get("description"):
                yield f"{operation}: no docstring"
            if not operation.id.startswith(f"{operation.service}_") or not _FIELD.fullmatch(operation.id):
                yield f"{operation}: the operationId is <service>_<function>"
            if operation.id in seen:
                yield f"{operation}: another operation has this operationId"
            seen.add(operation.id)

    hold(wrong())


def test_an_operation_that_needs_no_token_is_named() -> None:
    hold((Fault("public", each.id, f"{each}: needs no token") for each in operations() if each.public), "public")


def test_writes_take_an_idempotency_key() -> None:
    def wrong() -> Iterator[Fault]:
        for operation in operations():
            if operation.method in ("post", "patch") and "Idempotency-Key" not in operation.parameters:
                text = f"{operation}: takes an Idempotency-Key: the route uses `once`"
                yield Fault("no_idempotency_key", operation.id, text)

    hold(wrong(), "no_idempotency_key")


def test_examples_are_valid() -> None:
    components = {"components": document()["components"]}

    def wrong() -> Iterator[str]:
        for operation in operations():
            for media_type, body in operation.bodies.items():
                if "example" not in body:
                    yield f"{operation}: {media_type} without an example"
                    continue
                validator = jsonschema.Draft202012Validator(
                    components | body["schema"], format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
                )
                for error in validator.iter_errors(body["example"]):
                    yield f"{operation}: {error.json_path}: {error.message}"

    hold(wrong())


def test_requests_refuse_what_they_do_not_know() -> None:
    def wrong() -> Iterator[str]:
        for operation in operations():
            for body in operation.bodies.values():
                for variant in variants(body["schema"]):
                    if variant.get("type") == "object" and variant.get("additionalProperties") is not False:
                        yield f"{operation}: takes unknown fields: the body is no `Body`"

    hold(wrong())


def test_answers_are_typed_or_named_as_streams() -> None:
    def wrong() -> Iterator[Fault]:
        for operation in operations():
            silent = {status for status in operation.statuses if status < 300} == {204}
            if operation.answer is None and not silent:
                yield Fault("streamed", operation.id, f"{operation}: its answer has no schema")

    hold(wrong(), "streamed")


def _fields() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every field and parameter: where, name, schema."""
    for name, schema in document()["components"]["schemas"].items():
        for field, content in schema.get("properties", {}).items():
            yield name, field, content
    for operation in operations():
        for parameter in operation.parameters.values():
            if parameter["in"] != "header":
                yield operation.id, parameter["name"], parameter["schema"]


def test_names_of_fields_say_what_they_hold() -> None:
    def kinds(schema: dict[str, Any]) -> set[str]:
        return {
            str(each.get("format") or each.get("const") or each.get("type", "?"))
            for variant in variants(schema)
            for each in (variants(variant["items"]) if variant.get("type") == "array" else [variant])
        }

    def wrong() -> Iterator[str | Fault]:
        for where, name, schema in _fields():
            found = kinds(schema)
            if _DOTTED_FIELD.fullmatch(name):
                yield Fault("dotted_fields", where, f"{where}.{name}: fields are snake_case, without a dot")
            elif not _FIELD.fullmatch(name):
                yield f"{where}.{name}: fields are snake_case"
            if where == "SettingLocks":
                # True or false for each name, whatever the setting is.
                continue
            if name in ("data", "info"):
                yield f"{where}.{name}: says nothing"
            if name.endswith("_at") and found != {"date-time"}:
                yield f"{where}.{name}: an instant, not {found}"
            if name.endswith("_on") and found != {"date"}:
                yield f"{where}.{name}: a date, not {found}"
            if (name == "id" or name.endswith("_id")) and not found <= {"uuid", "me"}:
                yield Fault("no_uuid", f"{where}.{name}", f"{where}.{name}: an id is a UUID, not {found}")
            if name.endswith(("_ms", "_bytes", "_minor")) and found != {"integer"}:
                yield f"{where}.{name}: a whole number, not {found}"
            if name.endswith("_s") and not found <= {"number", "integer"}:
                yield f"{where}.{name}: a number of seconds, not {found}"

    hold(wrong(), "no_uuid", "dotted_fields")


def test_a_service_excepts_what_is_its_own_alone() -> None:
    of_operations = {each.name for each in fields(Exceptions)} - _NOT_OF_OPERATIONS

    def wrong() -> Iterator[str]:
        for service, each in exceptions().items():
            own = {operation.id for operation in operations() if operation.service == service}
            named = {name.split()[0] for kind in of_operations for name in getattr(each, kind)}
            yield from (f"{service} excepts {name}" for name in named - own)
            yield from (f"{service} excepts {name}" for name in each.no_plural.keys() - set(table()[service].areas))

    hold(wrong())
