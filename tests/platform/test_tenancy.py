"""Nobody gets at what is not theirs, by any operation of the API: each is asked for something real, by who may and by who may not.

The rightful request is proved to succeed first, so a refusal is about the person, not about the request. In the second half the
checks are taken out of one service after the other, and the same walk has to notice.
"""

import inspect
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

import httpx
import pytest

from cluster.base.ids import new_id
from cluster.base.principal import Principal
from cluster.base.problems import NotFound, Problem
from cluster.base.services import service_of_area, table
from cluster.data import Connection, read
from cluster.people import access
from cluster.people.access import Guarded, Reach
from tests.harness import Hub, Person
from tests.platform.document import operations
from tests.platform.exceptions import excepted
from tests.platform.recipes import OPEN, RECIPES, Ask, Recipe, load_recipes
from tests.platform.world import World, new_world

T = TypeVar("T")
K = TypeVar("K")
REFUSED = {401, 403, 404}
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
async def world(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> World:
    return await new_world(hub, tmp_path_factory.mktemp("world"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """An operation and how to ask for it."""

    id: str
    service: str
    method: str
    path: str
    recipe: Recipe

    async def send(self, ask: Ask, by: Person) -> httpx.Response:
        options: dict[str, Any] = {"params": ask.query, "headers": ask.headers}
        if ask.content is not None:
            options["content"] = ask.content
        elif ask.body is not None:
            options["json"] = ask.body
        return await by.client.request(self.method.upper(), self.path.format(**ask.ids), **options)


def _service_at(path: str) -> str:
    service = service_of_area(path.split("/")[2])
    assert service is not None, path
    return service.name


def _walked() -> list[Walked]:
    load_recipes()
    found = [(each.id, each.service, each.method, each.path) for each in operations() if each.id in RECIPES]
    found += [(id, _service_at(each.route[1]), *each.route) for id, each in RECIPES.items() if each.route]
    return [
        Walked(id=id, service=service, method=method, path=path, recipe=RECIPES[id])
        for id, service, method, path in found
    ]


WALKED = _walked()


def test_every_operation_has_a_recipe() -> None:
    known = RECIPES.keys() | OPEN.keys()
    missing = sorted(str(each) for each in operations() if each.id not in known)
    assert missing == [], (
        "add a recipe to tests/api/<namespace>/<service>/recipes.py: who may ask, and a request that succeeds; "
        "only what touches nobody's property is declared by open_to_all"
    )
    existing = {each.id for each in operations()} | {id for id, each in RECIPES.items() if each.route}
    assert known - existing == set(), "these recipes are of operations that are gone"


def test_recipes_of_own_things_name_nobody_else() -> None:
    for each in operations():
        if each.id in RECIPES and RECIPES[each.id].own:
            # What is under `me` is the caller's own, whatever else the path names.
            assert "{" not in each.path or "/me/" in each.path, each


@pytest.mark.parametrize("walked", WALKED, ids=lambda walked: walked.id)
async def test_outsiders_are_refused_what_its_owner_gets(world: World, walked: Walked) -> None:
    ask = await walked.recipe.make(world)
    granted = await walked.send(ask, ask.by)
    assert granted.is_success, f"the recipe asks for nothing that is granted: {granted.status_code} {granted.text}"
    if granted.status_code == 201:
        assert granted.headers["Location"].startswith("/v1/")
    assert _items(granted) != [], "the recipe lists nothing, so nothing can be hidden"
    fresh = ask if walked.method == "get" else await walked.recipe.make(world)
    assert [violation async for violation in _violations(world, walked, fresh, granted)] == []
    assert [told async for told in _told_apart(world, walked, fresh)] == []
    if walked.recipe.own and _items(granted):
        assert await _lists_of_others(world, walked, fresh), (
            "nobody else has rows here, so nothing shows whose are listed"
        )
    if walked.method != "get":
        still = await walked.send(fresh, fresh.by)
        assert still.is_success, f"a refused request changed something: {still.status_code} {still.text}"


async def _lists_of_others(world: World, walked: Walked, ask: Ask) -> list[Any]:
    """Return what the outsiders are listed of their own."""
    people = _outsiders(world, walked, ask)
    answers = [await walked.send(ask, person) for name, person in people.items() if name != "guest"]
    return [item for answer in answers for item in _items(answer) or []]


async def _told_apart(world: World, walked: Walked, ask: Ask) -> AsyncIterator[str]:
    """Send the request and one about what does not exist in the name of outsiders: neither answer may tell which it is."""
    nothing = replace(ask, ids=_unknown(ask.ids), query=_unknown(ask.query), body=_unknown(ask.body))
    for name, person in _outsiders(world, walked, ask).items():
        if walked.recipe.own and name != "guest":
            continue
        answers = [await walked.send(each, person) for each in (ask, nothing)]
        real, random = [(answer.status_code, _told(answer)) for answer in answers]
        if real[0] in (401, 404) and real != random:
            yield f"{name} is told {real} of what exists and {random} of what does not"


def _unknown(value: Any) -> Any:
    """Replace every id by one that names nothing."""
    if isinstance(value, dict):
        return {name: _unknown(each) for name, each in cast("dict[str, Any]", value).items()}
    try:
        UUID(str(value))
    except ValueError:
        return value
    return str(new_id())


def _told(answer: httpx.Response) -> Any:
    """Return what an answer tells, without what differs each time."""
    if not answer.content or not answer.headers.get("content-type", "").endswith("json"):
        return answer.content
    content = answer.json()
    if isinstance(content, dict):
        content.pop("trace_id", None)
    return content


async def _violations(world: World, walked: Walked, ask: Ask, granted: httpx.Response | None) -> AsyncIterator[str]:
    """Send the request in everybody's name who may not make it; `granted` is what a reader who may was answered."""
    items = None if granted is None else _items(granted)
    for name, person in _outsiders(world, walked, ask).items():
        if walked.recipe.own and name != "guest" and items is None:
            continue
        answer = await walked.send(ask, person)
        if walked.recipe.private and name != "guest" and answer.status_code != 404:
            yield f"{name} gets {answer.status_code} instead of 404 for what is private"
        if answer.is_success and items is not None:
            shared = [item for item in _items(answer) or [] if item in items and not _is_about(item, person, name)]
            if shared and any(_names_somebody(item) for item in shared):
                yield f"{name} is shown {shared}"
            elif name == "guest" and walked.recipe.hidden:
                yield "guest is let in"
        elif answer.is_success and not walked.recipe.hidden and granted is not None:
            if answer.json() == granted.json():
                yield f"{name} is shown {answer.text[:200]}"
        elif name == "guest" and walked.recipe.hidden and not _public(walked):
            if answer.status_code != 401:
                yield f"guest gets {answer.status_code} instead of 401"
        elif answer.status_code not in REFUSED:
            yield f"{name} gets {answer.status_code}: {answer.text[:200]}"


def _outsiders(world: World, walked: Walked, ask: Ask) -> dict[str, Person]:
    """Return who may not make this request, a member of the school too; of what is one's own, or private, its owner neither."""
    insiders = {"insider": world.insider}
    if walked.recipe.own or walked.recipe.private:
        insiders["owner"] = world.owner
    everybody = world.outsiders | insiders
    return {name: each for name, each in everybody.items() if name not in walked.recipe.also and each is not ask.by}


def _public(walked: Walked) -> bool:
    return any(each.id == walked.id and each.public for each in operations())


def _items(answer: httpx.Response) -> list[Any] | None:
    """Return the items of a list; None: it is none."""
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return None
    content = answer.json() if answer.content else None
    return content.get("items") if isinstance(content, dict) else None


def _is_about(item: dict[str, Any], person: Person, name: str) -> bool:
    return name != "guest" and item.get("user_id") == str(person.id)


def _names_somebody(item: dict[str, Any]) -> bool:
    """Tell items that belong to somebody from what the code declares."""
    return item.get("id") is not None


@dataclass(slots=True)
class Opened:
    """Checks that were taken out, and where they would have refused."""

    let_through: set[str]


def _caller() -> str:
    """Name the module that called the replaced check."""
    frame = inspect.currentframe()
    for _ in range(2):
        assert frame is not None
        frame = frame.f_back
    assert frame is not None
    return str(frame.f_globals["__name__"])


@contextmanager
def _without_checks(service: str) -> Generator[Opened]:
    """Let everybody do everything in one service."""
    opened = Opened(set())

    async def permit(
        principal: Principal,
        permission: str,
        guarded: Guarded[T] | None,
        *,
        missing: type[NotFound] = NotFound,
        fresh: bool = False,
    ) -> T:
        try:
            return await access.permit(principal, permission, guarded, missing=missing, fresh=fresh)
        except Problem:
            if guarded is None:
                raise
            opened.let_through.add(_caller())
            return guarded._value  # pyright: ignore[reportPrivateUsage]

    async def permitted(
        principal: Principal,
        permission: str,
        find: Callable[[Connection, K], Awaitable[Guarded[T] | None]],
        id: K,
        *,
        missing: type[NotFound] = NotFound,
        fresh: bool = False,
    ) -> T:
        async with read() as db:
            guarded = await find(db, id)
        try:
            return await access.permit(principal, permission, guarded, missing=missing, fresh=fresh)
        except Problem:
            if guarded is None:
                raise
            opened.let_through.add(_caller())
            return guarded._value  # pyright: ignore[reportPrivateUsage]

    async def permit_until(principal: Principal, permission: str, where: Guarded[T]) -> datetime | None:
        try:
            return await access.permit_until(principal, permission, where)
        except Problem:
            opened.let_through.add(_caller())
            return None

    async def reach_of(principal: Principal, permission: str) -> Reach:
        opened.let_through.add(f"{_caller()} (list)")
        return Reach(everywhere=True)

    with pytest.MonkeyPatch.context() as patch:
        for name in _modules_with("permit", service):
            patch.setattr(sys.modules[name], "permit", permit)
        for name in _modules_with("permitted", service):
            patch.setattr(sys.modules[name], "permitted", permitted)
        for name in _modules_with("permit_until", service):
            patch.setattr(sys.modules[name], "permit_until", permit_until)
        for name in _modules_with("reach_of", service):
            patch.setattr(sys.modules[name], "reach_of", reach_of)
        yield opened


def _modules_with(check: str, service: str) -> list[str]:
    package = table()[service].package + "."
    return [
        name
        for name, module in sorted(sys.modules.items())
        if name.startswith(package) and getattr(module, check, None) is getattr(access, check)
    ]


CHECKED = sorted({walked.service for walked in WALKED})


@pytest.mark.parametrize("service", CHECKED)
async def test_the_walk_notices_a_service_without_checks(world: World, service: str) -> None:
    caught: Counter[str] = Counter()
    for walked in WALKED:
        if walked.service != service:
            continue
        ask = await walked.recipe.make(world)
        granted = await walked.send(ask, ask.by) if walked.method == "get" else None
        with _without_checks(service) as opened:
            if [violation async for violation in _violations(world, walked, ask, granted)]:
                caught.update(opened.let_through)
    asking = {name for check in ("permit", "permit_until", "permitted") for name in _modules_with(check, service)}
    own = {name for name in excepted("unnoticed") if name.startswith(f"{table()[service].package}.")}
    assert asking - own - caught.keys() == set(), f"nothing noticed that these ask nobody any more; noticed: {caught}"
    assert own - (asking - caught.keys()) == set(), "these are noticed, or ask nobody: their exceptions excuse nothing"
