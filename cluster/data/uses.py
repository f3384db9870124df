"""Uses: which block, outline or film uses which thing (a file, a film), decided in the transactions of both sides.

The owner of a thing declares it in its own writes; a user sets all that it uses in its own write. A thing with uses cannot
be removed, a removed thing cannot be used: both lock the thing's row. Order of locks: the row of the owner or user first,
then things by kind and id.

    pending -> ready | failed -> deleted (restorable for 30 days) -> purged by the owner's job
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.base.problems import Conflict, FieldError, Invalid, NotFound
from cluster.base.registry import offers
from cluster.data.postgres import Connection, Transaction

State = Literal["pending", "ready", "failed", "deleted"]
KEPT_FOR = timedelta(days=30)
"""How long a removed thing can be restored."""
MAX_SHOWN = 100
"""How many users of a thing are named; the rest is counted."""


class Ref(NamedTuple):
    """A thing, or a user of things: `Ref("video", id)`."""

    kind: str
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ThingKind:
    """An offer: a kind of thing that others use, and the jobs of its owner. A job takes one argument, `id`."""

    name: str
    title: str
    """What people call one, in the middle of a sentence: `film`."""
    purge: type
    """The job that deletes a removed thing for good: its objects first, then its rows, then `forget`."""
    unused: type | None = None
    """The job for a thing that nothing has used for `idle_for`."""
    idle_for: timedelta | None = None
    faults: Mapping[str, str] = field(default_factory=dict[str, str])
    """What stands in the way of showing a thing and what to do about it, by its fault or else its state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A thing as its owner declares it."""

    kind: str
    id: UUID
    org_id: OrgId | None
    """None: it belongs to a person."""
    course_id: UUID | None
    state: State
    fault: str | None = None
    """A code: why it is not ready."""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    bytes: int = 0
    version: int

    @property
    def ref(self) -> Ref:
        return Ref(self.kind, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownThing(Thing):
    """A thing, and how it is used."""

    in_use: bool
    idle_since: datetime | None
    """When it became usable or last lost a use. Counts only while it is not in use."""
    purge_at: datetime | None


@dataclass(frozen=True, slots=True)
class Use:
    """A user of a thing, and the place where that user is."""

    kind: str
    id: UUID
    org_id: OrgId | None
    course_id: UUID | None


@dataclass(frozen=True, slots=True)
class UsedBy:
    """The users of a thing: those that somebody may see, and how many there are besides."""

    shown: list[Use]
    others: int

    def document(self) -> dict[str, Any]:
        """Return the members of a problem document."""
        shown = [
            {
                "kind": use.kind,
                "id": str(use.id),
                "organization_id": None if use.org_id is None else str(use.org_id),
                "course_id": None if use.course_id is None else str(use.course_id),
            }
            for use in self.shown
        ]
        return {"used_by": shown, "others": self.others}


class Reach(Protocol):
    """Where somebody may see users: the `Reach` of `cluster.people.access`."""

    @property
    def everywhere(self) -> bool: ...
    @property
    def org_ids(self) -> Sequence[UUID]: ...
    @property
    def course_ids(self) -> Sequence[UUID]: ...


class ThingGone(Invalid):
    """A user names a thing that is deleted, unknown, or of another organization."""

    title = "What is named here does not exist any more"


class ThingInUse(Conflict):
    """Carries `used_by` (kind, id, organization_id, course_id) and `others`, the count of the users that are not shown."""

    title = "Something uses this"


def thing_kind(name: str) -> ThingKind:
    """Return the offer of this name.

    Raises:
        LookupError
    """
    for kind in offers(ThingKind):
        if kind.name == name:
            return kind
    raise LookupError(f"no service offers things of the kind {name}")


def fault_of(kind: ThingKind, thing: Thing | None) -> str | None:
    """Return why the thing cannot be shown and what to do about it; None when it can."""
    if thing is None or thing.state == "deleted":
        return f"the {kind.title} is gone: choose another"
    if thing.state == "ready":
        return None
    return kind.faults.get(thing.fault or "") or kind.faults.get(thing.state) or f"the {kind.title} is not ready"


# A thing that is deleted stays so until it is restored. Idle counts from the moment that it can be used.
_DECLARE = """
INSERT INTO hub.things (kind, id, org_id, course_id, state, fault, facts, bytes, version, idle_since)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $5 <> 'pending' THEN $10::timestamptz END)
ON CONFLICT (kind, id) DO UPDATE
SET state = excluded.state, fault = excluded.fault, facts = excluded.facts, bytes = excluded.bytes, version = excluded.version,
    idle_since = CASE WHEN things.state = 'pending' THEN excluded.idle_since ELSE things.idle_since END
WHERE things.state <> 'deleted'
"""


async def declare(tx: Transaction, thing: Thing) -> None:
    """Say what a thing is now, in the owner's own write."""
    await tx.run(
        _DECLARE,
        *(thing.kind, thing.id, thing.org_id, thing.course_id, thing.state, thing.fault, thing.facts, thing.bytes),
        *(thing.version, tx.now),
    )


async def use(
    tx: Transaction,
    *,
    by: Ref,
    org_id: OrgId | None,
    things: Collection[Ref],
    course_id: UUID | None = None,
    pointers: Mapping[Ref, str] | None = None,
) -> None:
    """Set all that one user uses, in the user's transaction; `org_id` and `course_id` are the user's.

    Raises:
        ThingGone: carries the pointers of the things that are gone.
    """
    await use_each(tx, {by: things}, org_id=org_id, course_id=course_id, pointers=pointers)


_USES_OF = """
SELECT by_kind, by_id, kind, id FROM hub.uses JOIN unnest($1::text[], $2::uuid[]) AS users (by_kind, by_id)
    USING (by_kind, by_id)
"""
# Locked in one order, after sorting: two transactions with the same things wait for each other instead of deadlocking.
_LOCK_SHARED = """
SELECT things.kind, things.id, things.org_id, things.state
FROM hub.things JOIN unnest($1::text[], $2::uuid[]) AS wanted (kind, id) USING (kind, id)
ORDER BY things.kind, things.id FOR SHARE OF things
"""
_LOCK_ALONE = """
SELECT things.kind, things.id, things.org_id, things.state
FROM hub.things JOIN unnest($1::text[], $2::uuid[]) AS wanted (kind, id) USING (kind, id)
ORDER BY things.kind, things.id FOR NO KEY UPDATE OF things
"""
_INSERT_USES = """
INSERT INTO hub.uses (by_kind, by_id, kind, id, org_id, course_id)
SELECT by_kind, by_id, kind, id, $5, $6
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[]) AS new (by_kind, by_id, kind, id)
"""
_DELETE_USES = """
WITH dropped AS (
    DELETE FROM hub.uses USING unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[]) AS old (by_kind, by_id, kind, id)
    WHERE (uses.by_kind, uses.by_id, uses.kind, uses.id) = (old.by_kind, old.by_id, old.kind, old.id)
    RETURNING uses.kind, uses.id
)
UPDATE hub.things SET idle_since = $5 FROM dropped WHERE (things.kind, things.id) = (dropped.kind, dropped.id)
"""


async def use_each(
    tx: Transaction,
    wanted: Mapping[Ref, Collection[Ref]],
    *,
    org_id: OrgId | None,
    course_id: UUID | None = None,
    pointers: Mapping[Ref, str] | None = None,
) -> None:
    """`use` for several users of one place; a user with nothing lets go of all.

    Raises:
        ThingGone
    """
    rows = await tx.rows(_USES_OF, *_columns(wanted))
    before = {(Ref(row["by_kind"], row["by_id"]), Ref(row["kind"], row["id"])) for row in rows}
    after = {(by, thing) for by, things in wanted.items() for thing in things}
    added, dropped = sorted(after - before), sorted(before - after)
    if not added and not dropped:
        return
    # Dropping updates the thing: who drops locks alone from the start, because raising a shared lock may deadlock.
    lock = _LOCK_ALONE if dropped else _LOCK_SHARED
    locked = await tx.rows(lock, *_columns({thing for _, thing in [*added, *dropped]}))
    usable = {Ref(row["kind"], row["id"]) for row in locked if row["state"] != "deleted" and row["org_id"] == org_id}
    gone = sorted({thing for _, thing in added} - usable)
    if gone:
        raise thing_gone(gone, pointers)
    if added:
        users, things = zip(*added, strict=True)
        await tx.run(_INSERT_USES, *_columns(users), *_columns(things), org_id, course_id)
    if dropped:
        users, things = zip(*dropped, strict=True)
        await tx.run(_DELETE_USES, *_columns(users), *_columns(things), tx.now)


def thing_gone(gone: Collection[Ref], pointers: Mapping[Ref, str] | None = None) -> ThingGone:
    """Make the problem of a user that names these things."""
    errors = tuple(
        FieldError(
            (pointers or {}).get(thing, ""),
            ThingGone.slug(),
            f"the {thing_kind(thing.kind).title} {thing.id} is deleted or unknown here: choose another",
            {"kind": thing.kind, "id": str(thing.id)},
        )
        for thing in gone
    )
    return ThingGone(errors[0].detail, errors=errors)


def _columns(refs: Collection[Ref]) -> tuple[list[str], list[UUID]]:
    return [ref.kind for ref in refs], [ref.id for ref in refs]


_LOCK = "SELECT state FROM hub.things WHERE kind = $1 AND id = $2 FOR UPDATE"
_REMOVE = """
UPDATE hub.things SET state = 'deleted', was = state, purge_at = now() + $3, swept_at = NULL WHERE kind = $1 AND id = $2
"""


async def remove(tx: Transaction, ref: Ref, *, reach: Reach | None = None) -> bool:
    """Delete a thing that nothing uses; it can be restored for 30 days. False: there is no such thing, or not any more.

    `reach`: where the one who asks may see users; without it they are only counted.

    Raises:
        ThingInUse
    """
    state = await tx.value(_LOCK, *ref)
    if state in (None, "deleted"):
        return False
    # A statement of its own, begun under the lock: it sees every use that was committed while this waited.
    users = await used_by(tx, ref, reach=reach)
    if users.shown or users.others:
        raise ThingInUse("take it out of what uses it first", **users.document())
    await tx.run(_REMOVE, *ref, KEPT_FOR)
    return True


_RESTORE = """
UPDATE hub.things SET state = was, was = NULL, purge_at = NULL, idle_since = $3, swept_at = NULL
WHERE kind = $1 AND id = $2 AND state = 'deleted' AND purge_at > now()
"""


async def restore(tx: Transaction, ref: Ref) -> None:
    """Bring a removed thing back as it was.

    Raises:
        NotFound: it was not removed, or longer than 30 days ago.
    """
    if not await tx.run(_RESTORE, *ref, tx.now):
        raise NotFound(f"a deleted {thing_kind(ref.kind).title} can be restored for {KEPT_FOR.days} days")


async def end_restorable(tx: Transaction, ref: Ref) -> None:
    """Let a removed thing be purged now: it cannot be restored any more. The owner enqueues its job."""
    await tx.run("UPDATE hub.things SET purge_at = now() WHERE kind = $1 AND id = $2 AND state = 'deleted'", *ref)


_STATES = """
SELECT things.kind, things.id, org_id, course_id, state, fault, facts, bytes, version, idle_since, purge_at,
    (SELECT true FROM hub.uses WHERE uses.kind = things.kind AND uses.id = things.id LIMIT 1) IS TRUE AS in_use
FROM hub.things JOIN unnest($1::text[], $2::uuid[]) AS wanted (kind, id) USING (kind, id)
"""


async def states(db: Connection, refs: Collection[Ref]) -> dict[Ref, KnownThing]:
    """Return what is known of these things, deleted ones too; those that were never declared are missing."""
    if not refs:
        return {}
    known = await db.all(KnownThing, _STATES, *_columns(refs))
    return {thing.ref: thing for thing in known}


_SHOWN = """
SELECT by_kind AS kind, by_id AS id, org_id, course_id FROM hub.uses
WHERE kind = $1 AND id = $2 AND ($3 OR org_id = ANY($4::uuid[]) OR course_id = ANY($5::uuid[]))
ORDER BY by_kind, by_id LIMIT $6
"""


async def used_by(db: Connection, ref: Ref, *, reach: Reach | None = None) -> UsedBy:
    """Return the users of a thing that are within reach, and the count of the others. Without `reach` all are only counted."""
    total: int = await db.value("SELECT count(*) FROM hub.uses WHERE kind = $1 AND id = $2", *ref)
    if not total or reach is None:
        return UsedBy([], total)
    shown = await db.all(Use, _SHOWN, *ref, reach.everywhere, list(reach.org_ids), list(reach.course_ids), MAX_SHOWN)
    return UsedBy(shown, max(total - len(shown), 0))


_AMONG = """
SELECT by_kind, by_id FROM hub.uses JOIN unnest($3::text[], $4::uuid[]) AS users (by_kind, by_id) USING (by_kind, by_id)
WHERE kind = $1 AND id = $2
"""


async def users_among(db: Connection, ref: Ref, users: Collection[Ref]) -> set[Ref]:
    """Return those of `users` that use a thing."""
    if not users:
        return set()
    return {Ref(row["by_kind"], row["by_id"]) for row in await db.rows(_AMONG, *ref, *_columns(users))}


_WITHIN = """
SELECT EXISTS (
    SELECT FROM hub.uses WHERE kind = $1 AND id = $2 AND by_kind = $3
    AND ($4 OR org_id = ANY($5::uuid[]) OR course_id = ANY($6::uuid[]))
)
"""


async def is_used_within(db: Connection, ref: Ref, by_kind: str, reach: Reach) -> bool:
    """Tell whether a user of this kind that is within reach uses a thing."""
    if not (reach.everywhere or reach.org_ids or reach.course_ids):
        return False
    return await db.value(_WITHIN, *ref, by_kind, reach.everywhere, list(reach.org_ids), list(reach.course_ids))


async def lock_unused(tx: Transaction, ref: Ref) -> bool:
    """Hold the thing until the transaction ends and tell whether it is there and nothing uses it."""
    if await tx.value(_LOCK, *ref) in (None, "deleted"):
        return False
    return not (await used_by(tx, ref)).others


_PURGEABLE = """
SELECT EXISTS (SELECT FROM hub.things WHERE kind = $1 AND id = $2 AND state = 'deleted' AND purge_at <= now() AND NOT held)
"""


async def purgeable(db: Connection, ref: Ref) -> bool:
    """Tell whether the thing may be deleted for good now. It cannot be restored any more then."""
    return await db.value(_PURGEABLE, *ref)


async def forget(tx: Transaction, ref: Ref) -> None:
    """Delete what is known of a purged thing, and let go of what it used itself."""
    await use(tx, by=ref, org_id=None, things=())
    await tx.run("DELETE FROM hub.things WHERE kind = $1 AND id = $2", *ref)
