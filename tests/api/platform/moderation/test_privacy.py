"""What moderation keeps about people is exported and forgotten."""

from uuid import UUID

from cluster.data import read
from tests.api.platform.moderation.conftest import Court
from tests.harness import Hub, done


async def test_an_author_is_exported_and_forgotten(hub: Hub, court: Court) -> None:
    await court.report()
    decision = await court.decide("lock")
    appeal_id = await court.appeal(decision["id"])
    done(await court.author.post(f"/v1/appeals/{appeal_id}/messages", {"text": "Please."}), 201)
    await hub.settle()

    before = await hub.exported(court.author.id, "moderation")
    part = await hub.erased(court.author.id, "moderation")
    after = await hub.exported(court.author.id, "moderation")

    assert [row["facts"] for row in before.rows["moderation.decisions"]] == ["The summary insults a class."]
    assert [row["text"] for row in before.rows["moderation.appeals"]] == ["It quotes a novel."]
    assert [row["text"] for row in before.rows["moderation.appeal_messages"]] == ["Please."]
    assert [row["texts"]["/title"] for row in before.rows["moderation.contents"]] == ["Algebra"]
    assert part.outcome == "done"
    assert {table: rows for table, rows in after.rows.items() if rows} == {}
    async with read() as db:
        kept = await db.value("SELECT count(*) FROM moderation.decisions WHERE decided_by = $1", court.first.id)
    assert kept == 1
    await hub.settle()


async def test_who_reported_and_who_judged_are_exported_and_forgotten(hub: Hub, court: Court) -> None:
    reporter = await hub.person("reporter")
    await court.report(reporter)
    await court.decide("lock")

    reported = await hub.exported(reporter.id, "moderation")
    await hub.erased(reporter.id, "moderation")
    judged = await hub.exported(court.first.id, "moderation")
    part = await hub.erased(court.first.id, "moderation")

    assert [row["text"] for row in reported.rows["moderation.reports"]] == ["It insults us."]
    assert (await hub.exported(reporter.id, "moderation")).rows["moderation.reports"] == []
    assert len(judged.rows["moderation.decisions"]) == 1
    assert (part.outcome, part.rows_kept) == ("kept", 1)
    await hub.settle()


async def test_texts_are_deleted_a_year_after_the_decision(hub: Hub, court: Court) -> None:
    await court.report()
    await court.decide("lock")
    case_id = UUID(await court.case_id())
    async with read() as db:
        old = "UPDATE moderation.contents SET seen_at = now() - interval '366 days' WHERE case_id = $1"
        await db.run(old, case_id)
        await db.run(
            "UPDATE moderation.reports SET created_at = now() - interval '731 days' WHERE case_id = $1", case_id
        )

    async def left() -> tuple[int, int]:
        async with read() as db:
            contents = await db.value("SELECT count(*) FROM moderation.contents WHERE case_id = $1", case_id)
            return contents, await db.value("SELECT count(*) FROM moderation.reports WHERE case_id = $1", case_id)

    await hub.run_cron("moderation.purge")
    assert await left() == (1, 0)
    async with read() as db:
        await db.run("UPDATE moderation.cases SET decided_at = now() - interval '366 days' WHERE id = $1", case_id)

    await hub.run_cron("moderation.purge")

    assert await left() == (0, 0)
