"""Who may follow what: asked at subscribing, and again whenever it may have changed."""

import asyncio
from uuid import UUID

import pytest
from websockets.exceptions import InvalidStatus

from cluster.base.ids import new_id
from cluster.people import live
from tests.api.core.gateway.live.conftest import events, new_ticket, socket
from tests.api.core.gateway.live.probe import new_topic, say
from tests.harness import Hub, Person, School, done, problem


async def teacher_of(hub: Hub, school: School, course_id: UUID) -> tuple[Person, str]:
    """Return somebody who teaches a course, and their grant's id."""
    person = await hub.person("teacher")
    new = {
        "user_id": str(person.id),
        "role": "instructor",
        "scope": "course",
        "scope_id": str(course_id),
        "organization_id": str(school.org_id),
    }
    grant = done(await school.owner.post("/v1/grants", new), 201)
    await hub.broadcasts_arrived()
    return person, grant["id"]


async def new_course(school: School) -> UUID:
    new = {"organization_id": str(school.org_id), "title": "Physics", "language": "en"}
    return UUID(done(await school.owner.post("/v1/courses", new), 201)["id"])


async def test_topics_of_others_are_denied_and_of_nobody_too(hub: Hub, port: int, school: School) -> None:
    course_id = await new_course(school)
    teacher, _ = await teacher_of(hub, school, course_id)
    theirs, stranger = await new_topic(org_id=school.org_id), await hub.person()
    own = await new_topic(id=stranger.id, owner_id=stranger.id)
    topics = {f"channel:{theirs}": 404, f"channel:{new_id()}": 404, f"tray:{school.owner.id}": 404}
    strange = {
        "nothing:me": 404,
        "channel:me": 404,
        "channel": 404,
        f"channel:{theirs.hex}": 404,
        "": 404,
        "tray:": 404,
    }

    async with socket(port, stranger) as connection:
        await connection.send(subscribe=dict.fromkeys(topics | strange, 0))
        denied = [await connection.next() for _ in topics | strange]
        mine = await connection.subscribe("tray:me"), await connection.subscribe(f"tray:{own}")
        await say("channel", theirs, "secret")
        await say("tray", own, "hello")
        told = [await connection.next(), await connection.next()]
    async with socket(port, teacher) as connection:
        seen = await connection.subscribe(f"channel:{theirs}")

    assert {each["topic"]: each["denied"] for each in denied} == topics | strange
    assert mine == ({"topic": "tray:me", "subscribed": 0}, {"topic": f"tray:{own}", "subscribed": 0})
    assert sorted((each["topic"], each["seq"]) for each in told) == sorted([("tray:me", 1), (f"tray:{own}", 1)])
    assert seen == {"topic": f"channel:{theirs}", "denied": 404}


async def test_a_stream_of_what_is_not_theirs_is_a_problem(hub: Hub, port: int, school: School) -> None:
    stranger, id = await hub.person(), await new_topic(org_id=school.org_id)

    for topic in (f"channel:{id}", f"channel:{new_id()}", "nothing"):
        problem(await stranger.get("/v1/live", params={"topic": topic}), 404, "topic-not-found")
    problem(await hub.guest.get("/v1/live", params={"topic": f"channel:{id}"}), 401)
    problem(await stranger.get("/v1/live"), 422)
    problem(await stranger.get("/v1/live", params={"topic": [f"hall:{id}"] * 2}), 422)
    with pytest.raises(InvalidStatus) as refused:
        async with socket(port, None):
            pass

    assert refused.value.response.status_code == 401
    assert b"/problems/" in (refused.value.response.body or b"")


async def test_a_lost_right_stops_messages_and_the_last_one_the_connection(hub: Hub, port: int, school: School) -> None:
    courses = [await new_course(school), await new_course(school)]
    ids = [await new_topic(org_id=school.org_id, course_id=course) for course in courses]
    teacher, first_grant = await teacher_of(hub, school, courses[0])
    new = {
        "user_id": str(teacher.id),
        "role": "instructor",
        "scope": "course",
        "scope_id": str(courses[1]),
        "organization_id": str(school.org_id),
    }
    second_grant = done(await school.owner.post("/v1/grants", new), 201)["id"]
    await hub.broadcasts_arrived()

    async with socket(port, teacher) as connection, socket(port, school.owner) as owner:
        for id in ids:
            assert "subscribed" in await connection.subscribe(f"channel:{id}")
            assert "subscribed" in await owner.subscribe(f"channel:{id}")
        done(await school.owner.post(f"/v1/grants/{first_grant}/end"))
        lost = await connection.next()
        await say("channel", ids[0], "not for you")
        await say("channel", ids[1], "for you")
        told = await connection.next()
        done(await school.owner.post(f"/v1/grants/{second_grant}/end"))
        code, rest = await connection.closed()
        others = await owner.messages(f"channel:{ids[1]}", 1)

    assert lost["topic"] == f"channel:{ids[0]}"
    assert lost["denied"] in (403, 404)
    assert (told["topic"], told["seq"]) == (f"channel:{ids[1]}", 1)
    assert (code, [each["topic"] for each in rest]) == (4403, [f"channel:{ids[1]}"])
    assert others == [(1, "for you")]


async def test_an_ended_session_ends_its_connections(hub: Hub, port: int) -> None:
    person, id = await hub.person(), await new_topic()

    async with socket(port, person) as connection, events(port, person, f"hall:{id}") as stream:
        assert "subscribed" in await connection.subscribe(f"hall:{id}")
        assert "subscribed" in await stream.next()
        done(await person.post("/v1/sessions/me/end"))
        code, _ = await connection.closed()
        goodbye = await stream.next()
        rest = await stream.rest()

    assert (code, goodbye, [line for line in rest if line]) == (4401, {"close": 4401}, [])


async def test_a_ticket_opens_one_socket_and_nothing_else(hub: Hub, port: int) -> None:
    person, id = await hub.person(), await new_topic()
    ticket = await new_ticket(person)

    async with socket(port, None, ticket=ticket) as connection:
        answer = await connection.subscribe(f"hall:{id}")
    statuses: list[int] = []
    for used in (ticket, "x" * 43, "", await new_ticket(person) + "x"):
        with pytest.raises(InvalidStatus) as refused:
            async with socket(port, None, ticket=used):
                pass
        statuses.append(refused.value.response.status_code)
    elsewhere = await hub.guest.get("/v1/live", params={"topic": f"hall:{id}", "ticket": await new_ticket(person)})
    problem(await hub.guest.post("/v1/sessions/me/tickets"), 401)

    assert answer == {"topic": f"hall:{id}", "subscribed": 0}
    assert statuses == [401, 401, 401, 401]
    problem(elsewhere, 401)


async def test_a_ticket_of_a_session_that_ended_is_refused(hub: Hub, port: int) -> None:
    person = await hub.person()
    ticket = await new_ticket(person)
    done(await person.post("/v1/sessions/me/end"))
    await hub.broadcasts_arrived()

    with pytest.raises(InvalidStatus) as refused:
        async with socket(port, None, ticket=ticket):
            pass

    assert refused.value.response.status_code == 401


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://hub.test.evil.example", "file://hub.test"])
async def test_a_page_of_somebody_else_opens_no_socket(hub: Hub, port: int, origin: str) -> None:
    person = await hub.person()
    ticket = await new_ticket(person)

    with pytest.raises(InvalidStatus) as refused:
        async with socket(port, None, ticket=ticket, origin=origin):
            pass
    async with socket(port, None, ticket=ticket, origin="https://hub.test") as connection:
        answer = await connection.subscribe("nothing:me")

    assert refused.value.response.status_code == 403
    assert answer == {"topic": "nothing:me", "denied": 404}


async def test_a_person_has_so_many_connections_and_topics(hub: Hub, port: int) -> None:
    person, ids = await hub.person(), [await new_topic() for _ in range(3)]
    topics = [f"hall:{new_id()}" for _ in range(199)]

    async with asyncio.timeout(60):
        opened = [socket(port, person) for _ in range(20)]
        connections = [await each.__aenter__() for each in opened]
        with pytest.raises(InvalidStatus) as refused:
            async with socket(port, person):
                pass
        problem(await person.get("/v1/live", params={"topic": f"hall:{ids[0]}"}), 429)
        await connections[0].send(subscribe=dict.fromkeys(topics))
        denied = [await connections[0].next() for _ in topics]
        for each in opened:
            await each.__aexit__(None, None, None)

    assert refused.value.response.status_code == 429
    assert {each["denied"] for each in denied} == {404}


async def test_hosts_that_drain_send_everybody_elsewhere(hub: Hub, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    person, id = await hub.person(), await new_topic()
    async with socket(port, person) as connection, events(port, person, f"hall:{id}") as stream:
        await connection.subscribe(f"hall:{id}")
        await stream.next()

        with monkeypatch.context() as patch:
            patch.setattr(live.current(), "draining", False)
            draining = asyncio.create_task(hub.host.drain(0.2))
            code, _ = await connection.closed()
            rest = await stream.rest()
            with pytest.raises(InvalidStatus) as refused:
                async with socket(port, person):
                    pass
            await asyncio.wait_for(draining, 20)
            left = live.current().readers

    assert left == set()
    assert code == 1012
    assert [line.partition(":")[0] for line in rest if line] == ["retry"]
    assert refused.value.response.status_code == 503
