"""What auth deletes by itself."""

from cluster.base.ids import new_id
from cluster.base.principal import platform
from cluster.data import write
from tests.harness import Hub


async def test_the_purge_deletes_revocations_that_no_token_needs(hub: Hub) -> None:
    kept, over = new_id(), new_id()
    async with write(platform("auth")) as tx:
        for subject, minutes in ((kept, 5), (over, -120)):
            await tx.run(
                "INSERT INTO hub.revocations VALUES ('session', $1, now(), now() + make_interval(mins => $2))",
                subject,
                minutes,
            )

    await hub.run_cron("auth.purge")

    async with write(platform("auth")) as tx:
        left = await tx.rows("SELECT subject_id FROM hub.revocations WHERE subject_id = ANY($1)", [kept, over])
        await tx.run("DELETE FROM hub.revocations WHERE subject_id = $1", kept)
    assert [row["subject_id"] for row in left] == [kept]
