"""The topics that services offer, followed by those who may."""

from typing import Any

from cluster.base.principal import PLATFORM
from cluster.data import write
from cluster.jobs import operations
from tests.api.core.gateway.live.conftest import Socket, socket
from tests.api.learning.course.conftest import add_block, new_course
from tests.harness import Hub, School, done


async def until(connection: Socket, last: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the data of the messages until one has all of this."""
    found: list[dict[str, Any]] = []
    while not found or found[-1] != found[-1] | last:
        frame = await connection.next()
        assert "seq" in frame, frame
        found.append(frame["data"])
    return found


async def test_an_operation_is_followed_until_its_end(hub: Hub, port: int, school: School) -> None:
    async with write(PLATFORM) as tx:
        id = await operations.start(tx, "probe", owner_id=school.owner.id, org_id=school.org_id, total=2)
    stranger = await hub.person()

    async with socket(port, school.owner) as connection, socket(port, stranger) as other:
        topic = f"operation:{id}"
        answers = await connection.subscribe(topic), await other.subscribe(topic)
        async with write(PLATFORM) as tx:
            await operations.progress(tx, id, 1)
        first = await until(connection, {"state": "running"})
        async with write(PLATFORM) as tx:
            await operations.succeed(tx, id, counts={"done": 2})
        told = await until(connection, {"state": "succeeded"})

    assert answers == ({"topic": topic, "subscribed": 1}, {"topic": topic, "denied": 404})
    assert first[-1]["progress"] == {"done": 1, "total": 2}
    assert told[-1] == done(await school.owner.get(f"/v1/operations/{id}"))


async def test_authors_see_that_somebody_else_changed_the_course(hub: Hub, port: int, school: School) -> None:
    course = await new_course(school)
    other = await hub.person()

    async with socket(port, school.owner) as connection, socket(port, other) as stranger:
        topic = f"course:{course['id']}"
        answer, denied = await connection.subscribe(topic), await stranger.subscribe(topic)
        await add_block(school.owner, course["id"], None, "module")
        await hub.settle()
        outline = await until(connection, {"outline_version": 2})
        version = {"If-Match": '"1"'}
        done(await school.owner.patch(f"/v1/courses/{course['id']}", {"title": "Geometry"}, headers=version))
        title = await until(connection, {"version": 2})

    assert answer["topic"] == topic
    assert denied == {"topic": topic, "denied": 404}
    assert outline[-1] == {"version": 1, "outline_version": 2}
    assert title[-1] == {"version": 2, "outline_version": 2}
