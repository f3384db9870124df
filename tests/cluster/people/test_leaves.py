"""Leaf Protocols: who answers them, whom one asks, and that an answer needs nobody else."""

import inspect
import types
from contextlib import suppress
from typing import Any, Protocol, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
import pytest

from cluster.base.ids import new_id
from cluster.base.problems import Conflict, NotFound, Problem
from cluster.base.registry import offers_by_service, room
from cluster.base.services import table
from cluster.people import access, calls
from cluster.people.access import AddressSource, GrantSource, LearnerSource, MemberSource
from cluster.people.calls import Answers, answerers, client
from tests.harness import Hub

LEAVES = [(service, offer.protocol) for service, offer in offers_by_service(Answers)]


class Nothing(Protocol):
    async def nothing(self) -> None: ...


def _methods(protocol: type) -> list[str]:
    return [name for name, member in vars(protocol).items() if inspect.iscoroutinefunction(member)]


def test_answerers_names_who_offers_to_answer_a_protocol() -> None:
    found = {protocol: answerers(protocol) for protocol in (GrantSource, MemberSource, LearnerSource, AddressSource)}

    assert found == {
        GrantSource: ["rbac"],
        MemberSource: ["organization"],
        LearnerSource: ["enrollment"],
        AddressSource: ["auth"],
    }
    assert answerers(Nothing) == []


async def test_client_asks_the_one_answerer_that_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "answerers", {GrantSource: ["rbac", "course"]}.__getitem__)
    calls._client.cache_clear()  # pyright: ignore[reportPrivateUsage]

    try:
        with pytest.raises(LookupError, match="rbac, course: name one of these in `of`"):
            client(GrantSource)
        with pytest.raises(LookupError, match="rbac, course"):
            client(GrantSource, of="enrollment")
        assert await client(GrantSource, of="rbac").grants_of(access.UserId(new_id())) == []
    finally:
        calls._client.cache_clear()  # pyright: ignore[reportPrivateUsage]


def test_client_refuses_a_protocol_that_nobody_answers() -> None:
    with pytest.raises(LookupError):
        client(Nothing)
    with pytest.raises(LookupError, match="answered by nobody"):
        client(Nothing, of="rbac")


@pytest.mark.parametrize(("service", "protocol"), LEAVES, ids=lambda each: getattr(each, "__name__", each))
def test_answerer_has_every_method_of_its_leaf_protocol(service: str, protocol: type) -> None:
    calls_room = room(service, "calls")
    assert calls_room is not None, f"{service} has no calls.py"

    for name in _methods(protocol):
        answering = get_type_hints(getattr(calls_room.Calls, name))
        assert answering == get_type_hints(getattr(protocol, name)), f"{service}: {name}"
    assert not protocol.__name__.endswith("Calls"), "what ends in Calls is bound to ranks"


@pytest.mark.parametrize(("service", "protocol"), LEAVES, ids=lambda each: getattr(each, "__name__", each))
async def test_leaf_answers_without_calling_anybody(
    hub: Hub, service: str, protocol: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(asked: type, of: str | None) -> object:
        raise AssertionError(f"{service} calls {of or asked.__name__} to answer {protocol.__name__}")

    monkeypatch.setattr(calls, "_client", refuse)
    calls_room = room(service, "calls")
    assert calls_room is not None

    for name in _methods(protocol):
        hints = get_type_hints(getattr(protocol, name))
        arguments = {parameter: _some(hint) for parameter, hint in hints.items() if parameter != "return"}
        with suppress(Problem):
            await getattr(calls_room.Calls(), name)(**arguments)


def _some(hint: Any) -> Any:
    """Return a value of this type that names nothing that exists."""
    while hasattr(hint, "__supertype__"):
        hint = hint.__supertype__
    if get_origin(hint) in (Union, types.UnionType):
        return None if type(None) in get_args(hint) else _some(get_args(hint)[0])
    if hint is UUID:
        return new_id()
    return {str: "nobody@people.example", int: 10, list: [], dict: _AnyEvent()}[get_origin(hint) or hint]


class _AnyEvent(dict[str, Any]):
    """The payload of an event: each of its fields names something that does not exist."""

    def __missing__(self, _: str) -> str:
        return str(new_id())


def test_problem_that_this_release_lacks_keeps_status_and_slug() -> None:
    rbac = table()["rbac"]

    class RoleRetired(Conflict):
        title = "The role was retired"

    content, _ = calls.encode_problem(RoleRetired("choose another", pointer="/role", since=3))
    for name in ("api.core.rbac.contract:RoleRetired", "api.core.rbac.retiring:RoleRetired"):
        problem = calls._problem(name, 409, rbac, "grant", content)  # pyright: ignore[reportPrivateUsage]

        assert isinstance(problem, Conflict)
        assert problem.document("t") == {
            "type": "/problems/role-retired",
            "title": "The role was retired",
            "status": 409,
            "detail": "choose another",
            "trace_id": "t",
            "errors": [{"pointer": "/role", "code": "role-retired", "params": {}, "detail": "choose another"}],
            "since": 3,
        }


def test_problem_of_a_new_status_is_no_fault_of_this_side() -> None:
    content = msgspec.msgpack.encode({"detail": "", "errors": (), "headers": {}, "extra": {}})

    problem = calls._problem("cluster.new:Teapot", 418, table()["rbac"], "grant", content)  # pyright: ignore[reportPrivateUsage]

    assert (type(problem).__base__, problem.status, problem.slug()) == (Problem, 418, "teapot")


def test_problem_that_this_release_knows_is_raised_as_its_class() -> None:
    content, headers = calls.encode_problem(NotFound("gone"))

    problem = calls._problem(headers["x-problem-class"], 404, table()["rbac"], "grant", content)  # pyright: ignore[reportPrivateUsage]

    assert (type(problem), problem.detail) == (NotFound, "gone")
