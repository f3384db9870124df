"""Kept answers: one for all whom the same may be shown, and none for problems."""

from collections.abc import Iterator, Mapping
from typing import Annotated

import httpx
import pytest
from fastapi import Header
from pydantic import BaseModel

from cluster.base.ids import UserId, new_id
from cluster.base.principal import GUEST, Principal
from cluster.base.problems import NotFound
from cluster.http import AnswersOfShown, KeptAnswers, Router, build_app


class View(BaseModel):
    turn: int


class Program:
    """Counts how often its routes work."""

    def __init__(self) -> None:
        self.turns = 0
        self.caller: Principal = GUEST
        kept = self.kept = KeptAnswers("test.answers", reach=self._reach)
        router = Router("plain")

        @router.get("/v1/plain", public=True, kept=kept)
        async def listed(limit: int = 20) -> View:  # pyright: ignore[reportUnusedFunction]
            self.turns += 1
            return View(turn=self.turns)

        @router.get("/v1/plain/same", public=True, kept=KeptAnswers("test.same"))
        async def same() -> View:  # pyright: ignore[reportUnusedFunction]
            self.turns += 1
            return View(turn=self.turns)

        @router.get("/v1/plain/none", public=True, kept=kept, raises=(NotFound,))
        async def missing() -> View:  # pyright: ignore[reportUnusedFunction]
            self.turns += 1
            raise NotFound(f"turn {self.turns}")

        self._app = build_app([router])

    async def _reach(self, caller: Principal) -> object:
        return caller.bound_org

    async def get(self, path: str) -> httpx.Response:
        async def app(scope, receive, send):  # type: ignore[no-untyped-def]
            scope["state"] = {"principal": self.caller}
            await self._app(scope, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client:
            return await client.get(path)


@pytest.fixture
def program() -> Iterator[Program]:
    program = Program()
    yield program
    program.kept.forget()


async def test_an_answer_is_kept_by_path_and_query(program: Program) -> None:
    turns = [
        (await program.get(path)).json()["turn"]
        for path in ("/v1/plain", "/v1/plain?limit=5", "/v1/plain", "/v1/plain")
    ]

    assert turns == [1, 2, 1, 1]


async def test_an_answer_is_kept_apart_by_kind_scopes_and_reach(program: Program) -> None:
    one, other = (Principal(kind="person", id=UserId(new_id())) for _ in range(2))
    bound = Principal(kind="person", id=one.id, bound_org=new_id())  # type: ignore[arg-type]
    narrow = Principal(kind="person", id=one.id, scopes=frozenset({"catalog:read"}))
    turns: list[int] = []

    for program.caller in (GUEST, one, other, bound, narrow, GUEST, bound):
        turns.append((await program.get("/v1/plain")).json()["turn"])

    assert turns == [1, 2, 2, 3, 4, 1, 3]


async def test_answers_without_a_reach_are_kept_for_guests_alone(program: Program) -> None:
    turns: list[int] = []

    for program.caller in (GUEST, Principal(kind="person", id=UserId(new_id())), GUEST):
        turns.append((await program.get("/v1/plain/same")).json()["turn"])

    assert turns == [1, 2, 1]


async def test_a_problem_is_not_kept(program: Program) -> None:
    details = [(await program.get("/v1/plain/none")).json()["detail"] for _ in range(2)]

    assert details == ["turn 1", "turn 2"]


async def test_kept_answers_are_refused_for_reads_by_header() -> None:
    router = Router("plain")

    async def by_header(x_word: Annotated[str, Header()]) -> View:
        return View(turn=len(x_word))

    router.get("/v1/plain", kept=KeptAnswers("test.answers"))(by_header)

    with pytest.raises(ValueError, match="/v1/plain"):
        build_app([router])


async def test_answers_to_long_queries_are_not_kept(program: Program) -> None:
    path = f"/v1/plain?unknown={'x' * 60_000}"

    turns = [(await program.get(path)).json()["turn"] for _ in range(2)]

    assert turns == [1, 2]


class OneThing:
    """Shows one thing to those who may see it, and counts how often its route works."""

    def __init__(self) -> None:
        self.turns = 0
        self.caller: Principal = GUEST
        self.thing: object | None = object()
        self.allowed: set[UserId | None] = {None}
        router = Router("plain")

        @router.get("/v1/plain/{id}", public=True, kept=AnswersOfShown("test.shown", shown=self._shown))
        async def show(id: str) -> View:  # pyright: ignore[reportUnusedFunction]
            self.turns += 1
            return View(turn=self.turns)

        self._app = build_app([router])

    async def _shown(self, caller: Principal, path: Mapping[str, str]) -> object | None:
        if caller.id not in self.allowed:
            raise NotFound(path["id"])
        return self.thing

    async def get(self, path: str = "/v1/plain/a") -> int:
        async def app(scope, receive, send):  # type: ignore[no-untyped-def]
            scope["state"] = {"principal": self.caller}
            await self._app(scope, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client:
            answer = await client.get(path)
        return answer.json()["turn"] if answer.status_code == 200 else answer.status_code


async def test_an_answer_is_kept_while_the_same_object_is_shown() -> None:
    one = OneThing()
    turns = [await one.get(), await one.get()]

    one.thing = object()

    turns += [await one.get(), await one.get()]
    assert turns == [1, 1, 2, 2]


async def test_each_caller_is_permitted_whatever_is_kept() -> None:
    one, insider = OneThing(), Principal(kind="person", id=UserId(new_id()))
    one.caller, one.allowed = insider, {insider.id}
    turns = [await one.get(), await one.get()]

    one.caller = Principal(kind="person", id=UserId(new_id()))
    turns.append(await one.get())
    one.caller, one.allowed = insider, set()
    turns.append(await one.get())

    assert turns == [1, 1, 404, 404]


async def test_an_answer_of_one_thing_is_kept_by_path_and_kind() -> None:
    one, person = OneThing(), Principal(kind="person", id=UserId(new_id()))
    one.allowed = {None, person.id}
    turns: list[int] = []

    for one.caller, path in ((GUEST, "a"), (person, "a"), (GUEST, "b"), (GUEST, "a?b"), (person, "a"), (GUEST, "a")):
        turns.append(await one.get(f"/v1/plain/{path}"))

    assert turns == [1, 2, 3, 4, 2, 1]


async def test_what_is_nothing_to_keep_is_answered_each_time() -> None:
    one = OneThing()
    one.thing = None

    turns = [await one.get() for _ in range(2)]

    assert turns == [1, 2]
