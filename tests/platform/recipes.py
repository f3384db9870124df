"""How to ask each operation of the API for something that it grants: one recipe per operationId.

The recipes of a service stand in `tests/api/<namespace>/<service>/recipes.py`; `load_recipes` finds them. A recipe makes what it
needs, so that asking spoils nothing for others, and names who may ask. `also` are outsiders who may too, `insider` among them:
a member of the school without a role. `own`: everybody who is
signed in asks about themselves alone, so only guests are refused.
"""

import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from cluster.base.services import table
from cluster.base.settings import REPOSITORY
from tests.harness import Person
from tests.platform.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request that `by` may make."""

    by: Person
    ids: dict[str, Any] = field(default_factory=dict[str, Any])
    query: dict[str, Any] | None = None
    body: Any = None
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])


Make = Callable[[World], Awaitable[Ask]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    make: Make
    also: frozenset[str] = frozenset()
    own: bool = False
    private: bool = False
    """Nobody else may know of it, not even the organization's owner and members: they get 404."""
    route: tuple[str, str] | None = None
    """Method and path of what the API document leaves to a standard."""
    hidden: bool = True
    """A guest learns nothing; else the operation is open, and what is asked for here is merely not there for them."""


RECIPES: dict[str, Recipe] = {}

OPEN: dict[str, str] = {}
"""Operations without anything that belongs to somebody, and why."""


def load_recipes() -> None:
    """Import the recipes of every service in the table that has some."""
    for service in table().values():
        module = f"tests.{service.package}.recipes"
        if (REPOSITORY / f"{module.replace('.', '/')}.py").exists():
            importlib.import_module(module)


def open_to_all(operation_id: str, why: str) -> None:
    """Declare that an operation touches nobody's property, so that there is nothing to refuse."""
    assert operation_id not in OPEN, operation_id
    OPEN[operation_id] = why


def recipe(operation_id: str, *also: str, **options: Any) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        assert operation_id not in RECIPES, operation_id
        RECIPES[operation_id] = Recipe(make=make, also=frozenset(also), **options)
        return make

    return register


def simple(
    operation_id: str, who: str, *also: str, body: Any = None, own: bool = False, private: bool = False, **ids: str
) -> None:
    """Register a recipe for what the world has already: `ids` name its attributes."""

    async def make(world: World) -> Ask:
        return Ask(by=getattr(world, who), ids={name: _of(world, path) for name, path in ids.items()}, body=body)

    RECIPES[operation_id] = Recipe(make=make, also=frozenset(also), own=own, private=private)


def listing(operation_id: str, who: str, *also: str, own: bool = False, hidden: bool = True, **query: str) -> None:
    """Register a recipe for a list: `query` names attributes of the world."""

    async def make(world: World) -> Ask:
        return Ask(by=getattr(world, who), query={name: _of(world, path) for name, path in query.items()})

    RECIPES[operation_id] = Recipe(make=make, also=frozenset(also), own=own, hidden=hidden)


def _of(world: World, path: str) -> str:
    value: Any = world
    for name in path.split("."):
        value = getattr(value, name)
    return str(value)


async def version(by: Person, path: str) -> dict[str, str]:
    answer = await by.get(path)
    assert answer.status_code == 200, answer.text
    return {"If-Match": answer.headers["ETag"]}
