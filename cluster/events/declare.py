"""Events: what happened, told to whoever listens. State and its event commit together.

On the wire an event is a CloudEvents 1.0 JSON document; its extension attributes are lower-case letters and digits,
as that specification wants (section 3.1): `orgid`, `subjectversion`, `schemaversion`, `actorkind`, `actorid`,
`actingfor`, `actorservice`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
import orjson

from cluster.base import telemetry
from cluster.base.ids import OrgId, UserId, new_id
from cluster.base.principal import Kind, Principal, platform
from cluster.base.services import service_of, table
from cluster.data import Transaction
from cluster.events import kafka
from cluster.signals import outbox

E = TypeVar("E")
C = TypeVar("C", bound=type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who caused it. `acting_for` is set while `id` impersonates somebody; `service` when the platform acted."""

    kind: Kind
    id: UserId | None = None
    acting_for: UserId | None = None
    service: str | None = None

    @classmethod
    def of(cls, principal: Principal) -> "Actor":
        return cls(kind=principal.kind, id=principal.id, acting_for=principal.acting_for, service=principal.service)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An event without its Python type: what audit, analytics and webhooks live on."""

    id: UUID
    type: str
    source: str
    """The service that speaks."""
    subject: str
    """The aggregate's id: events of one subject arrive in order."""
    version: int
    """The aggregate's version after the change."""
    org_id: OrgId | None
    actor: Actor
    time: datetime
    traceparent: str | None
    schema_version: int
    payload: dict[str, Any]

    def encode(self) -> str:
        """Write the CloudEvents JSON document."""
        document = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time,
            "datacontenttype": "application/json",
            "orgid": self.org_id,
            "subjectversion": self.version,
            "schemaversion": self.schema_version,
            "actorkind": self.actor.kind,
            "actorid": self.actor.id,
            "actingfor": self.actor.acting_for,
            "actorservice": self.actor.service,
            "traceparent": self.traceparent,
        }
        present = {name: value for name, value in document.items() if value is not None}
        # default: ids that asyncpg read are of a subclass of UUID, which orjson does not take for one.
        return orjson.dumps(present | {"data": self.payload}, default=str, option=orjson.OPT_UTC_Z).decode()

    @classmethod
    def decode(cls, document: bytes | str) -> "Envelope":
        """Read the CloudEvents JSON document; unknown attributes are ignored.

        Raises:
            ValueError: it is not one of ours.
        """
        read = _decoder.decode(document)
        if "\0" in read.subject:
            # The database would refuse it as a key, and a batch that cannot be taken over comes again for ever.
            raise ValueError("not an event of ours: its subject has the character U+0000")
        return cls(
            id=read.id,
            type=read.type,
            source=read.source,
            subject=read.subject,
            version=read.subjectversion,
            org_id=read.orgid,
            actor=Actor(
                kind=cast(Kind, read.actorkind),
                id=read.actorid,
                acting_for=read.actingfor,
                service=read.actorservice,
            ),
            time=read.time,
            traceparent=read.traceparent,
            schema_version=read.schemaversion,
            payload=read.data,
        )


class _Document(msgspec.Struct, frozen=True, gc=False):
    """What of a CloudEvents document becomes an `Envelope`."""

    id: UUID
    type: str
    source: str
    subject: str
    subjectversion: int
    schemaversion: int
    actorkind: str
    time: datetime
    data: dict[str, Any]
    orgid: OrgId | None = None
    actorid: UserId | None = None
    actingfor: UserId | None = None
    actorservice: str | None = None
    traceparent: str | None = None


_decoder = msgspec.json.Decoder(_Document)


@dataclass(frozen=True, slots=True)
class EventType:
    """What `@event` declared."""

    name: str
    python: type
    subject: str
    schema_version: int
    service: str

    def decode(self, envelope: Envelope) -> Any:
        """Make the dataclass: unknown fields are dropped, missing ones take their defaults.

        Raises:
            msgspec.ValidationError: a field without default is missing, or a value does not fit.
        """
        return msgspec.convert(envelope.payload, self.python, strict=False)


_types: dict[str, EventType] = {}
_by_class: dict[type, EventType] = {}


def event(name: str, *, subject: str, schema_version: int = 1, service: str | None = None) -> Callable[[C], C]:
    """Declare the frozen dataclass below to be the event `name`; `subject` is the field with the aggregate's id.

    The class belongs to the service whose `contract.py` holds it; `service` says so elsewhere (tests).
    """

    def declare(python: C) -> C:
        fields: set[str] = set(getattr(python, "__dataclass_fields__", ()))
        if not {subject, "org_id"} <= fields:
            raise TypeError(f"{python.__name__}: an event is a dataclass with the fields {subject} and org_id")
        known = _types.get(name)
        if known is not None and known.python.__qualname__ != python.__qualname__:
            raise TypeError(f"{python.__name__}: the name {name} is taken by {known.python.__name__}")
        kind = EventType(name, python, subject, schema_version, service or service_of(python).name)
        _types[name] = kind
        _by_class[python] = kind
        return python

    return declare


def event_types() -> list[EventType]:
    """Return every event declared in the modules imported so far, by name."""
    return [_types[name] for name in sorted(_types)]


def event_type(name: str) -> EventType | None:
    return _types.get(name)


def type_of(event_class: type) -> EventType:
    """Return what was declared about an event's class.

    Raises:
        KeyError: it is not declared with `@event`.
    """
    return _by_class[event_class]


def envelope_of(
    event: object,
    *,
    version: int,
    principal: Principal | None = None,
    time: datetime | None = None,
    id: UUID | None = None,
) -> Envelope:
    """Wrap an event. For a snapshot leave `principal`, `time` and `id` out: the id follows from subject and version."""
    kind = _by_class[type(event)]
    payload = msgspec.to_builtins(event)
    subject = str(payload[kind.subject])
    return Envelope(
        id=id or uuid5(NAMESPACE_URL, f"event:{kind.name}:{subject}:{version}"),
        type=kind.name,
        source=kind.service,
        subject=subject,
        version=version,
        org_id=getattr(event, "org_id"),  # noqa: B009  every event has it, `event` checked
        actor=Actor.of(principal or platform(kind.service)),
        time=time or datetime.now(UTC),
        traceparent=telemetry.traceparent(),
        schema_version=kind.schema_version,
        payload=payload,
    )


def emit(tx: Transaction, event: object, *, version: int) -> UUID:
    """Tell `event` when `tx` commits, and return its id.

    `version` is the aggregate's after this change. Hold the aggregate's row first (`FOR UPDATE`, or the row just
    written): that makes the order of a key's events the order of its commits.

    Raises:
        KeyError: the class is not declared with `@event`.
        ValueError: the event is larger than 256 KiB.
    """
    envelope = envelope_of(event, version=version, principal=tx.principal, time=tx.now, id=new_id())
    outbox.add(tx, outbox.Row(envelope.id, kafka.topic(envelope.source), envelope.subject, envelope.encode()))
    return envelope.id


Handler = Callable[[Transaction, Envelope, Any], Awaitable[None]]
BatchHandler = Callable[[Transaction, list[Envelope]], Awaitable[None]]


@dataclass(slots=True)
class Handlers:
    """What one service does about events."""

    by_type: dict[str, list[Handler]] = field(default_factory=dict[str, list[Handler]])
    projections: dict[str, list[Handler]] = field(default_factory=dict[str, list[Handler]])
    """Those of `by_type` that only copy another service's state."""
    of_all: list[BatchHandler] = field(default_factory=list[BatchHandler])

    def hear(self, type: str) -> bool:
        """Tell whether there is a handler for events of this type."""
        return bool(self.of_all) or type in self.by_type


_handlers: dict[str, Handlers] = {}


def on(
    event_class: type[E], *, projects: bool = False, service: str | None = None
) -> Callable[
    [Callable[[Transaction, Envelope, E], Awaitable[None]]], Callable[[Transaction, Envelope, E], Awaitable[None]]
]:
    """Run the function below once for every event of this class, in the order of its subject.

    `projects`: it copies state of another service and does nothing else. It keeps the version of what it has, and
    ignores older events: it also gets the present state of everything when it is new, see `cluster.events.snapshots`.
    """

    def register(handle: Callable[[Transaction, Envelope, E], Awaitable[None]]) -> Any:
        name, heard = _by_class[event_class].name, _handlers_of(handle, service)
        heard.by_type.setdefault(name, []).append(handle)
        if projects:
            heard.projections.setdefault(name, []).append(handle)
        return handle

    return register


def on_all(handle: BatchHandler, *, service: str | None = None) -> BatchHandler:
    """Run the function below for every event of every service, in batches, undecoded."""
    _handlers_of(handle, service).of_all.append(handle)
    return handle


def _handlers_of(handle: Callable[..., Any], service: str | None) -> Handlers:
    return _handlers.setdefault(service or service_of(handle.__module__).name, Handlers())


def handlers_of(service: str) -> Handlers:
    return _handlers.get(service, Handlers())


def listening_services() -> list[str]:
    """Return the services with handlers in the modules imported so far."""
    return sorted(_handlers)


def speaking_services() -> set[str]:
    """Return every service that has a topic: those of the table, and declared ones beside it."""
    return {*table(), *(kind.service for kind in _types.values())}


def topics_of(service: str) -> set[str]:
    """Return the topics that a service must read for its handlers."""
    handlers = handlers_of(service)
    if handlers.of_all:
        return {kafka.topic(name) for name in speaking_services()}
    return {kafka.topic(_types[name].service) for name in handlers.by_type}
