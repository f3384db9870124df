"""Legal holds of files: they stop the purge, and only owners and administrators of the organization place them."""

from datetime import datetime
from typing import Any

import pytest

from api.media.media import logic
from api.media.media.contract import AssetId
from cluster.base.ids import new_id
from cluster.data.postgres import pool
from cluster.jobs.things import sweep
from tests.harness import Hub, done, problem

from .conftest import Teacher, film, settle
from .test_assets import colleague, let_time_pass, objects_of, ready

REASON = {"reason": "complaint 17"}


def hold_of(asset_id: AssetId) -> str:
    return f"/v1/assets/{asset_id}/hold"


async def told(hub: Hub, asset_id: AssetId) -> list[tuple[str, int, dict[str, Any]]]:
    events = await hub.events("asset.held", "asset.released")
    return [(each.type, each.version, each.payload) for each in events if each.subject == str(asset_id)]


async def test_a_held_file_is_purged_only_after_its_release(hub: Hub, teacher: Teacher) -> None:
    admin = await colleague(teacher, "org_admin", "organization")
    asset_id = await ready(teacher)
    version = int((await teacher.http.get(f"/v1/assets/{asset_id}")).headers["etag"].strip('"'))

    placed = done(await admin.put(hold_of(asset_id), json=REASON))

    assert placed == REASON | {"held_at": placed["held_at"]}
    assert done(await admin.get(hold_of(asset_id))) == placed
    assert (await teacher.http.delete(f"/v1/assets/{asset_id}")).status_code == 204
    await let_time_pass(asset_id, 31)
    swept_while_held = await sweep()
    await logic.purge(asset_id)
    assert (swept_while_held, len(await objects_of(asset_id))) == (0, 1)
    assert done(await admin.get(hold_of(asset_id))) == placed

    assert (await admin.delete(hold_of(asset_id))).status_code == 204

    problem(await admin.get(hold_of(asset_id)), 404, "asset-not-held")
    assert await sweep() == 1
    await settle()
    assert await objects_of(asset_id) == []
    payload = {"asset_id": str(asset_id), "org_id": str(teacher.org_id), "purpose": "course-media"}
    assert await told(hub, asset_id) == [
        ("asset.held", version + 1, payload),
        ("asset.released", version + 3, payload),
    ]


async def test_a_second_hold_changes_the_reason_and_not_the_begin(hub: Hub, teacher: Teacher) -> None:
    owner = await colleague(teacher, "org_owner", "organization")
    asset_id = await ready(teacher)
    first = done(await owner.put(hold_of(asset_id), json=REASON))

    second = done(await owner.put(hold_of(asset_id), json={"reason": "lawsuit 3"}))

    assert second == {"reason": "lawsuit 3", "held_at": first["held_at"]}
    assert datetime.fromisoformat(first["held_at"]).tzinfo is not None
    assert [type for type, _, _ in await told(hub, asset_id)] == ["asset.held", "asset.held"]


async def test_releasing_a_file_that_is_not_held_changes_nothing(hub: Hub, teacher: Teacher) -> None:
    owner = await colleague(teacher, "org_owner", "organization")
    asset_id = await ready(teacher)

    answer = await owner.delete(hold_of(asset_id))

    assert (answer.status_code, await told(hub, asset_id)) == (204, [])


async def test_hold_rejects_editors_and_the_uploader(teacher: Teacher) -> None:
    owner = await colleague(teacher, "org_owner", "organization")
    instructor = await colleague(teacher, "instructor")
    asset_id = await ready(teacher)
    done(await owner.put(hold_of(asset_id), json=REASON))

    for person in (teacher.http, instructor):
        refused = problem(await person.put(hold_of(asset_id), json=REASON), 403)
        problem(await person.get(hold_of(asset_id)), 403)
        problem(await person.delete(hold_of(asset_id)), 403)
        assert refused["permission"] == "asset:hold"

    assert done(await owner.get(hold_of(asset_id)))["reason"] == REASON["reason"]


async def test_hold_rejects_a_file_without_content(teacher: Teacher) -> None:
    owner = await colleague(teacher, "org_owner", "organization")
    unfinished = await teacher.begin(100)
    empty = await ready(teacher, b"\0" * 100)

    problem(await owner.put(hold_of(unfinished), json=REASON), 409, "asset-not-ready")
    problem(await owner.put(hold_of(empty), json=REASON), 422, "asset-rejected")
    problem(await owner.put(hold_of(AssetId(new_id())), json=REASON), 404, "asset-not-found")
    problem(await owner.put(hold_of(unfinished), json={"reason": ""}), 422)


@pytest.mark.parametrize(("days", "status"), [(29, 200), (30, 404)])
async def test_hold_takes_a_deleted_file_until_it_is_purged(teacher: Teacher, days: int, status: int) -> None:
    owner = await colleague(teacher, "org_owner", "organization")
    asset_id = await ready(teacher, film(1000))
    assert (await teacher.http.delete(f"/v1/assets/{asset_id}")).status_code == 204
    await let_time_pass(asset_id, days)

    answer = await owner.put(hold_of(asset_id), json=REASON)

    assert answer.status_code == status
    await sweep()
    await settle()
    assert len(await objects_of(asset_id)) == (1 if status == 200 else 0)


async def test_the_reason_of_a_hold_changes_after_the_thirty_days_too(teacher: Teacher) -> None:
    owner = await colleague(teacher, "org_owner", "organization")
    asset_id = await ready(teacher)
    done(await owner.put(hold_of(asset_id), json=REASON))
    assert (await teacher.http.delete(f"/v1/assets/{asset_id}")).status_code == 204
    await let_time_pass(asset_id, 31)

    changed = done(await owner.put(hold_of(asset_id), json={"reason": "lawsuit 3"}))

    assert changed["reason"] == "lawsuit 3"
    assert await held_in_kernel(asset_id)


async def held_in_kernel(asset_id: AssetId) -> bool:
    return await pool().fetchval("SELECT held FROM hub.things WHERE kind = 'asset' AND id = $1", asset_id)
