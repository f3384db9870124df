"""Make the entry of an event, and the hash that chains it to the one before."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import rfc8785

from api.platform.audit.contract import PLATFORM_CHAIN
from cluster.events import Envelope

FORMAT = 1
GENESIS = bytes(32)
PERSON = "person:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of the audit trail. People stand in it as `person:<pseudonym>`."""

    id: UUID
    chain: UUID
    action: str
    actor_kind: str
    actor: str | None
    acting_for: str | None
    service: str | None
    target_type: str
    target: str
    version: int
    payload: dict[str, Any]
    at: datetime
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedEntry(Entry):
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Actor:
    """The actor of an entry; `id` is None for the platform and for people who are erased."""

    kind: str
    id: str | None
    acting_for: str | None
    service: str | None


@dataclass(frozen=True, slots=True)
class Target:
    type: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEntry:
    """An entry with the ids of its people in place of their pseudonyms."""

    id: UUID
    action: str
    actor: Actor
    target: Target
    details: dict[str, Any]
    at: datetime
    trace_id: str


def names_a_person(field: str) -> bool:
    """Tell by its name whether a payload's field holds somebody's id."""
    return field in ("user_id", "owner_id", "successor_id") or field.endswith(("_user_id", "_by"))


def people_in(envelope: Envelope) -> set[UUID]:
    """Return the ids of all people that an event names."""
    people: set[UUID] = {id for id in (envelope.actor.id, envelope.actor.acting_for) if id is not None}
    for field, value in envelope.payload.items():
        if value is not None and names_a_person(field):
            people.add(UUID(str(value)))
    return people


def entry_of(envelope: Envelope, pseudonyms: dict[UUID, UUID]) -> Entry:
    """Make the entry of an event."""

    def hidden(value: Any) -> str:
        return f"{PERSON}{pseudonyms[UUID(str(value))]}"

    people = {str(person) for person in pseudonyms}
    return Entry(
        id=envelope.id,
        chain=envelope.org_id or PLATFORM_CHAIN,
        action=envelope.type,
        actor_kind=envelope.actor.kind,
        actor=None if envelope.actor.id is None else hidden(envelope.actor.id),
        acting_for=None if envelope.actor.acting_for is None else hidden(envelope.actor.acting_for),
        service=envelope.actor.service,
        target_type=envelope.type.partition(".")[0],
        target=hidden(envelope.subject) if envelope.subject in people else envelope.subject,
        version=envelope.version,
        payload={
            field: hidden(value) if value is not None and names_a_person(field) else value
            for field, value in envelope.payload.items()
        },
        at=envelope.time,
        trace_id=(envelope.traceparent or "-").split("-")[1],
    )


def hash_of(entry: Entry, seq: int, before: bytes) -> bytes:
    """Hash an entry with its place and the hash before it.

    Source: SHA-256 (FIPS 180-4) over the JSON Canonicalization Scheme (RFC 8785). Numbers beyond 2^53 cannot be told apart there,
    so integers stand as text.
    """
    document = {
        "format": FORMAT,
        "chain": str(entry.chain),
        "seq": str(seq),
        "before": before.hex(),
        "id": str(entry.id),
        "action": entry.action,
        "actor": {"kind": entry.actor_kind, "id": entry.actor, "for": entry.acting_for, "service": entry.service},
        "target": {"type": entry.target_type, "id": entry.target, "version": str(entry.version)},
        "payload": _plain(entry.payload),
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "trace": entry.trace_id,
    }
    return hashlib.sha256(rfc8785.dumps(document)).digest()


def _plain(value: Any) -> Any:
    match value:
        case bool() | None | str():
            return value
        case int() | float():
            return repr(value)
        case dict():
            return {name: _plain(child) for name, child in value.items()}
        case list():
            return [_plain(child) for child in value]
        case _:
            return str(value)
