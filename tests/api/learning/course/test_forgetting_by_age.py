"""The cron job forgets revisions that nobody could reach for 180 days, and no others."""

from uuid import UUID

import pytest

from api.learning.course.forgetting import logic
from cluster.base.principal import PLATFORM
from cluster.data import write
from tests.api.learning.course.filmed import Filmed
from tests.api.learning.course.filmed import filmed as filmed
from tests.harness import Hub, done


async def test_cron_forgets_what_nobody_could_reach_for_180_days(
    hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logic, "KEPT_REVISIONS", 1)
    await filmed.aged(179)
    await hub.run_cron("course.forget")
    too_early = await filmed.forgotten()

    await filmed.aged(2)
    await hub.run_cron("course.forget")
    await hub.settle()

    assert (too_early, await filmed.forgotten(), await filmed.in_use()) == ([], [1], False)


async def test_cron_keeps_the_newest_ten_and_what_was_superseded_lately(hub: Hub, filmed: Filmed) -> None:
    text = await filmed.author.text()
    for number in range(3, 12):
        await filmed.author.change(text, {"body": {"markdown": str(number)}})
        await filmed.publish()
    await filmed.aged(200)
    await filmed.author.change(text, {"body": {"markdown": "last"}})
    await filmed.publish()

    await hub.run_cron("course.forget")

    assert await filmed.forgotten() == [2, 1]


async def test_cron_keeps_what_was_superseded_lately(hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logic, "KEPT_REVISIONS", 1)
    async with write(PLATFORM) as tx:
        await tx.run(
            "UPDATE course.revisions SET published_at = now() - interval '1 year' WHERE course_id = $1 AND revision = 1",
            UUID(filmed.author.course_id),
        )

    await hub.run_cron("course.forget")

    assert await filmed.forgotten() == []


async def test_cron_keeps_what_a_run_pins_or_pinned_lately(
    hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logic, "KEPT_REVISIONS", 1)
    run_id = await filmed.pinning(1)
    await filmed.aged(400)
    await hub.run_cron("course.forget")
    pinned = await filmed.forgotten()

    run = await filmed.person.get(f"/v1/runs/{run_id}")
    headers = {"If-Match": run.headers["etag"]}
    done(await filmed.person.patch(f"/v1/runs/{run_id}", {"pinned_revision": None}, headers=headers))
    await hub.run_cron("course.forget")
    lately = await filmed.forgotten()
    await filmed.aged(181)
    await hub.run_cron("course.forget")

    assert (pinned, lately, await filmed.forgotten()) == ([], [], [1])


async def test_cron_keeps_what_a_run_showed_to_its_end(
    hub: Hub, filmed: Filmed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logic, "KEPT_REVISIONS", 1)
    run_id = await filmed.pinning(1)
    await filmed.aged(400)
    done(await filmed.person.post(f"/v1/runs/{run_id}/end"))

    await hub.run_cron("course.forget")
    lately = await filmed.forgotten()
    await filmed.aged(181)
    await hub.run_cron("course.forget")

    assert (lately, await filmed.forgotten()) == ([], [1])
