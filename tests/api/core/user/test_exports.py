"""Exports: what an archive holds, for whom, and for how long."""

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from uuid import UUID

from api.core.user.privacy_request import archive
from cluster.people import erasure, export
from tests.api.core.user.privacy import known, rows
from tests.api.learning.course.conftest import Draft
from tests.api.learning.course.conftest import draft as draft
from tests.api.learning.course.conftest import published as published
from tests.api.learning.course.conftest import school as school
from tests.harness import Hub, done, problem


async def test_an_export_is_one_archive_for_the_person_alone(hub: Hub, published: Draft) -> None:
    ada = await known(hub, published)
    request = done(await ada.person.post("/v1/privacy-requests", {"kind": "export"}), 201)
    path = f"/v1/privacy-requests/{request['id']}"
    problem(await ada.person.get(f"{path}/archive"), 409, "archive-not-ready")

    done(await ada.person.post(f"{path}/confirm"))
    await hub.settle()

    finished = done(await ada.person.get(path))
    assert (finished["state"], {part["outcome"] for part in finished["parts"]}) == ("done", {"done"})
    answer = await ada.person.get(f"{path}/archive")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archived:
        content = {name: json.loads(archived.read(name)) for name in archived.namelist()}
    assert sorted(content) == [f"{name}.json" for name in erasure.services()]
    (profile,) = next(each["rows"] for each in content["user.json"] if each["table"] == "user.users")
    assert (profile["name"], profile["email"]) == (ada.name, ada.person.email)
    enrolled = content["enrollment.json"][0]["rows"]
    assert {each["state"] for each in enrolled} == {"completed", "active"}
    identities = next(each["rows"] for each in content["auth.json"] if each["table"] == "auth.identities")
    assert [set(each) & {"secret_hash"} for each in identities] == [set()]
    parts = [stored.key async for stored in export.exports().list(f"{request['id']}/")]
    assert parts == []


async def test_an_archive_goes_after_seven_days(hub: Hub) -> None:
    ada = await hub.person("ada")
    request = done(await ada.post("/v1/privacy-requests", {"kind": "export"}), 201)
    path = f"/v1/privacy-requests/{request['id']}"
    done(await ada.post(f"{path}/confirm"))
    await hub.settle()
    assert (await ada.get(f"{path}/archive")).status_code == 200

    await rows('UPDATE "user".privacy_requests SET archive_until = now() WHERE id = $1', UUID(request["id"]))
    await archive.delete_old(datetime.now(UTC) + timedelta(days=9))

    problem(await ada.get(f"{path}/archive"), 409, "archive-not-ready")
    assert await export.exports().head(f"{request['id']}.zip") is None
