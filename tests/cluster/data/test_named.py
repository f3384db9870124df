"""Named parameters of statements."""

from dataclasses import dataclass

import pytest

from cluster.base.principal import PLATFORM
from cluster.data import read, write
from cluster.data.named import bind, resolve

pytestmark = pytest.mark.usefixtures("process")


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int


def test_resolve_numbers_each_name_once() -> None:
    assert resolve("SELECT $b, $a, $b::int") == ("SELECT $1, $2, $1::int", ("b", "a"))


def test_resolve_leaves_numbers_alone() -> None:
    assert resolve("SELECT $1, $2") == ("SELECT $1, $2", ())


def test_resolve_rejects_names_beside_numbers() -> None:
    with pytest.raises(ValueError, match="not both"):
        resolve("SELECT $1, $name")


def test_bind_takes_keywords_before_fields() -> None:
    assert bind("SELECT $y, $x", [Point(1, 2)], {"x": 5}) == ("SELECT $1, $2", [2, 5])


def test_bind_rejects_a_name_without_a_value() -> None:
    with pytest.raises(TypeError, match=r"\$z has no value"):
        bind("SELECT $z", [Point(1, 2)], {})


def test_bind_rejects_a_keyword_that_the_statement_lacks() -> None:
    with pytest.raises(TypeError, match="does not name z"):
        bind("SELECT $x", [Point(1, 2)], {"z": 1})


async def test_a_statement_takes_a_dataclass_and_keywords() -> None:
    async with read() as db:
        found = await db.one(Point, "SELECT $x::int AS x, $y::int + $more::int AS y", Point(1, 2), more=3)

    assert found == Point(1, 5)


async def test_now_is_the_start_of_the_transaction() -> None:
    async with write(PLATFORM) as tx:
        assert await tx.value("SELECT $now::timestamptz") == tx.now
