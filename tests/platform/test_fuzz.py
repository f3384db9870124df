"""Every operation gets what its schema allows and what it forbids, with real ids and made-up ones, signed in and not.

Nothing of it is a fault of ours: no 5xx, and every answer is one that the API document promises. The cases are made from a fixed
seed: the same ones are sent until the code changes.
"""

import warnings
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import fields
from typing import Any, cast
from uuid import UUID

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

from tests.harness import Hub, Person
from tests.platform.document import Operation, document, operations
from tests.platform.recipes import RECIPES, load_recipes
from tests.platform.world import World, new_world

EXAMPLES = 3
"""Per operation and mode."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def api() -> Any:
    return schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    load_recipes()
    return []


@pytest.fixture
async def world(hub: Hub, worlds: list[World], tmp_path_factory: pytest.TempPathFactory) -> World:
    """Some requests end the session that they are sent in: then a new world is made."""
    if not worlds or not await _all_signed_in(worlds[-1]):
        worlds.append(await new_world(hub, tmp_path_factory.mktemp("world")))
    return worlds[-1]


async def _all_signed_in(world: World) -> bool:
    # Whoever was suspended or removed in the school is signed in all the same.
    people = [value for each in fields(world) if isinstance(value := getattr(world, each.name), Person)]
    return all([(await person.get("/v1/users/me")).is_success for person in people])


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


async def _asked(world: World, operation: Operation) -> tuple[Person, dict[str, str]]:
    """Make what the operation may be asked about, by its recipe; return who may ask, and the real ids by name."""
    if operation.id not in RECIPES:
        return world.owner, {}
    ask = await RECIPES[operation.id].make(world)
    return ask.by, dict(_ids([ask.ids, ask.query, ask.body]))


def _ids(value: Any) -> Iterator[tuple[str, str]]:
    """Walk the fields that hold an id."""
    if isinstance(value, list):
        for each in cast(list[Any], value):
            yield from _ids(each)
    elif isinstance(value, dict):
        for name, inner in cast(dict[str, Any], value).items():
            yield from _ids(inner)
            with suppress(ValueError):
                yield name, str(UUID(str(inner)))


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
async def test_whatever_is_sent_the_answer_is_a_documented_one(world: World, api: Any, service: str) -> None:
    faults: list[str] = []
    sent = succeeded = 0
    for operation in _by_service()[service]:
        rightful, known = await _asked(world, operation)
        for case in _variants(_cases(api, operation), known):
            for by in (rightful, world.hub.guest):
                answer = await _send(case, by)
                sent, succeeded = sent + 1, succeeded + answer.is_success
                faults += _faults(case, answer)
    assert faults == [], f"{len(faults)} of {sent} answers:\n" + "\n".join(faults)
    assert succeeded, f"none of {sent} requests got past validation"
