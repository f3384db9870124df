"""The demo course's outline: a module, a lesson, a text, and the demo film if there is one. Then the course is published."""

from typing import Any

from cluster.seed import School, made

AFTER = ("course", "video_processing")

_MARKDOWN = """# Twenty-four pictures a second

A film is a row of still pictures. Shown fast enough, the eye takes them for **movement**:

| frames per second | what one sees |
|---|---|
| 8 | single pictures |
| 16 | jerky movement |
| 24 | film |

A film of $t$ seconds has $24 \\cdot t$ pictures.
"""


async def seed(school: School) -> None:
    client = school.teacher.client
    course_id = school.made["course"]
    listed = await made(await client.get("/v1/blocks", params={"course_id": course_id}))

    async def block(parent_id: str | None, type: str, title: str, body: dict[str, Any] | None = None) -> str:
        new = {"course_id": course_id, "parent_id": parent_id, "type": type, "title": title, "body": body}
        return (await made(await client.post("/v1/blocks", json=new)))["id"]

    if not listed["items"]:
        lesson = await block(await block(None, "module", "The basics"), "lesson", "What a film is")
        await block(lesson, "text", "Twenty-four pictures a second", {"markdown": _MARKDOWN})
        if "video" in school.made:
            await block(lesson, "video", "See it move", {"video_id": school.made["video"]})
    course = await made(await client.get(f"/v1/courses/{course_id}"))
    if course["published_revision"] is None:
        await made(await client.post(f"/v1/courses/{course_id}/publish"))
