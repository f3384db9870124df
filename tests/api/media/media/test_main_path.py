"""The teacher's film, through the edge, with a real account, course and grant."""

import hashlib

from tests.harness import Hub, done, problem

from .conftest import film
from .test_protocol import BYTES, TUS, metadata


async def test_a_teacher_uploads_a_film_for_a_course_made_a_moment_ago(hub: Hub) -> None:
    school = await hub.school()
    wanted = {"organization_id": str(school.org_id), "title": "Zahlen", "summary": "", "language": "de"}
    course = done(await school.owner.post("/v1/courses", wanted), 201)
    content = film(50_000)
    described = metadata(
        filename="Zahlen.mp4", filetype="video/mp4", purpose="course-media", target=f"course:{course['id']}"
    )
    headers = TUS | {"Upload-Length": str(len(content)), "Upload-Metadata": described}
    created = await school.owner.post("/v1/uploads", headers=headers)
    assert created.status_code == 201, created.text
    where = created.headers["Location"]
    sent = await school.owner.client.patch(where, headers=TUS | BYTES | {"Upload-Offset": "0"}, content=content)
    assert sent.status_code == 204, sent.text
    await hub.settle()
    asset = done(await school.owner.get(where.replace("uploads", "assets")))
    assert (asset["state"], asset["sha256"]) == ("ready", hashlib.sha256(content).hexdigest())
    stranger = await hub.person()
    problem(await stranger.get(f"/v1/assets/{asset['id']}"), 404)
    problem(await hub.guest.get(f"/v1/assets/{asset['id']}"), 401)
    problem(await stranger.post("/v1/uploads", headers=headers), 404)
    assert (await hub.guest.client.options("/v1/uploads")).status_code == 204
    assert [
        item["id"] for item in done(await school.owner.get(f"/v1/assets?target=course:{course['id']}"))["items"]
    ] == [asset["id"]]
