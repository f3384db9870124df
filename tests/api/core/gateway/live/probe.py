"""A service with a topic of each kind, whose messages lie in tables of their own, and a web host of it in another process."""

import asyncio
import signal
import sys
from contextlib import suppress
from typing import Any
from uuid import UUID

import uvicorn

from api.core.gateway.calls import Calls
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import PLATFORM
from cluster.base.services import table
from cluster.data import read, write
from cluster.host import ServiceHost
from cluster.people import calls
from cluster.people.live import hub as hub_module
from cluster.people.topics import After, Standing, Topic, TopicMessage
from cluster.signals.rooms import tell

CREATE = """
DROP SCHEMA IF EXISTS probe CASCADE;
CREATE SCHEMA probe;
CREATE TABLE probe.topics (
    id uuid PRIMARY KEY, seq bigint NOT NULL, org_id uuid, course_id uuid, owner_id uuid
);
CREATE TABLE probe.messages (
    topic_id uuid, seq bigint, text text NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (topic_id, seq)
);
GRANT USAGE ON SCHEMA probe TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA probe TO PUBLIC;
"""
TOPICS = {
    topic.name: ("gateway", topic)
    for topic in (
        Topic(name="channel", title="Messages", permission="course:read", kind="log", signals=("typing",)),
        Topic(name="gauge", title="A value", permission="course:read", kind="state"),
        Topic(name="tray", title="One's own", permission="operation:read", kind="log"),
        Topic(name="hall", title="Open to all", permission="catalog:read", kind="log", signals=("typing", "viewing")),
    )
}


class Source(Calls):
    """Answers for the topics of tests; `asked` counts its statements."""

    asked = 0

    async def standing(self, topic: str, ids: list[UUID]) -> list[Standing]:
        if topic not in TOPICS:
            return await super().standing(topic, ids)
        Source.asked += 1
        async with read() as db:
            return await db.all(
                Standing,
                "SELECT id, seq, org_id, course_id, owner_id FROM probe.topics WHERE id = ANY($1::uuid[])",
                ids,
            )

    async def since(self, topic: str, after: list[After], limit: int) -> list[TopicMessage]:
        if topic not in TOPICS:
            return await super().since(topic, after, limit)
        Source.asked += 1
        is_state = TOPICS[topic][1].kind == "state"
        async with read() as db:
            rows = await db.rows(
                """SELECT m.topic_id, m.seq, m.text, m.at FROM unnest($1::uuid[], $2::bigint[]) AS after (id, seq),
                LATERAL (SELECT * FROM probe.messages m WHERE m.topic_id = after.id AND m.seq > after.seq
                         ORDER BY CASE WHEN $4 THEN -m.seq ELSE m.seq END LIMIT $3) AS m ORDER BY m.topic_id, m.seq""",
                [each.id for each in after],
                [each.seq for each in after],
                1 if is_state else limit,
                is_state,
            )
        return [
            TopicMessage(id=row["topic_id"], seq=row["seq"], kind="said", at=row["at"], data={"text": row["text"]})
            for row in rows
        ]


def install() -> None:
    """Let this process answer for the topics of tests."""
    calls._local["gateway"] = Source()  # pyright: ignore[reportPrivateUsage]


async def new_topic(
    *,
    org_id: OrgId | None = None,
    course_id: UUID | None = None,
    owner_id: UserId | None = None,
    id: UUID | None = None,
) -> UUID:
    """Make a topic at this place."""
    id = id or new_id()
    async with write(PLATFORM) as tx:
        await tx.run("INSERT INTO probe.topics VALUES ($1, 0, $2, $3, $4)", id, org_id, course_id, owner_id)
    return id


async def say(name: str, id: UUID, *texts: str, hint: bool = True) -> int:
    """Write messages into a topic, all in one transaction, and return the last one's number."""
    async with write(PLATFORM) as tx:
        seq = 0
        for text in texts:
            seq = await tx.value("UPDATE probe.topics SET seq = seq + 1 WHERE id = $1 RETURNING seq", id)
            await tx.run("INSERT INTO probe.messages (topic_id, seq, text) VALUES ($1, $2, $3)", id, seq, text)
        if hint:
            tell(tx, name, id, seq)
    return seq


async def serve() -> None:
    """Serve the platform with these topics on a free port, which is printed."""
    hub_module._topics = lambda: TOPICS  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    host: Any = ServiceHost(tuple(table()), wait_s=30.0)
    await host.start()
    install()
    config = uvicorn.Config(host, port=0, lifespan="off", access_log=False, log_config=None, backlog=4096)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    sys.stdout.write(f"{server.servers[0].sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    leaving = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)
    await leaving.wait()
    await host.drain(8.0)
    # Leaving the loop cancels each task once, which a command of the Redis client may swallow: then the process never ends.
    await host.stop()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve())
