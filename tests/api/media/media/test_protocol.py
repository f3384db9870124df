"""tus 1.0.0 on the wire."""

import asyncio
import base64
import hashlib
from typing import Any

import httpx
import pytest

from cluster.data.postgres import pool
from tests.cluster.data.proxy import between
from tests.harness import problem
from tests.org_settings import choose

from .conftest import Teacher, app_of, film, new_teacher, settle

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream"}


def metadata(**fields: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in fields.items())


def creation(teacher: Teacher, size: int, **fields: str) -> dict[str, str]:
    known = {"filename": "Zahlen.mp4", "filetype": "video/mp4", "purpose": "course-media"}
    known |= {"target": f"course:{teacher.course_id}"} | fields
    return TUS | {"Upload-Length": str(size), "Upload-Metadata": metadata(**known)}


async def create(teacher: Teacher, size: int) -> str:
    answer = await teacher.http.post("/v1/uploads", headers=creation(teacher, size))
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def append(offset: int) -> dict[str, str]:
    return TUS | BYTES | {"Upload-Offset": str(offset)}


async def test_discovery_is_open_to_guests(guest: httpx.AsyncClient) -> None:
    answer = await guest.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Resumable"] == answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,creation-with-upload,termination,checksum,expiration"
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha1,sha256,md5"
    assert int(answer.headers["Tus-Max-Size"]) >= 20 * 1000**3


async def test_an_upload_from_creation_to_ready(teacher: Teacher) -> None:
    content = film(300_000)
    answer = await teacher.http.post("/v1/uploads", headers=creation(teacher, len(content)))
    assert answer.status_code == 201
    where = answer.headers["Location"]
    assert answer.headers["Upload-Expires"].endswith("GMT")
    first = await teacher.http.patch(where, headers=append(0), content=content[:100_000])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, "100000")
    stands = await teacher.http.head(where, headers=TUS)
    assert stands.status_code == 200
    assert (stands.headers["Upload-Offset"], stands.headers["Upload-Length"]) == ("100000", "300000")
    assert stands.headers["Cache-Control"] == "no-store"
    last = await teacher.http.patch(where, headers=append(100_000), content=content[100_000:])
    assert last.headers["Upload-Offset"] == "300000"
    asset_path = where.replace("uploads", "assets")
    assert (await teacher.http.get(asset_path)).json()["state"] == "checking"
    await settle()
    asset = (await teacher.http.get(asset_path)).json()
    assert {name: asset[name] for name in ("state", "filename", "content_type", "size_bytes", "sha256")} == {
        "state": "ready",
        "filename": "Zahlen.mp4",
        "content_type": "video/mp4",
        "size_bytes": 300_000,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert (await teacher.http.head(where, headers=TUS)).headers["Upload-Offset"] == "300000"


async def test_creation_with_upload(teacher: Teacher) -> None:
    answer = await teacher.http.post("/v1/uploads", headers=creation(teacher, 100) | BYTES, content=film(40))
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "40")


async def test_a_creation_whose_bytes_are_refused_leaves_nothing(teacher: Teacher) -> None:
    async def refused(status: int, content: bytes, **change: str) -> None:
        headers = creation(teacher, 100) | BYTES | change
        problem(await teacher.http.post("/v1/uploads", headers=headers, content=content), status)
        assert await used_bytes(teacher) == 0

    await refused(413, bytes(101))
    await refused(460, film(40), **{"Upload-Checksum": f"md5 {base64.b64encode(bytes(16)).decode()}"})
    await refused(400, film(40), **{"Upload-Checksum": "crc32 AAAA"})


async def test_a_creation_without_the_file_store_says_where_to_go_on(
    teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = film(60)
    async with between(monkeypatch) as proxy:
        proxy.refuses = True
        answer = await teacher.http.post("/v1/uploads", headers=creation(teacher, 60) | BYTES, content=content)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "0")
    again = await teacher.http.patch(answer.headers["Location"], headers=append(0), content=content)
    assert (again.status_code, again.headers["Upload-Offset"]) == (204, "60")


async def test_a_creation_whose_client_leaves_takes_no_room(teacher: Teacher) -> None:
    messages = [{"type": "http.request", "body": film(40), "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there")

    raw = [(name.lower().encode(), value.encode()) for name, value in (creation(teacher, 100) | BYTES).items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/uploads", "query_string": b"", "headers": raw}
    await app_of(teacher.principal)(scope, receive, send)
    assert await used_bytes(teacher) == 0


async def used_bytes(teacher: Teacher) -> int:
    return await pool().fetchval(
        "SELECT coalesce(sum(used_bytes), 0) FROM media.quotas WHERE holder_id = $1", teacher.org_id
    )


async def test_a_repeated_creation_with_a_key_is_the_same_upload(teacher: Teacher) -> None:
    headers = creation(teacher, 100) | BYTES | {"Idempotency-Key": "one"}
    first = await teacher.http.post("/v1/uploads", headers=headers, content=film(40))
    again = await teacher.http.post("/v1/uploads", headers=headers, content=film(40))
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Upload-Offset"] == "40"
    other = await teacher.http.post("/v1/uploads", headers=headers | {"Upload-Length": "99"})
    problem(other, 422, "key-reused")


async def test_a_post_may_stand_for_a_patch(teacher: Teacher) -> None:
    where = await create(teacher, 10)
    answer = await teacher.http.post(where, headers=append(0) | {"X-HTTP-Method-Override": "PATCH"}, content=b"12345")
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, "5")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
async def test_checksums(teacher: Teacher, algorithm: str) -> None:
    where = await create(teacher, 10)
    digest = base64.b64encode(hashlib.new(algorithm, b"12345").digest()).decode()
    checked = append(0) | {"Upload-Checksum": f"{algorithm} {digest}"}
    problem(await teacher.http.patch(where, headers=checked, content=b"1234x"), 460, "checksum-mismatch")
    assert (await teacher.http.head(where, headers=TUS)).headers["Upload-Offset"] == "0"
    assert (await teacher.http.patch(where, headers=checked, content=b"12345")).headers["Upload-Offset"] == "5"


async def test_termination(teacher: Teacher) -> None:
    where = await create(teacher, 10)
    assert (await teacher.http.delete(where, headers=TUS)).status_code == 204
    assert (await teacher.http.head(where, headers=TUS)).status_code == 410
    problem(await teacher.http.patch(where, headers=append(0), content=b"1"), 410, "upload-gone")
    assert (await teacher.http.get(where.replace("uploads", "assets"))).status_code == 404


async def test_a_wrong_offset_is_a_conflict_that_says_where_to_go_on(teacher: Teacher) -> None:
    where = await create(teacher, 10)
    answer = await teacher.http.patch(where, headers=append(3), content=b"1")
    problem(answer, 409, "upload-offset-mismatch")
    assert (answer.headers["Upload-Offset"], answer.headers["Tus-Resumable"]) == ("0", "1.0.0")


BAD: list[tuple[dict[str, str | None], int]] = [
    ({"Tus-Resumable": None}, 412),
    ({"Tus-Resumable": "0.2.2"}, 412),
    ({"Upload-Length": None}, 400),
    ({"Upload-Length": "-1"}, 400),
    ({"Upload-Length": "1e3"}, 400),
    ({"Upload-Defer-Length": "1"}, 400),
    ({"Upload-Metadata": None}, 422),
    ({"Upload-Metadata": "filename not-base64!"}, 400),
    ({"Upload-Metadata": "purpose YQ==,purpose YQ=="}, 400),
    ({"Upload-Length": str(10**15)}, 413),
]


@pytest.mark.parametrize(("change", "status"), BAD)
async def test_bad_creations(teacher: Teacher, change: dict[str, str | None], status: int) -> None:
    headers = creation(teacher, 10) | change
    answer = await teacher.http.post("/v1/uploads", headers={k: v for k, v in headers.items() if v is not None})
    problem(answer, status)


async def test_purposes_and_targets_are_checked(teacher: Teacher) -> None:
    async def refused(status: int, **fields: str) -> None:
        problem(await teacher.http.post("/v1/uploads", headers=creation(teacher, 10, **fields)), status)

    await refused(422, purpose="mischief")
    await refused(422, target="course:everything")
    await refused(422, target="user:me")
    await refused(404, target="course:0198c0de-0000-7000-8000-000000000000")
    other = await new_teacher()
    await refused(404, target=f"course:{other.course_id}")


async def test_bad_appends(teacher: Teacher) -> None:
    where = await create(teacher, 10)

    async def refused(status: int, change: dict[str, str | None], content: bytes = b"1") -> None:
        wanted = {name: value for name, value in (append(0) | change).items() if value is not None}
        problem(await teacher.http.patch(where, headers=wanted, content=content), status)

    await refused(415, {"Content-Type": "video/mp4"})
    await refused(400, {"Upload-Offset": None})
    await refused(400, {"Upload-Checksum": "crc32 AAAA"})
    await refused(400, {"Upload-Checksum": "sha1 AAAA"})
    await refused(413, {}, b"12345678901")
    problem(await teacher.http.get(where, headers=TUS), 405)


async def test_strangers_and_guests_see_nothing(teacher: Teacher, guest: httpx.AsyncClient) -> None:
    where = await create(teacher, 10)
    stranger = (await new_teacher()).http
    assert (await stranger.head(where, headers=TUS)).status_code == 404
    problem(await stranger.patch(where, headers=append(0), content=b"1"), 404)
    problem(await stranger.delete(where, headers=TUS), 404)
    problem(await stranger.get(where.replace("uploads", "assets")), 404)
    problem(await guest.post("/v1/uploads", headers=creation(teacher, 10)), 401)
    problem(await guest.patch(where, headers=append(0), content=b"1"), 401)


async def test_an_empty_file_is_rejected_with_a_reason(teacher: Teacher) -> None:
    where = await create(teacher, 0)
    await settle()
    asset = (await teacher.http.get(where.replace("uploads", "assets"))).json()
    assert (asset["state"], asset["reason"]) == ("rejected", "empty")


async def test_the_bytes_decide_not_the_name(teacher: Teacher) -> None:
    asset_id = await teacher.begin(200)
    await teacher.send(asset_id, (b"<html><script>alert(1)</script>" * 10)[:200])
    await settle()
    asset = (await teacher.http.get(f"/v1/assets/{asset_id}")).json()
    assert (asset["state"], asset["reason"]) == ("rejected", "type-not-allowed")


async def test_the_quota_holds_under_a_race(teacher: Teacher) -> None:
    await choose(teacher.org_id, media__storage_bytes=100)
    answers = await asyncio.gather(*(teacher.http.post("/v1/uploads", headers=creation(teacher, 30)) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 413, 413, 413, 413, 413]
    refused = next(answer for answer in answers if answer.status_code == 413)
    assert problem(refused, 413, "quota-exceeded")["free_bytes"] == 10
    ended = next(answer for answer in answers if answer.status_code == 201)
    await teacher.http.delete(ended.headers["Location"], headers=TUS)
    assert (await teacher.http.post("/v1/uploads", headers=creation(teacher, 40))).status_code == 201
