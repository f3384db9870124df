"""What tests of privacy requests do: leave traces, have somebody erased, and search every table, object and key."""

import hashlib
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from api.core.user.contract import StartErasure
from api.core.user.privacy_request import signing
from api.learning.content.contract import BlockId
from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.watching import cache
from api.learning.progress.watching.rules import Watched
from cluster.base.ids import new_id
from cluster.base.settings import settings
from cluster.data import s3
from cluster.data.objects import Bucket, bucket
from cluster.signals import redis
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
    return (await hub.letters(person.email))[0].token


async def rows(sql: str, *args: object) -> list[Any]:
    """Ask as the administrator, who sees every schema."""
    connection = await asyncpg.connect(os.environ["HUB_POSTGRES_URL"])
    try:
        return await connection.fetch(sql, *args)
    finally:
        await connection.close()


async def watched(person: Person, published: Draft, enrollment_id: str) -> None:
    """Let somebody have watched a film a moment ago: it stands in Redis alone."""
    fresh = Watched(
        enrollment_id=EnrollmentId(UUID(enrollment_id)),
        block_id=BlockId(new_id()),
        video_id=new_id(),
        org_id=published.school.org_id,
        course_id=UUID(published.id),
        run_id=UUID(published.course["default_run_id"]),
        user_id=person.id,
        block_version=1,
        min_ratio=None,
        duration_ms=60_000,
        ranges=(),
        position_ms=0,
        credit_ms=0,
        heard_at=datetime.now(UTC),
    )

    async def nothing() -> None: ...

    await cache.update(fresh, nothing, lambda seen: replace(seen, ranges=((0, 1000),)))


async def own_file(person: Person, name: str, content: bytes, org_id: UUID | None = None) -> str:
    """Give somebody a file of their own, or one that they uploaded to an organization; return the key of its object."""
    id = new_id()
    key = f"{id}/{new_id().hex}"
    await bucket("media").put(key, content)
    await rows(
        """INSERT INTO media.assets (id, org_id, owner_id, holder_id, purpose, filename, content_type, size_bytes, state,
               sha256, object_key, created_at)
           VALUES ($1, $2, $3, $8, 'note', $4, 'text/plain', $5, 'ready', $6, $7, now())""",
        *(id, org_id, person.id, name, len(content), hashlib.sha256(content).hexdigest(), key, org_id or person.id),
    )
    thing = "INSERT INTO hub.things (kind, id, org_id, state, version, idle_since) VALUES ('asset', $1, $2, 'ready', 1, now())"
    await rows(thing, id, org_id)
    return key


async def keys_with(*texts: str) -> set[str]:
    """Return each key of Redis, of this stack, in whose name or value one of these texts stands."""
    needles = [form for text in texts for form in _forms(text)]
    client: Any = redis.redis()
    found: set[str] = set()
    async for key in client.scan_iter(match=f"*{settings().stack}*", count=1000):
        content = key + b" " + await _dumped(client, key)
        if any(needle in content for needle in needles):
            found.add(key.decode())
    return found


def _forms(text: str) -> list[bytes]:
    """Return how a text stands in bytes; an id may stand as 16 of them."""
    try:
        return [text.encode(), UUID(text).hex.encode(), UUID(text).bytes]
    except ValueError:
        return [text.encode()]


async def _dumped(client: Any, key: bytes) -> bytes:
    """Return the value of a key, whatever its type."""
    match await client.type(key):
        case b"hash":
            value = await client.hgetall(key)
        case b"zset":
            value = await client.zrange(key, 0, -1)
        case b"set":
            value = await client.smembers(key)
        case b"list":
            value = await client.lrange(key, 0, -1)
        case b"stream":
            value = await client.xrange(key)
        case _:
            value = await client.get(key)
    return _flat(value)


def _flat(value: Any) -> bytes:
    match value:
        case bytes():
            return value
        case dict():
            return b" ".join(_flat(each) for pair in value.items() for each in pair)
        case list() | tuple() | set():
            return b" ".join(_flat(each) for each in value)
        case _:
            return str(value).encode()


async def columns_with(text: str) -> set[str]:
    """Return each column, of every table, in which this text stands, in binary columns too."""
    columns = await rows(
        """SELECT quote_ident(n.nspname) AS schema, quote_ident(c.relname) AS table, quote_ident(a.attname) AS column
           FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
             AND n.nspname NOT IN ('pg_catalog', 'information_schema')"""
    )
    each = " UNION ALL ".join(
        f"SELECT '{r[0]}.{r[1]}.{r[2]}' AS place WHERE EXISTS "  # noqa: S608
        f"(SELECT FROM {r[0]}.{r[1]} AS t, unnest($1::text[]) AS form WHERE strpos(lower(t.{r[2]}::text), form) > 0)"
        for r in columns
    )
    forms = [text.lower(), *(form.hex() for form in _forms(text))]
    return {row["place"] for row in await rows(each, forms)}


async def objects_with(*texts: str) -> set[str]:
    """Return each object, of every bucket of this stack, in whose key or bytes one of these texts stands."""
    found: set[str] = set()
    buckets = await s3.control((await s3.client()).list_buckets)
    for name in (each.get("Name", "") for each in buckets.get("Buckets", [])):
        if not name.startswith(settings().stack.replace("_", "-")):
            continue
        async for stored in Bucket(name).list():
            content = await Bucket(name).read(stored.key)
            if any(form in content or form in stored.key.encode() for text in texts for form in _forms(text)):
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
