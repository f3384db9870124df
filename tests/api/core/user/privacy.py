"""What tests of privacy requests do: leave traces, have somebody erased, and search every table and object."""

import os
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from api.core.user.contract import StartErasure
from api.core.user.privacy_request import signing
from cluster.base.ids import new_id
from cluster.base.settings import settings
from cluster.data import s3
from cluster.data.objects import Bucket
from tests.api.learning.course.conftest import Draft
from tests.harness import Hub, Person, School, done


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody who has left traces: a member and instructor, with two enrolments, of which one is completed."""

    person: Person
    name: str
    published: Draft
    completed: str
    active: str

    @property
    def school(self) -> School:
        return self.published.school


async def known(hub: Hub, published: Draft) -> Known:
    person, name = await hub.person("ada"), f"Zephyrine {new_id().hex}"
    profile = await person.get("/v1/users/me")
    done(await person.patch("/v1/users/me", {"name": name}, headers={"If-Match": profile.headers["ETag"]}))
    school = published.school
    done(await person.post("/v1/users/me/verify-email", {"token": await mailed(hub, person)}))
    invited = {"organization_id": str(school.org_id), "email": person.email}
    token = done(await school.owner.post("/v1/invitations", invited), 201)["token"]
    done(await person.post("/v1/invitations/-/accept", {"token": token}))
    done(await school.owner.put(f"{published.path}/staff/{person.id}", {"role": "instructor"}))
    run = done(await school.owner.post("/v1/runs", {"course_id": published.id, "title": "Second"}), 201)
    await hub.settle()
    runs = (published.course["default_run_id"], run["id"])
    enrolled = [done(await person.post("/v1/enrollments", {"run_id": run_id}), 201)["id"] for run_id in runs]
    await hub.settle()
    for block in await texts_of(published):
        done(await person.post("/v1/completions", {"enrollment_id": enrolled[0], "block_id": block}))
    await hub.settle()
    states = [done(await person.get(f"/v1/enrollments/{id}"))["state"] for id in enrolled]
    assert states == ["completed", "active"]
    return Known(person, name, published, *enrolled)


async def texts_of(published: Draft) -> list[str]:
    return [str(row["id"]) for row in await rows(_TEXTS, UUID(published.id))]


_TEXTS = "SELECT id FROM content.blocks WHERE course_id = $1 AND type = 'text' AND deleted_at IS NULL"


async def mailed(hub: Hub, person: Person) -> str:
    letters = done(await hub.guest.get("/v1/identities/-/mails", params={"limit": 100}))["items"]
    return next(letter["token"] for letter in letters if letter["to"] == person.email)


async def rows(sql: str, *args: object) -> list[Any]:
    """Ask as the administrator, who sees every schema."""
    connection = await asyncpg.connect(os.environ["HUB_POSTGRES_URL"])
    try:
        return await connection.fetch(sql, *args)
    finally:
        await connection.close()


async def columns_with(text: str) -> set[str]:
    """Return each column, of every table, in which this text stands."""
    columns = await rows(
        """SELECT quote_ident(n.nspname) AS schema, quote_ident(c.relname) AS table, quote_ident(a.attname) AS column
           FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
             AND n.nspname NOT IN ('pg_catalog', 'information_schema')"""
    )
    each = " UNION ALL ".join(
        f"SELECT '{r[0]}.{r[1]}.{r[2]}' AS place WHERE EXISTS "  # noqa: S608
        f"(SELECT FROM {r[0]}.{r[1]} AS t WHERE strpos(lower(t.{r[2]}::text), lower($1)) > 0)"
        for r in columns
    )
    return {row["place"] for row in await rows(each, text)}


async def objects_with(*texts: str) -> set[str]:
    """Return each object, of every bucket of this stack, in whose key or bytes one of these texts stands."""
    found: set[str] = set()
    buckets = await s3.control((await s3.client()).list_buckets)
    for name in (each.get("Name", "") for each in buckets.get("Buckets", [])):
        if not name.startswith(settings().stack.replace("_", "-")):
            continue
        async for stored in Bucket(name).list():
            content = await Bucket(name).read(stored.key)
            if any(text.encode() in content or text in stored.key for text in texts):
                found.add(f"{name}/{stored.key}")
    return found


async def begun(hub: Hub, person: Person, **fields: Any) -> dict[str, Any]:
    """Ask for an erasure, and let 14 days pass."""
    request = done(await person.post("/v1/privacy-requests", {"kind": "erasure", **fields}), 201)
    cooling = done(await person.post(f"/v1/privacy-requests/{request['id']}/confirm"))
    assert cooling["state"] == "cooling"
    await hub.due_now(StartErasure.dedupe(UUID(request["id"])))
    await hub.settle()
    return request


async def erased(hub: Hub, person: Person, **fields: Any) -> dict[str, Any]:
    """Have somebody erased, and return the report as the holder of its token sees it."""
    request = await begun(hub, person, **fields)
    return signing.verified(done(await hub.guest.get(request["report_url"]))["jws"], "privacy-report+jws")


def parts_of(report: dict[str, Any]) -> dict[str, str]:
    return {part["service"]: part["outcome"] for part in report["parts"]}
