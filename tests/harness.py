"""What tests act with: the whole platform over ASGI, people who are signed in, and events delivered at the worst."""

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import httpx
import msgspec

from actors import performers, resync
from cluster import events
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import PLATFORM, platform
from cluster.base.registry import load
from cluster.base.services import table
from cluster.data import Connection, postgres, read, write
from cluster.data.postgres import StatementCounter, pool
from cluster.events import Envelope, inbox, kafka
from cluster.host import ServiceHost
from cluster.http import Limits
from cluster.jobs import CronSlot, enqueue_as, job_type
from cluster.jobs.lanes import Slots
from cluster.jobs.run import run as run_job
from cluster.jobs.run import run_due_jobs, take
from cluster.people import erasure, export, identity
from cluster.people.erasure import Erasing, PartDone
from cluster.people.export import ExportedFile, ExportedRow, ExportedTable
from cluster.people.requests import register
from cluster.signals import broadcast, outbox, rooms
from tests.at_once import at_once
from tests.declared_problems import refuse_undeclared

T = TypeVar("T")
PASSWORD = "a long enough sentence"


class Person:
    """Somebody with an account; requests carry their access token. A guest has neither.

    A problem that its route does not declare fails the test.
    """

    def __init__(self, client: httpx.AsyncClient, id: UUID | None, email: str) -> None:
        self.client = client
        self.email = email
        self._id = id

    @property
    def id(self) -> UserId:
        assert self._id is not None, "a guest has no id"
        return UserId(self._id)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, **options)

    async def all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Return every item of a list, page by page."""
        page = done(await self.get(path, params=params))
        items: list[dict[str, Any]] = page["items"]
        while page["next_cursor"] is not None:
            page = done(await self.get(path, params={**params, "cursor": page["next_cursor"]}))
            items += page["items"]
        return items

    async def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return await self.client.post(path, json=json, **options)

    async def patch(self, path: str, json: Any, **options: Any) -> httpx.Response:
        return await self.client.patch(path, json=json, **options)

    async def put(self, path: str, json: Any, **options: Any) -> httpx.Response:
        return await self.client.put(path, json=json, **options)

    async def delete(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.delete(path, **options)


@dataclass(frozen=True, slots=True)
class School:
    """An organization and its owner."""

    owner: Person
    org_id: OrgId


@dataclass(frozen=True, slots=True)
class Exported:
    """What a service exports about a person: rows by table, and files."""

    rows: dict[str, list[dict[str, Any]]]
    files: list[ExportedFile]


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as the laptop's mailbox shows it."""

    id: str
    to: str
    subject: str
    text: str
    fields: dict[str, str]

    @property
    def token(self) -> str:
        """What its link ends with."""
        return self.fields["url"].rpartition("#")[2]


def done(response: httpx.Response, status: int = 200) -> Any:
    """Return the JSON of an answer that must have this status."""
    assert response.status_code == status, f"{response.status_code} instead of {status}: {response.text}"
    return response.json() if response.content else None


def problem(response: httpx.Response, status: int, slug: str | None = None) -> dict[str, Any]:
    """Return the problem document of an answer that must be one."""
    assert response.status_code == status, f"{response.status_code} instead of {status}: {response.text}"
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == status
    assert document["trace_id"]
    if slug is not None:
        assert document["type"] == f"/problems/{slug}", document
    return document


class Hub:
    """All services in one host, on real PostgreSQL, Valkey and S3; Kafka is taken out: `settle` delivers."""

    def __init__(self) -> None:
        self.services = tuple(table())
        # A busy machine is no fault of what waits.
        self.host = ServiceHost(self.services, wait_s=30.0, limits=Limits(target_lag_s=30.0))
        self.guest = Person(self._client(), None, "")
        self.statements: Callable[[], AbstractContextManager[StatementCounter]] = postgres.count_statements

    async def start(self) -> None:
        await self.host.start()
        # People of a whole module are signed in once, and a busy machine takes longer over it than a token lives.
        identity.ACCESS_TOKEN_LIFETIME_S = 3600
        load(self.services, "handlers", "jobs")
        register(self.services)
        performers.load()
        resync.declare_jobs(self.services)

    async def stop(self) -> None:
        await self.host.stop()

    def _client(self, token: str | None = None) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.host, raise_app_exceptions=False),
            base_url="http://hub.test",
            # Uncompressed: the ETag is then the version alone.
            headers={"Accept-Encoding": "identity"} | ({} if token is None else {"Authorization": f"Bearer {token}"}),
            timeout=30,
            event_hooks={"response": [refuse_undeclared]},
        )

    async def person(self, name: str = "somebody") -> Person:
        """Sign somebody new up and in."""
        email = f"{name}-{new_id().hex[-12:]}@people.example"
        user = done(
            await self.guest.post("/v1/users", {"email": email, "password": PASSWORD, "name": name.title()}), 201
        )
        session = done(await self.guest.post("/v1/sessions", {"email": email, "password": PASSWORD}), 201)
        return self.signed_in(session["access_token"], UUID(user["id"]), email)

    def signed_in(self, access_token: str, id: UUID, email: str) -> Person:
        """Return whoever holds this token."""
        return Person(self._client(access_token), id, email)

    async def school(self, name: str = "school", owner: Person | None = None) -> School:
        """Make an organization with an owner."""
        owner = owner or await self.person("owner")
        slug = f"{name}-{new_id().hex[-12:]}"
        organization = done(await owner.post("/v1/organizations", {"name": name.title(), "slug": slug}), 201)
        return School(owner, OrgId(UUID(organization["id"])))

    async def letters(self, to: str) -> list[Letter]:
        """Return the letters to an address, the newest first, after those that wait in auth and organization came to email."""
        await run_due_jobs(("auth", "organization"))
        page = done(await self.guest.get("/v1/emails/-/mailbox", params={"limit": 100}))
        return [
            Letter(*(each[name] for name in ("id", "to", "subject", "text", "fields")))
            for each in page["items"]
            if each["to"] == to
        ]

    async def settle(self) -> None:
        """Deliver what waits in the outbox (each event twice, keys interleaved) and run due jobs, until nothing is left."""
        for _ in range(50):
            envelopes = await self._take()
            for service in events.listening_services():
                heard = events.topics_of(service)
                for batch in _interleaved([e for e in envelopes if kafka.topic(e.source) in heard]):
                    receipt = await inbox.receive(service, batch)
                    assert not receipt.parked, await self._why_parked(service)
            ran = await run_due_jobs()
            if not envelopes and not ran:
                return
        raise AssertionError("events and jobs cause each other without end")

    async def old_news(self, event: object, version: int) -> None:
        """Deliver an event to its handlers once more, as news of this version that come late under an id of their own."""
        envelope = events.envelope_of(event, version=version, id=new_id())
        for service in events.listening_services():
            receipt = await inbox.receive(service, [envelope])
            assert not receipt.parked, await self._why_parked(service)

    async def events(self, *types: str) -> list[Envelope]:
        """Return the envelopes of these types that wait in the outbox, without taking them."""
        async with pool().acquire() as raw:
            rows = await Connection(raw).rows("SELECT envelope FROM hub.outbox ORDER BY seq")
        envelopes = [Envelope.decode(row["envelope"]) for row in rows if '"specversion"' in row["envelope"]]
        return [envelope for envelope in envelopes if not types or envelope.type in types]

    async def due_now(self, dedupe: str) -> None:
        """Make the waiting job with this text due, as if its time had come."""
        async with pool().acquire() as raw:
            await Connection(raw).run(
                "UPDATE hub.jobs SET due_at = now() WHERE dedupe = $1 AND state = 'queued'", dedupe
            )

    async def run_cron(self, name: str) -> None:
        """Run the periodic job of this name once, as if its time had come, and return when it has ended."""
        async with write(PLATFORM) as tx:
            now = tx.now
        await self._run_job(name, CronSlot(at=now))

    async def at_once(self, *races: Coroutine[Any, Any, T]) -> list[T]:
        """Run all beside each other and return their results in order.

        Each runs to its first write transaction and waits there until the others have come to theirs, or have ended: so all have
        read, permitted and called before one of them writes.
        """
        return await at_once(*races)

    async def erased(
        self, user_id: UserId, service: str, *, org_id: OrgId | None = None, addresses: Collection[str] = ()
    ) -> PartDone:
        """Have one service erase its part about a person, by its `privacy.py`, and return what it tells of it.

        With an organization: what that organization keeps. What follows by events and jobs comes with `settle`.
        """
        request = Erasing(request_id=new_id(), user_id=user_id, org_id=org_id, addresses=list(addresses))
        async with write(platform(erasure.OWNER)) as tx:
            await erasure.prepare(tx, request)
        kind = f"{service}.erase"
        await self._run_job(kind, job_type(kind).python(request_id=request.request_id, round=1))
        return await self._part_done(service, request.request_id)

    async def exported(self, user_id: UserId, service: str, *, org_id: OrgId | None = None) -> Exported:
        """Have one service export its part about a person, by its `privacy.py`, and return it."""
        request_id, kind = new_id(), f"{service}.export"
        await self._run_job(kind, job_type(kind).python(request_id=request_id, user_id=user_id, org_id=org_id))
        assert (await self._part_done(service, request_id)).outcome == "done"
        found, table = Exported({}, []), ""
        async for line in export.part(request_id, service):
            match line:
                case ExportedFile():
                    found.files.append(line)
                case ExportedTable(table=table):
                    found.rows.setdefault(table, [])
                case ExportedRow(values):
                    found.rows[table].append(values)
        await export.exports().delete([export.key_of(request_id, service)])
        return found

    async def _part_done(self, service: str, request_id: UUID) -> PartDone:
        told = await self.events(f"{service}.privacy_part_done")
        (payload,) = [each.payload for each in told if each.subject == str(request_id)]
        return msgspec.convert(payload, PartDone, strict=False)

    async def _run_job(self, kind: str, args: object) -> None:
        """Run one job now, with those of its kind that are due, and return when it has succeeded."""
        declared = job_type(kind)
        async with write(platform(declared.service)) as tx:
            id = enqueue_as(tx, declared, args)
        for taken in await take({kind: 100}, Slots(shared=100)):
            await run_job(taken)
        async with read() as db:
            found = [tuple(row) for row in await db.rows("SELECT state, last_error FROM hub.jobs WHERE id = $1", id)]
        assert found == [("succeeded", None)], found

    async def broadcasts_arrived(self) -> None:
        """Wait until every broadcast sent so far has reached this process."""
        arrived = asyncio.Event()
        token = new_id().hex

        async def hear(message: dict[str, Any]) -> None:
            if message["token"] == token:
                arrived.set()

        broadcast.listen("test", hear)
        async with write(PLATFORM) as tx:
            broadcast.announce(tx, "test", {"token": token})
        await asyncio.wait_for(arrived.wait(), 5)

    async def _take(self) -> list[Envelope]:
        async with pool().acquire() as raw:
            db = Connection(raw)
            broadcasts = await outbox.next_broadcasts(db, range(16), 10_000)
            await rooms.send_waiting(broadcasts)
            waiting = await outbox.next_events(db, range(16), 10_000)
            await outbox.delete(db, [*waiting, *broadcasts])
        return [Envelope.decode(row.envelope) for row in waiting]

    async def _why_parked(self, service: str) -> str:
        async with pool().acquire() as raw:
            return str(
                await Connection(raw).value("SELECT last_error FROM hub.parked_keys WHERE consumer = $1", service)
            )


def _interleaved(envelopes: Sequence[Envelope]) -> list[list[Envelope]]:
    """Deal events into batches: order kept per subject, subjects mixed, everything delivered a second time."""
    by_subject: dict[str, list[Envelope]] = {}
    for envelope in envelopes:
        by_subject.setdefault(envelope.subject, []).append(envelope)
    mixed: list[Envelope] = []
    queues = list(by_subject.values())
    while queues:
        queue = random.choice(queues)
        mixed.append(queue.pop(0))
        if not queue:
            queues.remove(queue)
    batches = [mixed[start : start + 7] for start in range(0, len(mixed), 7)]
    return [*batches, *batches]
