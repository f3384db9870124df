"""Files that services made become assets: checked, ready at once, counted, made once."""

import hashlib

import pytest

from api.media.media import adopting
from api.media.media.contract import (
    AssetId,
    AssetNotFound,
    AssetRejected,
    MediaCalls,
    QuotaExceeded,
    new_object_key,
)
from cluster.base.problems import NotFound
from cluster.data.objects import bucket
from cluster.people.calls import client
from tests.harness import done
from tests.org_settings import choose

from .conftest import Teacher, film, settle
from .test_assets import objects_of, quota_of


async def made(content: bytes) -> str:
    key = new_object_key()
    await bucket("media").put(key, content)
    return key


async def adopt(teacher: Teacher, key: str, target: str | None = None) -> AssetId:
    return await client(MediaCalls).adopt(
        key, target or f"course:{teacher.course_id}", "course-media", "report.mp4", teacher.principal.person()
    )


async def test_adopt_makes_a_checked_asset_that_is_ready_at_once(teacher: Teacher) -> None:
    content = film(5000)
    key = await made(content)

    asset_id = await adopt(teacher, key)

    shown = done(await teacher.http.get(f"/v1/assets/{asset_id}"))
    assert (shown["state"], shown["filename"], shown["content_type"]) == ("ready", "report.mp4", "video/mp4")
    assert shown["sha256"] == hashlib.sha256(content).hexdigest()
    assert (await teacher.http.get(f"/v1/assets/{asset_id}/content")).content == content
    assert await quota_of(teacher) == 5000
    await settle()
    assert await objects_of(asset_id) == [key]


async def test_adopt_makes_one_asset_however_often(teacher: Teacher) -> None:
    key = await made(film(5000))

    ids = {await adopt(teacher, key) for _ in range(2)}

    assert len(ids) == 1
    assert await quota_of(teacher) == 5000


async def test_adopt_rejects_what_the_purpose_does_not_take(teacher: Teacher) -> None:
    with pytest.raises(AssetRejected):
        await adopt(teacher, await made(b"just some text that is no film"))
    with pytest.raises(AssetNotFound):
        await adopt(teacher, new_object_key())
    with pytest.raises(NotFound):
        await adopt(teacher, await made(film(10)), f"run:{teacher.course_id}")
    await choose(teacher.org_id, media__storage_bytes=100)
    with pytest.raises(QuotaExceeded):
        await adopt(teacher, await made(film(101)))


async def test_a_large_file_is_ready_once_its_job_has_run(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adopting, "AT_ONCE_BYTES", 100)

    asset_id = await adopt(teacher, await made(film(101)))

    path = f"/v1/assets/{asset_id}"
    assert done(await teacher.http.get(path))["state"] == "checking"
    await settle()
    assert done(await teacher.http.get(path))["state"] == "ready"
