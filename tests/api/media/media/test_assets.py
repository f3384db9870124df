"""Assets: seen by whom they concern, listed by index, downloaded in ranges, claimed, released, expired."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import httpx
import pytest

from api.core.rbac.contract import RbacCalls
from api.learning.course.contract import CourseChanged, CourseId, RunChanged, RunId
from api.media.media import checking, logic, store
from api.media.media.contract import AssetId, asset_ref
from cluster.base.ids import UserId, new_id
from cluster.base.principal import PLATFORM, Principal
from cluster.data import uses, write
from cluster.data.objects import Bucket, ObjectMissing, bucket
from cluster.data.postgres import pool
from cluster.data.uses import Ref
from cluster.events import envelope_of
from cluster.events.inbox import receive
from cluster.jobs.things import sweep
from cluster.people.access import Reach
from cluster.people.calls import client
from tests.harness import done, problem
from tests.org_settings import choose

from .conftest import Teacher, film, http_of, new_teacher, settle
from .test_protocol import TUS, creation


async def ready(teacher: Teacher, content: bytes | None = None, filename: str = "film.mp4") -> AssetId:
    content = content or film(1000)
    asset_id = await teacher.begin(len(content), filename)
    await teacher.send(asset_id, content)
    await settle()
    return asset_id


async def colleague(teacher: Teacher, role: str, scope: str = "course") -> httpx.AsyncClient:
    user_id = UserId(new_id())
    where = teacher.course_id if scope == "course" else teacher.org_id
    await client(RbacCalls).grant(user_id, role, scope, where, teacher.org_id)  # pyright: ignore[reportArgumentType]
    return http_of(Principal(kind="person", id=user_id))


async def test_staff_sees_files_and_only_editors_download(teacher: Teacher) -> None:
    path = f"/v1/assets/{await ready(teacher)}"
    assistant, admin = await colleague(teacher, "assistant"), await colleague(teacher, "org_admin", "organization")
    assert done(await assistant.get(path))["state"] == "ready"
    problem(await assistant.get(f"{path}/content"), 403)
    problem(await assistant.delete(path), 403)
    assert (await admin.get(f"{path}/content")).status_code == 200


async def test_downloads_in_ranges(teacher: Teacher) -> None:
    content = film(100_000)
    asset_id = await ready(teacher, content, 'Größe "x".mp4')
    path = f"/v1/assets/{asset_id}/content"
    whole = await teacher.http.get(path)
    assert (whole.status_code, whole.content) == (200, content)
    assert whole.headers["Content-Type"] == "video/mp4"
    assert whole.headers["Content-Disposition"] == (
        "attachment; filename=\"Gr__e _x_.mp4\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%22x%22.mp4"
    )
    for wanted, start, end in (("bytes=5-9", 5, 10), ("bytes=99990-", 99_990, 100_000), ("bytes=-7", 99_993, 100_000)):
        answer = await teacher.http.get(path, headers={"Range": wanted})
        assert (answer.status_code, answer.content) == (206, content[start:end])
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/100000"
    problem(await teacher.http.get(path, headers={"Range": "bytes=100000-"}), 416, "range-not-satisfiable")
    stale = await teacher.http.get(path, headers={"Range": "bytes=5-9", "If-Range": '"other"'})
    assert (stale.status_code, len(stale.content)) == (200, 100_000)
    same = await teacher.http.get(path, headers={"Range": "bytes=5-9", "If-Range": whole.headers["ETag"]})
    assert same.status_code == 206
    for kept in (whole.headers["ETag"], f'"other", W/{whole.headers["ETag"]}'):
        unchanged = await teacher.http.get(path, headers={"If-None-Match": kept})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["ETag"] == whole.headers["ETag"]
    assert (await teacher.http.get(path, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_lists_by_organization_target_and_owner_with_cursors(teacher: Teacher) -> None:
    made = [str(await teacher.begin(10)) for _ in range(5)]
    admin = await colleague(teacher, "org_admin", "organization")
    for who, query in (
        (admin, f"organization_id={teacher.org_id}"),
        (teacher.http, f"target=course:{teacher.course_id}"),
        (teacher.http, "purpose=course-media"),
        (teacher.http, "state=uploading,ready"),
    ):
        first = done(await who.get(f"/v1/assets?limit=3&{query}"))
        rest = done(await who.get(f"/v1/assets?limit=3&{query}&cursor={first['next_cursor']}"))
        assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1]
        assert rest["next_cursor"] is None
    assert done(await teacher.http.get("/v1/assets?state=ready"))["items"] == []
    stranger = await colleague(await new_teacher(), "assistant")
    assert done(await stranger.get(f"/v1/assets?target=course:{teacher.course_id}"))["items"] == []
    problem(await teacher.http.get("/v1/assets?target=nothing"), 422)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (store.LIST_ASSETS_OF_ORGANIZATION, "assets_of_organization"),
        (store.LIST_ASSETS_OF_COURSE, "assets_of_course"),
        (store.LIST_ASSETS_OF_RUN, "assets_of_run"),
        (store.LIST_ASSETS_OF_PERSON, "assets_of_owner"),
    ],
)
async def test_lists_use_their_indexes(statement: str, index: str) -> None:
    filters = store.Filters(states=None, purpose=None)
    async with write(PLATFORM) as tx:
        await tx.run("SET LOCAL enable_seqscan = off")

        plan = await tx.rows(
            "EXPLAIN " + statement, Reach(), filters, own=new_id(), place_id=new_id(), before=new_id(), limit=21
        )

    text = "\n".join(row[0] for row in plan)
    assert f"Index Scan using {index}" in text
    assert "Sort" not in text


async def used(teacher: Teacher, asset_id: AssetId, by: Ref) -> None:
    async with write(PLATFORM) as tx:
        await uses.use(tx, by=by, org_id=teacher.org_id, course_id=teacher.course_id, things={asset_ref(asset_id)})


async def let_go(by: Ref) -> None:
    async with write(PLATFORM) as tx:
        await uses.use(tx, by=by, org_id=None, things=())


async def objects_of(asset_id: AssetId) -> list[str]:
    return [stored.key async for stored in bucket("media").list(f"{asset_id}/")]


async def quota_of(teacher: Teacher) -> int:
    return await pool().fetchval("SELECT used_bytes FROM media.quotas WHERE holder_id = $1", teacher.org_id)


async def let_time_pass(asset_id: AssetId, days: int) -> None:
    """Let everything that was noted of an asset have been noted earlier."""
    await pool().execute(
        """UPDATE hub.things SET idle_since = idle_since - $2::interval, purge_at = purge_at - $2::interval,
               swept_at = swept_at - $2::interval WHERE kind = 'asset' AND id = $1""",
        *(asset_id, timedelta(days=days)),
    )


async def test_a_file_in_use_is_not_deleted_and_says_by_what(teacher: Teacher) -> None:
    asset_id = await ready(teacher)
    path = f"/v1/assets/{asset_id}"
    by, elsewhere = Ref("block", new_id()), Ref("block", new_id())
    await used(teacher, asset_id, by)
    async with write(PLATFORM) as tx:
        await uses.use(tx, by=elsewhere, org_id=teacher.org_id, course_id=new_id(), things={asset_ref(asset_id)})

    refused = problem(await teacher.http.delete(path), 409, "thing-in-use")
    shown = done(await teacher.http.get(path))
    listed = done(await teacher.http.get(f"{path}/uses"))

    where = {"organization_id": str(teacher.org_id), "course_id": str(teacher.course_id)}
    assert listed == {"items": [{"kind": "block", "id": str(by.id), **where}], "others": 1}
    assert (refused["used_by"], refused["others"]) == (listed["items"], 1)
    assert (shown["in_use"], shown["expires_at"]) == (True, None)


async def test_a_deleted_file_frees_its_room_and_can_be_restored(teacher: Teacher) -> None:
    content = film(1000)
    asset_id = await ready(teacher, content)
    path = f"/v1/assets/{asset_id}"
    assert (await teacher.http.delete(path)).status_code == 204
    await settle()
    problem(await teacher.http.get(path), 404, "asset-not-found")
    assert await quota_of(teacher) == 0

    restored = done(await teacher.http.post(f"{path}/restore"))

    assert (restored["state"], restored["in_use"], await quota_of(teacher)) == ("ready", False, 1000)
    assert (await teacher.http.get(f"{path}/content")).content == content


async def test_restoring_a_file_that_is_there_answers_it_as_it_is(teacher: Teacher) -> None:
    asset_id = await ready(teacher)
    await used(teacher, asset_id, Ref("block", new_id()))
    path = f"/v1/assets/{asset_id}"
    shown = done(await teacher.http.get(path))

    restored = done(await teacher.http.post(f"{path}/restore"))

    assert restored["in_use"]
    assert restored == shown


async def test_restoring_rejects_a_file_that_does_not_fit_the_quota(teacher: Teacher) -> None:
    asset_id = await ready(teacher)
    path = f"/v1/assets/{asset_id}"
    assert (await teacher.http.delete(path)).status_code == 204
    await choose(teacher.org_id, media__storage_bytes=999)

    refused = problem(await teacher.http.post(f"{path}/restore"), 413, "quota-exceeded")

    assert refused["free_bytes"] == 999
    problem(await teacher.http.get(path), 404, "asset-not-found")


async def test_the_purge_deletes_objects_before_rows_and_resumes(
    teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset_id = await ready(teacher)
    assert (await teacher.http.delete(f"/v1/assets/{asset_id}")).status_code == 204
    assert await sweep() == 0
    await let_time_pass(asset_id, 30)

    async def killed(*_: object) -> None:
        raise ConnectionResetError("killed between the objects and the rows")

    with monkeypatch.context() as patched:
        patched.setattr(store, "delete_purged", killed)
        with pytest.raises(ConnectionResetError):
            await logic.purge(asset_id)
    assert await objects_of(asset_id) == []
    assert await sweep() == 1
    await settle()

    problem(await teacher.http.post(f"/v1/assets/{asset_id}/restore"), 404, "asset-not-found")
    assert not await pool().fetchval("SELECT EXISTS (SELECT FROM media.assets WHERE id = $1)", asset_id)
    assert not await pool().fetchval("SELECT EXISTS (SELECT FROM hub.things WHERE id = $1)", asset_id)


async def test_unused_files_are_deleted_after_a_day_and_used_ones_never(teacher: Teacher) -> None:
    kept, lost, young = [await ready(teacher) for _ in range(3)]
    by = Ref("video", new_id())
    await used(teacher, kept, by)
    for asset_id in (kept, lost):
        await let_time_pass(asset_id, 1)

    assert await sweep() == 1
    await settle()

    states = [(await teacher.http.get(f"/v1/assets/{asset_id}")).status_code for asset_id in (kept, lost, young)]
    assert states == [200, 404, 200]
    assert await quota_of(teacher) == 2000
    await let_go(by)
    shown = done(await teacher.http.get(f"/v1/assets/{kept}"))
    expires_in = datetime.fromisoformat(shown["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < expires_in <= timedelta(hours=24)


async def test_the_sweep_deletes_what_nothing_refers_to(teacher: Teacher) -> None:
    asset_id, unfinished = await ready(teacher), await teacher.begin(100)
    await teacher.send(unfinished, b"x" * 50)
    orphan = f"{new_id()}/parts/000000-orphan"
    await bucket("media").put(orphan, b"left behind")
    before = {stored.key async for stored in bucket("media").list()}
    assert orphan in before
    assert await logic.remove_unreferenced(bucket("media"), "", before=datetime.now(UTC) - timedelta(days=1)) == 0
    await logic.remove_unreferenced(bucket("media"), "", before=datetime.now(UTC) + timedelta(days=1))
    after = {stored.key async for stored in bucket("media").list()}
    assert orphan not in after
    assert {key.partition("/")[0] for key in after} >= {str(asset_id), str(unfinished)}


async def test_the_sweep_gets_past_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    beats = 0
    monkeypatch.setattr(logic, "_BATCH", 1)

    async def beat() -> None:
        nonlocal beats
        beats += 1

    foreign, orphan = "!not-ours.txt", f"{new_id()}/parts/000000-orphan"
    for key in (foreign, orphan):
        await bucket("media").put(key, b"x")
    await logic.remove_unreferenced(bucket("media"), "", before=datetime.now(UTC) + timedelta(days=1), beat=beat)
    left = {stored.key async for stored in bucket("media").list()}
    assert (foreign in left, orphan in left) == (True, False)
    assert beats > 0
    await bucket("media").delete([foreign])


async def test_a_check_shows_that_it_lives_however_slow_the_store_is(
    teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[float] = []

    async def beat() -> None:
        beats.append(clock)

    clock = 0.0
    read = Bucket.get

    async def slow(self: Bucket, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        nonlocal clock
        async for chunk in read(self, key, start, end):
            for at in range(0, len(chunk), 1000):
                clock += 5
                yield chunk[at : at + 1000]

    monkeypatch.setattr(Bucket, "get", slow)
    monkeypatch.setattr(checking, "monotonic", lambda: clock)
    asset_id = await teacher.begin(60_000)
    await teacher.send(asset_id, film(60_000))
    await checking.check(teacher.principal, asset_id, beat=beat, last=False)
    assert len(beats) > 10
    assert max(after - before for before, after in pairwise([*beats, clock])) <= 20


async def test_checking_again_after_a_crash_changes_nothing(teacher: Teacher) -> None:
    async def beat() -> None: ...

    content = film(2000)
    asset_id = await teacher.begin(len(content))
    await teacher.send(asset_id, content)
    for _ in range(2):
        await checking.check(teacher.principal, asset_id, beat=beat, last=False)
    await settle()
    assert (await teacher.http.get(f"/v1/assets/{asset_id}/content")).content == content


async def test_a_lost_part_is_told_to_the_uploader_at_the_end(teacher: Teacher) -> None:
    async def beat() -> None: ...

    asset_id = await teacher.begin(1000)
    await teacher.send(asset_id, film(1000))
    await bucket("media").delete([stored.key async for stored in bucket("media").list(f"{asset_id}/")])
    with pytest.raises(ObjectMissing):
        await checking.check(teacher.principal, asset_id, beat=beat, last=False)
    await checking.check(teacher.principal, asset_id, beat=beat, last=True)
    asset = done(await teacher.http.get(f"/v1/assets/{asset_id}"))
    assert (asset["state"], asset["reason"]) == ("rejected", "content-lost")


async def test_colleagues_upload_once_the_event_of_the_course_arrived(teacher: Teacher) -> None:
    admin = await colleague(teacher, "org_admin", "organization")
    problem(await admin.post("/v1/uploads", headers=creation(teacher, 10)), 404)
    run_id = RunId(new_id())
    course_id = CourseId(teacher.course_id)
    created = CourseChanged(course_id=course_id, org_id=teacher.org_id)
    run = RunChanged(run_id=run_id, course_id=course_id, org_id=teacher.org_id)
    envelopes = [envelope_of(created, version=1), envelope_of(run, version=1)]
    for _ in range(2):
        await receive("media", envelopes)
    assert (await admin.post("/v1/uploads", headers=creation(teacher, 10))).status_code == 201
    answer = await admin.post("/v1/uploads", headers=creation(teacher, 10, target=f"run:{run_id}"))
    asset = done(await admin.get(answer.headers["Location"].replace("uploads", "assets")))
    assert (asset["run_id"], asset["course_id"]) == (str(run_id), str(course_id))
    assert UUID(asset["organization_id"]) == teacher.org_id
    assert (await admin.delete(answer.headers["Location"], headers=TUS)).status_code == 204


async def test_events_tell_every_step_without_names(teacher: Teacher) -> None:
    asset_id = await ready(teacher)
    await teacher.http.delete(f"/v1/assets/{asset_id}")
    rows = await pool().fetch(
        """SELECT envelope->>'type' AS type, envelope->>'subjectversion' AS version, envelope::text AS document
           FROM hub.outbox WHERE envelope->>'subject' = $1 ORDER BY seq""",
        str(asset_id),
    )
    assert [(row["type"], row["version"]) for row in rows] == [
        ("asset.created", "1"),
        ("asset.ready", "3"),
        ("asset.deleted", "4"),
    ]
    assert "film.mp4" not in "".join(row["document"] for row in rows)
