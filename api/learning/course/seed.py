"""The demo school's course."""

from cluster.seed import School, made

AFTER = ("user", "organization")
SLUG = "how-films-are-made"


async def seed(school: School) -> None:
    organization_id = school.made["organization"]
    courses = await made(await school.owner.client.get("/v1/courses", params={"organization_id": organization_id}))
    course = next((course for course in courses["items"] if course["slug"] == SLUG), None)
    if course is None:
        course = await made(
            await school.owner.client.post(
                "/v1/courses",
                json={
                    "organization_id": organization_id,
                    "title": "How films are made",
                    "slug": SLUG,
                    "summary": "A short course with a short film: watch it, read about it, and you have finished.",
                    "language": "en",
                    "categories": ["arts"],
                    "tags": ["film", "demo"],
                },
            )
        )
        staff = f"/v1/courses/{course['id']}/staff/{school.teacher.id}"
        await made(await school.owner.client.put(staff, json={"role": "instructor"}))
    school.made["course"] = course["id"]
