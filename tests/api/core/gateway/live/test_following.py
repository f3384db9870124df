"""People follow topics over one connection, come back to it, and get each message once."""

from tests.api.core.gateway.live.conftest import events, socket
from tests.api.core.gateway.live.probe import new_topic, say
from tests.harness import School


async def test_a_socket_gets_each_message_after_its_position(port: int, school: School) -> None:
    id = await new_topic(org_id=school.org_id)
    topic = f"channel:{id}"
    await say("channel", id, "a", "b", "c")

    async with socket(port, school.owner) as first, socket(port, school.owner) as second:
        now = await first.subscribe(topic)
        from_one = await second.subscribe(topic, 1)
        await say("channel", id, "d")
        await say("channel", id, "e")
        told = await first.messages(topic, 5), await second.messages(topic, 5)

    assert (now, from_one) == ({"topic": topic, "subscribed": 3}, {"topic": topic, "subscribed": 1})
    assert told == ([(4, "d"), (5, "e")], [(2, "b"), (3, "c"), (4, "d"), (5, "e")])


async def test_an_event_stream_goes_on_after_its_last_id(port: int, school: School) -> None:
    one, other = await new_topic(org_id=school.org_id), await new_topic(org_id=school.org_id)
    topics = f"channel:{one}", f"channel:{other}"

    async with events(port, school.owner, *topics) as stream:
        subscribed = [await stream.next(), await stream.next()]
        await say("channel", one, "a")
        first = await stream.next()
    await say("channel", one, "b")
    await say("channel", other, "c")
    async with events(port, school.owner, *topics, last_id=stream.last_id) as again:
        resumed = [await again.next() for _ in range(4)]

    assert subscribed == [{"topic": topic, "subscribed": 0} for topic in topics]
    assert stream.last_id == "1.0"
    assert again.last_id == "2.1"
    assert (first["topic"], first["seq"], first["kind"], first["data"]) == (topics[0], 1, "said", {"text": "a"})
    assert sorted((each["topic"], each["seq"]) for each in resumed if "seq" in each) == sorted(
        [(topics[0], 2), (topics[1], 1)]
    )
