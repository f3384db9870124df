"""What requests cost: statements, and that hot queries find their rows by index."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.learning.content.block import store as blocks
from api.learning.content.frozen import store as frozen
from api.learning.content.run import store as runs
from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM
from cluster.data import write
from cluster.data.postgres import StatementCounter
from tests.api.learning.content.conftest import Author
from tests.harness import Hub, done


def own(counter: StatementCounter) -> list[str]:
    """Return the statements that are not access's or the edge's."""
    return [sql for sql in counter.sql if re.search(r"content\.", sql)]


def in_transaction(counter: StatementCounter) -> list[str]:
    begin, commit = counter.sql.index("BEGIN"), counter.sql.index("COMMIT")
    return counter.sql[begin : commit + 1]


async def test_reads_take_one_statement_and_a_warm_outline_none(hub: Hub, author: Author) -> None:
    text = await author.text()
    await author.publish(hub)
    learner = await author.enrolled(hub)
    path = f"/v1/outlines/{author.run_id}"
    done(await learner.get(path))
    with hub.statements() as counted:
        done(await learner.get(path))
    assert counted.sql == [], "the run and its learner were asked about a moment ago and are remembered"
    for read_path in (f"/v1/blocks/{text}", f"/v1/blocks?course_id={author.course_id}"):
        with hub.statements() as counted:
            done(await author.person.get(read_path))
        assert len(own(counted)) == 1


async def test_writes_take_at_most_six_statements(hub: Hub, author: Author) -> None:
    lesson = await author.lesson()
    text, sibling = await author.text(lesson), await author.text(lesson)
    body = {"course_id": author.course_id, "parent_id": lesson, "type": "text", "title": "T", "position": 0}
    person, path = author.person, f"/v1/blocks/{text}"
    with hub.statements() as created:
        done(await person.post("/v1/blocks", body | {"body": {"markdown": "x"}}), 201)
    with hub.statements() as changed:
        done(await person.patch(path, {"title": "X"}, headers={"If-Match": '"1"'}))
    with hub.statements() as moved:
        done(await person.post(f"/v1/blocks/{sibling}/move", {"parent_id": lesson, "position": 0}))
    with hub.statements() as deleted:
        done(await person.delete(path), 204)
    with hub.statements() as restored:
        done(await person.post(f"{path}/restore"))
    assert [len(in_transaction(each)) for each in (created, changed, moved)] == [5] * 3
    assert [len(in_transaction(each)) for each in (deleted, restored)] == [6] * 2, "the sixth finds what texts use"


async def _plan(sql: str, **named: Any) -> str:
    """Plan with sequential scans as the last resort: one that shows has no index to use."""
    async with write(PLATFORM) as tx:
        await tx.run("SET LOCAL enable_seqscan = off")
        rows = await tx.rows("EXPLAIN (FORMAT JSON, COSTS OFF) " + sql, **named)
    return str(rows[0][0])


async def test_hot_queries_use_indexes(hub: Hub, author: Author) -> None:
    text = await author.text()
    await author.publish(hub)
    with hub.statements() as counted:
        done(await author.person.get(f"/v1/outlines/{author.run_id}"))
        done(await author.person.get(f"/v1/blocks?course_id={author.course_id}"))
        done(await author.person.get(f"/v1/blocks?course_id={author.course_id}&state=deleted"))
        done(await author.person.get(f"/v1/blocks/{text}"))
    # Whether this process knows the frozen outline already depends on who asked for it before.
    assert [sql for sql in own(counted) if sql != frozen.FIND_FROZEN] == [
        runs.FIND_RUN,
        blocks.FIND_BLOCKS,
        blocks.FIND_DELETED_BLOCKS,
        blocks.FIND_BLOCK,
    ]
    course_id, now = UUID(author.course_id), datetime.now(UTC)
    await _many_other_blocks()
    plans = {
        "one run": await _plan(runs.FIND_RUN, run_id=UUID(author.run_id)),
        "listed": await _plan(blocks.FIND_BLOCKS, course_id=course_id, after="", limit=21, ids=None),
        "deleted": await _plan(
            blocks.FIND_DELETED_BLOCKS, course_id=course_id, deleted_after=now, before=None, limit=21
        ),
        "one block": await _plan(blocks.FIND_BLOCK, block_id=UUID(text)),
        "lock": await _plan(
            "SELECT id FROM content.blocks WHERE course_id = $course_id AND deleted_at IS NULL", course_id=course_id
        ),
        "frozen": await _plan(frozen.FIND_FROZEN, frozen_id=UUID(author.run_id)),
        "same frozen": await _plan(frozen.FIND_KEPT, course_id=course_id, sha256=b"x"),
        "purge": await _plan(blocks.DELETE_PURGED, until=now, limit=1000),
        "deleted together": await _plan(blocks.LIST_DELETED_WITH, root_id=course_id),
    }
    assert {name for name, plan in plans.items() if "Seq Scan" in plan} == set()
    used = {name: set(re.findall(r'"Index Name": "(\w+)"', plan)) for name, plan in plans.items()}
    # Two indexes begin with the course; which of them is cheaper depends on how many blocks other tests deleted.
    led_by_course = {"blocks_of_course": "by course", "blocks_one_per_position": "by course"}
    assert {name: {led_by_course.get(index, index) for index in indexes} for name, indexes in used.items()} == {
        "one run": {"runs_pkey", "courses_pkey", "moderated_blocks_of_course"},
        "frozen": {"frozen_outlines_pkey"},
        "same frozen": {"frozen_outlines_course_id_sha256_key"},
        "listed": {
            *("outlines_pkey", "courses_pkey", "by course", "blocks_of_parent", "blocks_pkey", "moderated_blocks_pkey")
        },
        "deleted": {"outlines_pkey", "courses_pkey", "blocks_restorable", "moderated_blocks_pkey"},
        "one block": {"blocks_pkey", "courses_pkey", "moderated_blocks_pkey"},
        "lock": {"by course"},
        "purge": {"blocks_deleted", "blocks_pkey"},
        "deleted together": {"blocks_deleted_together"},
    }


async def _many_other_blocks() -> None:
    """Fill the tables, so that reading all of one would be the worse plan."""
    async with write(PLATFORM) as tx:
        await tx.run(
            """WITH outlines AS (
                   INSERT INTO content.outlines (course_id, org_id, created_at, changed_at)
                   SELECT gen_random_uuid(), $1, now(), now() FROM generate_series(1, 300) RETURNING course_id
               )
               INSERT INTO content.blocks (id, course_id, org_id, type, position, title, body, text_bytes, created_at, updated_at)
               SELECT gen_random_uuid(), course_id, $1, 'module', number, '', '{}', 0, now(), now()
               FROM outlines, generate_series(0, 19) AS number""",
            new_id(),
        )
        await tx.run("ANALYZE content.blocks")
        await tx.run("ANALYZE content.outlines")
