"""Every operation gets what its schema allows and what it forbids, with real ids and made-up ones, signed in and not.

Nothing of it is a fault of ours: no 5xx, and every answer is one that the API document promises. The cases are made from a fixed
seed: the same ones are sent until the code changes.
"""

import warnings
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any, cast

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import NonInteractiveExampleWarning, Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.harness import Hub, Person, School, done
from tests.platform.document import Operation, document, operations

EXAMPLES = 3
"""Per operation and mode."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def api() -> Any:
    return schemathesis.openapi.from_dict(document())


def _by_service() -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {}
    # What ends something comes last, the session that the others are sent in among it.
    for operation in sorted(operations(), key=lambda each: (each.method == "delete", each.id)):
        found.setdefault(operation.service, []).append(operation)
    return found


def _cases(api: Any, operation: Operation) -> list[Case[Any]]:
    """Make the cases of one operation, always the same."""
    described = api[operation.path][operation.method.upper()]
    cases: list[Case[Any]] = []
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        strategy = described.as_strategy(generation_mode=mode)

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        )
        @given(strategy)
        def collect(case: Case[Any]) -> None:
            cases.append(case)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NonInteractiveExampleWarning)
            # What takes nothing can be given nothing wrong.
            with nullcontext() if mode is GenerationMode.POSITIVE else suppress(Unsatisfiable):
                collect()
    return cases


async def _known(hub: Hub, school: School) -> dict[str, str]:
    """Make one of everything that is quickly made; return its ids by the name that requests call them."""
    owner, org_id = school.owner, str(school.org_id)
    new = {"organization_id": org_id, "title": "Fuzz", "language": "en"}
    course = done(await owner.post("/v1/courses", new), 201)
    parent = None
    for type in ("module", "lesson", "text"):
        body = {"markdown": "# One"} if type == "text" else None
        wanted = {"course_id": course["id"], "parent_id": parent, "type": type, "title": type, "body": body}
        parent = done(await owner.post("/v1/blocks", wanted), 201)["id"]
    await hub.settle()
    done(await owner.post(f"/v1/courses/{course['id']}/publish"))
    await hub.settle()
    enrolled = done(await owner.post("/v1/enrollments", {"course_id": course["id"]}), 201)
    role = {"organization_id": org_id, "name": "some_role", "title": "Role", "permissions": ["role:read"]}
    members = done(await owner.get("/v1/members", params={"organization_id": org_id}))["items"]
    grants = done(await owner.get("/v1/grants", params={"organization_id": org_id}))["items"]
    sessions = done(await owner.get("/v1/sessions"))["items"]
    operation = done(await owner.post(f"/v1/courses/{course['id']}/rerun"), 202)
    await hub.settle()
    return {
        "organization_id": org_id,
        "course_id": course["id"],
        "run_id": course["default_run_id"],
        "block_id": str(parent),
        "enrollment_id": enrolled["id"],
        "user_id": str(owner.id),
        "member_id": members[0]["id"],
        "grant_id": grants[0]["id"],
        "role_id": done(await owner.post("/v1/roles", role), 201)["id"],
        "invitation_id": done(await owner.post("/v1/invitations", {"organization_id": org_id}), 201)["id"],
        "session_id": sessions[0]["id"],
        "operation_id": operation["id"],
    }


def _with_known(value: Any, known: dict[str, str]) -> Any:
    """Put real ids where made-up ones stand."""
    if isinstance(value, dict):
        return {
            name: known[name] if name in known and isinstance(inner, str) else _with_known(inner, known)
            for name, inner in cast(dict[str, Any], value).items()
        }
    if isinstance(value, list):
        return [_with_known(inner, known) for inner in cast(list[Any], value)]
    return value


def _variants(cases: list[Case[Any]], known: dict[str, str]) -> Iterator[Case[Any]]:
    """Each case as it was made, and once more about things that exist."""
    for case in cases:
        yield case
        real = case.derive()
        real.path_parameters = _with_known(dict(case.path_parameters or {}), known)
        real.query = _with_known(dict(case.query or {}), known)
        real.body = _with_known(case.body, known)
        yield real


async def _send(case: Case[Any], by: Person) -> httpx.Response:
    options: dict[str, Any] = case.as_transport_kwargs(base_url="http://hub.test")
    headers = {
        name: str(value).encode("latin-1", "replace")
        for name, value in options.get("headers", {}).items()
        if name.lower() != "authorization"
    }
    content: dict[str, Any] = {"json": options["json"]} if "json" in options else {"content": options.get("data")}
    request = by.client.build_request(
        options["method"], options["url"], params=options.get("params"), headers=headers, **content
    )
    return await by.client.send(request)


def _faults(case: Case[Any], answer: httpx.Response) -> Iterator[str]:
    sent = f"{case.method.upper()} {case.formatted_path} query {case.query} body {case.body!r} headers {case.headers}"
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as failures:
        for failure in failures.exceptions:
            yield f"{sent}\n    -> {answer.status_code} {answer.text[:300]}\n    {failure!s:.300}"
    if answer.status_code >= 400:
        problem = answer.json()
        whole = {"type", "title", "status", "detail", "trace_id", "errors"} <= problem.keys()
        if not whole or problem["status"] != answer.status_code or not problem["type"].startswith("/problems/"):
            yield f"{sent}\n    -> not a whole problem: {answer.text[:300]}"


@pytest.mark.parametrize("service", sorted(_by_service()))
async def test_whatever_is_sent_the_answer_is_a_documented_one(hub: Hub, api: Any, service: str) -> None:
    school = await hub.school("fuzz")
    known = await _known(hub, school)
    faults: list[str] = []
    sent = succeeded = 0
    for operation in _by_service()[service]:
        for case in _variants(_cases(api, operation), known):
            for by in (school.owner, hub.guest):
                answer = await _send(case, by)
                sent, succeeded = sent + 1, succeeded + answer.is_success
                faults += _faults(case, answer)
    assert faults == [], f"{len(faults)} of {sent} answers:\n" + "\n".join(faults)
    assert succeeded, f"none of {sent} requests got past validation"
