"""A small service, complete enough to show every rule of the wire."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from cluster.base.ids import new_id
from cluster.base.principal import PLATFORM, Principal
from cluster.base.problems import Conflict, NotFound, Stale
from cluster.data import read, write
from cluster.http import (
    Body,
    Caller,
    Edge,
    IfMatch,
    Limits,
    Page,
    Paging,
    Patch,
    Router,
    Several,
    build_app,
    once,
    set_etag,
)
from cluster.people import door
from cluster.people.door import DoorRules, Rules

Adopt = Callable[[DoorRules], None]


class TitleTaken(Conflict):
    title = "Title is taken"


@dataclass(frozen=True, slots=True)
class Thing:
    id: UUID
    title: str
    version: int
    small: int | None


class NewThing(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "A thing"}]})
    title: Annotated[str, Field(min_length=1, max_length=20)]
    small: int | None = None


class ThingChanges(Patch):
    title: Annotated[str, Field(max_length=20, examples=["Another"])] = ""
    small: int | None = None
    at: AwareDatetime | None = None


class ThingView(BaseModel):
    id: UUID
    title: str
    version: int
    small: int | None


router = Router("toy")


async def _insert(caller: Principal, new: NewThing) -> Thing:
    id = new_id()
    async with write(caller, result=id, status=201) as tx:
        return await tx.one(
            Thing,
            "INSERT INTO toy.things (id, title, small) VALUES ($1, $2, $3) RETURNING id, title, version, small",
            id,
            new.title,
            new.small,
        )


async def find_thing(id: UUID) -> Thing:
    async with read() as db:
        thing = await db.maybe(Thing, "SELECT id, title, version, small FROM toy.things WHERE id = $1", id)
    if thing is None:
        raise NotFound("no such thing")
    return thing


def _view(thing: Thing) -> ThingView:
    return ThingView(id=thing.id, title=thing.title, version=thing.version, small=thing.small)


@router.post("/v1/things", status_code=201, raises=(TitleTaken,), public=True)
async def create_thing(caller: Caller, new: NewThing, response: Response) -> ThingView:
    """Create a thing."""
    thing = await once(response, lambda: _insert(caller, new), again=find_thing)
    set_etag(response, thing.version)
    return _view(thing)


@router.get("/v1/things")
async def list_things(
    paging: Paging, sort: Annotated[str, Query(pattern="^-?title$")] = "title", id: Several[UUID] = None
) -> Page[ThingView]:
    after = paging.after(str, sort=sort, id=id)
    async with read() as db:
        rows = await db.all(
            Thing,
            "SELECT id, title, version, small FROM toy.things WHERE title > $1 AND ($2::uuid[] IS NULL OR id = ANY($2)) "
            "ORDER BY title LIMIT $3",
            after[0] if after else "",
            id,
            paging.limit + 1,
        )
    return paging.page(rows, key=lambda row: row.title, render=_view)


@router.get("/v1/things/{thing_id}")
async def get_thing(thing_id: UUID, response: Response) -> ThingView:
    thing = await find_thing(thing_id)
    set_etag(response, thing.version)
    return _view(thing)


@router.patch("/v1/things/{thing_id}")
async def change_thing(thing_id: UUID, changes: ThingChanges, version: IfMatch, response: Response) -> ThingView:
    thing = await find_thing(thing_id)
    if thing.version != version:
        raise Stale(thing.version)
    sent = changes.changes()
    async with write(PLATFORM) as tx:
        thing = await tx.one(
            Thing,
            "UPDATE toy.things SET title = $2, small = $3, version = version + 1 WHERE id = $1 "
            "RETURNING id, title, version, small",
            thing_id,
            sent.get("title", thing.title),
            sent.get("small", thing.small),
        )
    set_etag(response, thing.version)
    return _view(thing)


@router.get("/v1/things/{thing_id}/caller")
async def show_caller(thing_id: UUID, caller: Caller) -> dict[str, Any]:
    return {"kind": caller.kind, "id": caller.id}


@router.get("/v1/things/me/private")
async def show_private(caller: Caller) -> dict[str, Any]:
    return {"id": caller.person()}


@dataclass(slots=True)
class Gate:
    """Holds handlers until a test lets them go."""

    entered: asyncio.Event
    open: asyncio.Event


gate = Gate(asyncio.Event(), asyncio.Event())


@router.post("/v1/things/{thing_id}/wait")
async def wait_for_gate(thing_id: UUID) -> dict[str, bool]:
    gate.entered.set()
    await gate.open.wait()
    async with write(PLATFORM) as tx:
        await tx.run("INSERT INTO toy.things (id, title) VALUES ($1, 'waited')", thing_id)
    return {"waited": True}


@router.post("/v1/things/me/sign-in", public=True, signs_in=True)
async def sign_in() -> dict[str, bool]:
    return {"signed_in": True}


@router.get("/v1/things/me/stream")
async def stream() -> StreamingResponse:
    async def events() -> AsyncIterator[bytes]:
        yield b": hello\n\n"
        gate.entered.set()
        await gate.open.wait()

    return StreamingResponse(events(), media_type="text/event-stream")


@router.get(
    "/v1/things/me/old", deprecated_since=datetime(2026, 1, 1, tzinfo=UTC), sunset=datetime(2027, 1, 1, tzinfo=UTC)
)
async def old() -> None:
    raise NotFound("no more")


@router.get("/v1/things/me/sleep")
async def sleep() -> None:
    async with read() as db:
        gate.entered.set()
        await db.value("SELECT pg_sleep(60)")


@router.get("/v1/things/me/timeout")
async def time_out() -> None:
    async with write(PLATFORM) as tx:
        await tx.run("SET LOCAL statement_timeout = 20")
        await tx.value("SELECT pg_sleep(60)")


@router.get("/v1/things/me/break/{how}")
async def break_down(how: str) -> None:
    raise {
        "bug": lambda: RuntimeError("secret: 1234"),
        "postgres": lambda: asyncpg.CannotConnectNowError("the database system is starting up"),
        "refused": lambda: ConnectionRefusedError(111, "refused"),
        "timeout": TimeoutError,
        "cancelled": lambda: asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        "pool": lambda: asyncpg.InterfaceError("pool is closing"),
        "idle": lambda: asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        "misuse": lambda: asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    }[how]()


async def upload(scope: Any, receive: Any, send: Any) -> None:
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    if scope["path"].endswith("/broken"):
        raise RuntimeError("broken")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(size).encode()})


router.mount_asgi("/v1/uploads", upload)


def client_of(edge: Edge, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(edge, raise_app_exceptions=False), base_url="http://hub.test", headers=headers
    )


def new_edge(limits: Limits | None = None) -> Edge:
    return Edge(build_app([router]), limits)


@pytest.fixture(autouse=True)
def adopt(monkeypatch: pytest.MonkeyPatch) -> Adopt:
    """Let rules of the door hold in this process as long as the test; until it says which, those of a new platform.

    What gateway's tests left in this database would hold else, if they ran before in this process: no rules are newer than these.
    """

    def hold(rules: DoorRules) -> None:
        monkeypatch.setattr(door, "_rules", Rules(replace(rules, version=2**62)))

    hold(DoorRules(version=0))
    return hold


@pytest.fixture
async def toy(process: None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the small service behind the edge; its table is empty."""
    gate.entered.clear()
    gate.open.clear()
    async with write(PLATFORM) as tx:
        await tx.run("DELETE FROM toy.things")
    async with client_of(new_edge()) as client:
        yield client
