"""Uploads that are begun and never sent take no more than a bounded share of anybody's room."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from api.core.rbac.contract import RbacCalls
from api.media.media import rules
from api.media.media.contract import TooManyUploads
from api.media.media.upload import logic
from cluster.people import org_settings
from cluster.people.calls import client
from tests.api.media.media.conftest import Teacher, film, new_teacher
from tests.api.media.media.test_protocol import TUS, metadata
from tests.harness import Hub, done, problem
from tests.org_settings import change, in_process, settings_of


async def test_begin_rejects_one_more_unfinished_upload_of_a_person(teacher: Teacher) -> None:
    begun = [await teacher.begin(100) for _ in range(rules.MAX_OPEN_OF_PERSON)]

    with pytest.raises(TooManyUploads, match="20 unfinished uploads"):
        await teacher.begin(100)

    await logic.end(teacher.principal, begun[0])
    again = await teacher.begin(100)
    await teacher.send(again, film(100))
    await teacher.begin(100)


async def test_begin_rejects_more_awaited_bytes_than_a_person_may_reserve(teacher: Teacher) -> None:
    size = 19 * 1000**3
    fitting = rules.MAX_AWAITED_BYTES_OF_PERSON // size
    for _ in range(fitting):
        await teacher.begin(size)

    with pytest.raises(TooManyUploads) as refused:
        await teacher.begin(size)

    assert refused.value.status == 409
    assert refused.value.extra == {"open_uploads": fitting, "awaited_bytes": fitting * size}


async def test_twins_begin_no_more_uploads_than_a_person_may(teacher: Teacher) -> None:
    begun = await asyncio.gather(
        *(teacher.begin(100) for _ in range(rules.MAX_OPEN_OF_PERSON + 5)), return_exceptions=True
    )

    refused = [each for each in begun if isinstance(each, BaseException)]
    assert [type(each) for each in refused] == [TooManyUploads] * 5


async def test_begin_rejects_an_organizations_upload_beyond_its_share(
    teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MAX_OPEN_OF_ORGANIZATION", 2)
    colleague = replace(await new_teacher(), org_id=teacher.org_id, course_id=teacher.course_id)
    place = ("course", teacher.course_id, teacher.org_id)
    await client(RbacCalls).grant(colleague.principal.person(), "instructor", *place)
    await teacher.begin(100)
    await colleague.begin(100)

    with pytest.raises(TooManyUploads, match="organization"):
        await teacher.begin(100)

    await (await new_teacher()).begin(100)


async def test_upload_expires_in_an_hour_without_a_byte_and_in_a_day_with_some(teacher: Teacher) -> None:
    asset_id = await teacher.begin(100)
    begun = await logic.progress(teacher.principal, asset_id)

    await teacher.send(asset_id, film(10))
    going_on = await logic.progress(teacher.principal, asset_id)

    assert begun.expires_at is not None
    assert going_on.expires_at is not None
    assert begun.expires_at - begun.asset.created_at == timedelta(hours=1)
    assert going_on.expires_at - begun.expires_at > timedelta(hours=22)


async def test_the_platform_limits_the_room_of_an_organization(hub: Hub) -> None:
    school, operator, elsewhere = await hub.school(), await hub.person("operator"), org_settings.new_cache()
    await client(RbacCalls).grant(operator.id, "platform_admin", "platform", None, None)
    path = settings_of(school.org_id)

    async def begun(size_bytes: int) -> httpx.Response:
        about = metadata(purpose="roster", target=f"org:{school.org_id}", filename="roster.csv")
        sent = TUS | {"Upload-Length": str(size_bytes), "Upload-Metadata": about}
        return await school.owner.post("/v1/uploads", headers=sent)

    with in_process(elsewhere):
        assert (await begun(600)).status_code == 201
    refused = await change(school.owner, path, {"media.storage_bytes": 2**50})
    done(await change(operator, path, {"media.storage_bytes": 1000}))
    await hub.broadcasts_arrived()

    assert problem(refused, 403, "forbidden")["permission"] == "storage:limit"
    assert problem(await begun(401), 413, "quota-exceeded")["free_bytes"] == 400
    with in_process(elsewhere):
        assert problem(await begun(401), 413, "quota-exceeded")["free_bytes"] == 400
        assert (await begun(400)).status_code == 201
    done(await change(operator, path, {"media.storage_bytes": None}))
    assert (await begun(401)).status_code == 201
