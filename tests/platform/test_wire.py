"""The conventions of the API, held by every operation that any service has. What may differ is named, with its reason."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from cluster.base.services import service_of_area, table
from tests.platform.document import Operation, document, operations, variants

_WORD = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
_FIELD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

OUTSIDE_V1 = {"/.well-known/jwks.json": "RFC 7517 and RFC 8615 say where keys are looked for"}
NO_PLURAL = {
    "catalog": "there is one catalogue",
    "progress": "has no plural",
    "gateway": "its one path is about the platform itself",
    "oauth2": "the name of the standard",
}
STREAMED = {
    "gateway_report": "CSV",
    "user_get_privacy_archive": "the bytes of an archive",
    "media_get_content": "the bytes of a file",
    "video_processing_get_poster": "a picture",
    "video_processing_watch_video": "server-sent events",
}
OTHER_STATUS = {
    "auth_forgot": (204, "nothing may be told"),
    "auth_reset": (204, "nobody is signed in by it"),
    "enrollment_enrol_many": (202, "takes long: an operation"),
    "course_rerun": (202, "takes long: an operation"),
    "progress_complete": (200, "a completion has no id of its own: it is (enrolment, block)"),
    "progress_heartbeat": (202, "a report, not a resource"),
}
OTHER_STATUS_TOO = {
    "enrollment_enrol": (200, "enrolled already"),
    "rbac_create_grant": (200, "granted already"),
    "video_processing_create_video": (200, "the upload has a film already"),
    "video_processing_watch_video": (204, "tells an EventSource to stop"),
    "media_get_content": (206, "a range"),
}
NOT_READ_BY_ID = {"user_sign_up": "read at /v1/users/{user_id}, which takes `me` too"}
SHORT_LISTS = {
    "content_list_block_types": "as many as the code declares",
    "course_list_categories": "as many as the platform keeps",
    "course_list_facets": "the most frequent values alone",
    "course_list_staff": "the few who teach one course",
    "gateway_list_services": "as many as the code declares",
    "media_list_uses": "the first hundred places, and the count of the others",
    "video_processing_list_uses": "the first hundred places, and the count of the others",
}
NO_ID_FILTER = {
    "media_list_assets": "ids of files are kept by who uses them; listing is by target",
    "audit_list_entries": "entries are looked up by what they are about: target_id, actor_id",
    "course_list_runs": "listed by course, of which they are few",
    "gateway_list_rows": "a row is a number, not an id",
    "course_list_revisions": "a revision is a number, not an id",
}
NO_IDEMPOTENCY_KEY = {
    "auth_sign_in": "answers a secret, which is not kept to be told again",
    "auth_refresh": "answers a secret",
    "auth_reauthenticate": "answers a secret",
    "auth_change_password": "no trace of a password is kept",
    "auth_forgot": "repeating it mails again, at most as often as the throttle allows",
    "auth_reset": "a link works once",
    "organization_invite": "answers a secret",
    "organization_accept": "the token is its key",
    "organization_preview": "changes nothing",
    "user_change_email": "takes a password",
    "user_resend_verification": "mails again, at most as often as the throttle allows",
    "user_verify_email": "the token is its key",
    "progress_heartbeat": "uniting ranges is idempotent",
}
PUBLIC = {
    "gateway_jwks": "verifiers have no token",
    "gateway_list_services": "the state of the platform is no secret",
    "auth_sign_in": "how one gets a token",
    "auth_refresh": "the refresh token is what it asks for",
    "auth_forgot": "who forgot cannot sign in",
    "auth_reset": "the mailed token is what it asks for",
    "user_sign_up": "how one gets an account",
    "user_get_privacy_report": "who is erased cannot sign in; the token is what it asks for",
    "organization_preview": "the invitation's token is what it asks for",
    "course_list_catalog": "published courses are open to everybody",
    "course_get_listing": "published courses are open to everybody",
    "course_list_categories": "published courses are open to everybody",
    "course_list_facets": "published courses are open to everybody",
    "course_list_runs": "of published courses",
    "course_get_run": "of published courses",
    "content_list_block_types": "what the code declares is no secret",
}
NO_UUID = {
    "trace_id": "W3C Trace Context",
    "external_id": "what the organization calls its member",
    "target_id": "what an audit entry is about may be of any standard",
    "actor_id": "erased people have none",
}
NO_UUID_IN = {
    "ActorView": "people who are erased, and the platform",
    "TargetView": "what an audit entry is about may be of any standard",
}


def _violations(found: Iterator[str]) -> None:
    wrong = sorted(set(found))
    assert not wrong, "docs/kernel.md and the wire conventions want this otherwise:\n" + "\n".join(wrong)


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

    def wrong() -> Iterator[str]:
        for operation in operations():
            if operation.path in OUTSIDE_V1:
                continue
            area = operation.segments[0]
            if not operation.path.startswith("/v1/"):
                yield f"{operation}: outside /v1"
            elif _shape(operation) not in shapes:
                yield f"{operation}: only an id, `me` or `-` stand below an area, and at most two ids in a path"
            if not _WORD.fullmatch(area) or not (area.endswith("s") or area in NO_PLURAL):
                yield f"{operation}: an area is a plural noun in kebab-case"

    _violations(wrong())


def test_every_area_is_answered_by_the_service_that_owns_it() -> None:
    def wrong() -> Iterator[str]:
        for operation in operations():
            owner = service_of_area(operation.segments[0])
            if operation.path in OUTSIDE_V1:
                if not any(operation.path.startswith(path) for path in table()[operation.service].paths):
                    yield f"{operation}: not among the paths of {operation.service}"
            elif owner is None or operation.content["tags"] != [owner.name]:
                yield f"{operation}: the area belongs to {owner and owner.name}"

    _violations(wrong())


def test_methods_mean_what_they_mean_everywhere() -> None:
    reads = {operation.path for operation in operations() if operation.method == "get"}

    def wrong() -> Iterator[str]:
        for operation in operations():
            shape, method = _shape(operation), operation.method
            creates = method == "post" and (
                shape == "area" or (shape in ("area/ID/word", "area/-/word") and operation.path in reads)
            )
            expected = 201 if creates else 204 if method == "delete" else 200
            expected = OTHER_STATUS.get(operation.id, (expected, ""))[0]
            also = OTHER_STATUS_TOO.get(operation.id, (expected, ""))[0]
            if {status for status in operation.statuses if status < 300} != {expected, also}:
                yield f"{operation}: answers {expected} when all is well"
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
            if creates and expected == 201 and shape == "area" and not by_id and operation.id not in NOT_READ_BY_ID:
                yield f"{operation}: what is created cannot be read at its id"

    _violations(wrong())


def test_lists_have_pages() -> None:
    def wrong() -> Iterator[str]:
        for operation in operations():
            fields = (operation.answer or {}).get("properties", {})
            if operation.method == "get" and _shape(operation) == "area" and "items" not in fields:
                yield f"{operation}: a collection answers {{items, next_cursor}}"
        for operation, answer in _lists():
            if operation.id in SHORT_LISTS:
                continue
            limit = operation.parameters.get("limit", {}).get("schema", {})
            if set(answer["required"]) != {"items", "next_cursor"} or "cursor" not in operation.parameters:
                yield f"{operation}: a list has items, next_cursor, ?limit= and ?cursor="
            if (limit.get("default"), limit.get("maximum"), limit.get("minimum")) != (20, 100, 1):
                yield f"{operation}: ?limit= is from 1 to 100, by default 20"
            ids = operation.parameters.get("id", {}).get("schema", {})
            if operation.id not in NO_ID_FILTER and [each.get("maxItems") for each in variants(ids)] != [100]:
                yield f"{operation}: takes ?id=a,b of at most 100"

    _violations(wrong())


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

    _violations(wrong())


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

    _violations(wrong())


def test_who_needs_no_token_is_named() -> None:
    assert {each.id for each in operations() if each.public} == PUBLIC.keys()


def test_writes_take_an_idempotency_key() -> None:
    def wrong() -> Iterator[str]:
        for operation in operations():
            takes = "Idempotency-Key" in operation.parameters
            if operation.method in ("post", "patch") and not takes and operation.id not in NO_IDEMPOTENCY_KEY:
                yield f"{operation}: takes an Idempotency-Key: the route uses `once`"
            if takes and operation.id in NO_IDEMPOTENCY_KEY:
                yield f"{operation}: takes one after all"

    _violations(wrong())


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

    _violations(wrong())


def test_requests_refuse_what_they_do_not_know() -> None:
    def wrong() -> Iterator[str]:
        for operation in operations():
            for body in operation.bodies.values():
                for variant in variants(body["schema"]):
                    if variant.get("type") == "object" and variant.get("additionalProperties") is not False:
                        yield f"{operation}: takes unknown fields: the body is no `Body`"

    _violations(wrong())


def test_answers_are_typed_or_named_as_streams() -> None:
    def wrong() -> Iterator[str]:
        for operation in operations():
            silent = {status for status in operation.statuses if status < 300} == {204}
            if operation.answer is None and not silent and operation.id not in STREAMED:
                yield f"{operation}: its answer has no schema"

    _violations(wrong())


def _fields() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every field and parameter: where, name, schema."""
    for name, schema in document()["components"]["schemas"].items():
        for field, content in schema.get("properties", {}).items():
            yield name, field, content
    for operation in operations():
        for parameter in operation.parameters.values():
            if parameter["in"] != "header":
                yield str(operation), parameter["name"], parameter["schema"]


def test_names_of_fields_say_what_they_hold() -> None:
    def kinds(schema: dict[str, Any]) -> set[str]:
        return {
            str(each.get("format") or each.get("const") or each.get("type", "?"))
            for variant in variants(schema)
            for each in (variants(variant["items"]) if variant.get("type") == "array" else [variant])
        }

    def wrong() -> Iterator[str]:
        for where, name, schema in _fields():
            found = kinds(schema)
            if not _FIELD.fullmatch(name):
                yield f"{where}.{name}: fields are snake_case"
            if name in ("data", "info"):
                yield f"{where}.{name}: says nothing"
            if name.endswith("_at") and found != {"date-time"}:
                yield f"{where}.{name}: an instant, not {found}"
            if name.endswith("_on") and found != {"date"}:
                yield f"{where}.{name}: a date, not {found}"
            is_id = (name == "id" or name.endswith("_id")) and name not in NO_UUID and where not in NO_UUID_IN
            if is_id and not found <= {"uuid", "me"}:
                yield f"{where}.{name}: an id is a UUID, not {found}"
            if name.endswith(("_ms", "_bytes", "_minor")) and found != {"integer"}:
                yield f"{where}.{name}: a whole number, not {found}"
            if name.endswith("_s") and not found <= {"number", "integer"}:
                yield f"{where}.{name}: a number of seconds, not {found}"

    _violations(wrong())


@pytest.mark.parametrize(
    "exceptions",
    [STREAMED, OTHER_STATUS, OTHER_STATUS_TOO, NOT_READ_BY_ID, SHORT_LISTS, NO_ID_FILTER, NO_IDEMPOTENCY_KEY],
    ids=[
        "streamed",
        "other status",
        "other status too",
        "not read by id",
        "short lists",
        "no id filter",
        "no idempotency key",
    ],
)
def test_exceptions_are_of_operations_that_exist(exceptions: dict[str, Any]) -> None:
    assert exceptions.keys() - {operation.id for operation in operations()} == set()
