"""Use cases of flags. Whoever changes what a flag decides takes the next number first, so that changes come one after another."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import time
from typing import Any

from api.platform.feature_flag.contract import (
    FlagChanged,
    FlagEntry,
    FlagId,
    FlagInUse,
    FlagIsDeclared,
    FlagKeyTaken,
    FlagKilled,
    FlagNotFound,
    FlagState,
    FlagStateConflict,
    ReportKill,
    TooManyFlags,
)
from api.platform.feature_flag.flag import rules, store
from api.platform.feature_flag.flag.store import FlagCount, FlagVersion
from api.platform.feature_flag.report import logic as reports
from api.platform.feature_flag.report import store as report_store
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal, platform
from cluster.base.problems import Stale
from cluster.data import Transaction, idempotency, read, write
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people import flags
from cluster.people.access import permit, permitted, reach_of, within
from cluster.people.flags import Context, declared

_OF_SERVICES = frozenset({"title", "owner", "public", "off_variant"})
"""What a service says of the flag that it declares."""
_declared_here: set[str] = set()
"""Flags of services that this process knows to be stored as this release declares them."""


async def create_flag(caller: Principal, org_id: OrgId | None, key: str, fields: Mapping[str, Any]) -> FlagEntry:
    """Make a draft of a flag; None: one of the platform.

    Raises:
        FlagKeyTaken, TooManyFlags, Invalid, and what `rules` refuses
    """
    await permit(caller, "flag:edit", within(org_id=org_id))
    rules.check_key(key, org_id)
    if org_id is None and key in declared():
        raise FlagKeyTaken("a service declares it: GET /v1/flags?key= shows it", pointer="/key")
    definition = fields["definition"]
    rules.check_variants(definition["variants"])
    rules.check_definition(definition)
    if fields["owner_id"] is not None:
        await reports.check_owner(org_id, fields["owner_id"])
    flag_id = FlagId(new_id())
    async with write(caller, result=flag_id, status=201) as tx:
        seq = await store.update_head(tx)
        if org_id is not None:
            _check_count(await store.count_flags(tx, org_id))
        await _check_prerequisites(tx, org_id, key, definition)
        made = await store.insert_flag(
            tx, flag_id, seq=seq, org_id=org_id, key=key, declared_by=None, state="draft", **fields
        )
        if made is None:
            raise FlagKeyTaken("choose another key", pointer="/key")
        await _tell(tx, made)
    return made


async def get_flag(caller: Principal, flag_id: FlagId) -> FlagEntry:
    await ensure_declared()
    return await permitted(caller, "flag:read", store.find_flag, flag_id, missing=FlagNotFound)


async def list_flags(
    caller: Principal,
    *,
    org_id: OrgId | None,
    ids: list[FlagId] | None,
    key: str | None,
    states: list[FlagState] | None,
    stale: bool,
    before: FlagId | None,
    limit: int,
) -> list[FlagEntry]:
    """List the flags that the caller may see, newest first."""
    await ensure_declared()
    reach = await reach_of(caller, "flag:read")
    async with read() as db:
        return await store.list_flags(
            db,
            reach,
            org_id=org_id,
            ids=ids,
            key=key,
            states=states,
            stale=stale,
            now=datetime.now(UTC),
            before=before,
            limit=limit,
        )


async def change_flag(
    caller: Principal, flag_id: FlagId, changes: dict[str, Any], definition: dict[str, Any], expected_version: int
) -> FlagEntry:
    """Change a flag: `definition` are the parts of what it decides that change.

    Raises:
        FlagNotFound, FlagIsDeclared, FlagStateConflict, Stale, and what `rules` refuses
    """
    await ensure_declared()
    flag = await permitted(caller, "flag:edit", store.find_flag, flag_id, missing=FlagNotFound)
    if changes.get("owner_id") is not None:
        await reports.check_owner(flag.org_id, changes["owner_id"])
    async with write(caller, result=flag_id) as tx:
        seq = await store.update_head(tx)
        present = await _lock(tx, flag_id)
        if present.version != expected_version:
            raise Stale(present.version)
        if present.state == "archived":
            raise FlagStateConflict("an archived flag decides nothing: make another one")
        if present.declared_by is not None and not _OF_SERVICES.isdisjoint(changes | definition):
            raise FlagIsDeclared(
                f"{present.declared_by} says this of its flag: change rules, default_variant, owner_id or expires_at"
            )
        if definition:
            changes["definition"] = {**present.definition, **definition}
            rules.check_definition(changes["definition"])
            await _check_prerequisites(tx, present.org_id, present.key, changes["definition"])
        changed = await store.update_flag(tx, present, changes, seq=seq)
        await _tell(tx, changed)
    return changed


async def launch_flag(caller: Principal, flag_id: FlagId) -> FlagEntry:
    """Let a draft or a killed flag decide by its rules."""
    return await _move(caller, flag_id, "live", {"draft", "killed"})


async def kill_flag(caller: Principal, flag_id: FlagId) -> FlagEntry:
    """Let a flag decide its `off` variant for everybody, at once."""
    return await _move(caller, flag_id, "killed", {"live"})


async def archive_flag(caller: Principal, flag_id: FlagId) -> FlagEntry:
    """Let a flag decide nothing any more.

    Raises:
        FlagIsDeclared: services still ask for it.
        FlagInUse: others need it.
    """
    return await _move(caller, flag_id, "archived", {"draft", "live", "killed"})


async def _move(caller: Principal, flag_id: FlagId, state: FlagState, origins: set[FlagState]) -> FlagEntry:
    await ensure_declared()
    await permitted(caller, "flag:edit", store.find_flag, flag_id, missing=FlagNotFound)
    async with write(caller, result=flag_id) as tx:
        seq = await store.update_head(tx)
        present = await _lock(tx, flag_id)
        if present.state == state:
            return present
        if present.state not in origins:
            raise FlagStateConflict(
                f"it is {present.state}: only what is {' or '.join(sorted(origins))} can be {state}"
            )
        if state == "archived":
            await _check_may_go(tx, present)
        moved = await store.update_flag(tx, present, {"state": state}, seq=seq)
        await _tell(tx, moved)
        if state == "killed":
            emit(tx, FlagKilled(flag_id=moved.id, org_id=moved.org_id), version=moved.version)
            # Who is told is asked of others, and a kill waits for nobody.
            enqueue(tx, ReportKill(flag_id=moved.id, version=moved.version, killed_by=caller.id))
    return moved


async def _check_may_go(tx: Transaction, flag: FlagEntry) -> None:
    if flag.key in declared() and flag.declared_by is not None:
        raise FlagIsDeclared(f"{flag.declared_by} asks for it: a release without it comes first")
    others = await store.list_deciding(tx, flag.org_id)
    if needing := rules.needing(flag.key, ((each.key, each.definition) for each in others)):
        raise FlagInUse(f"take it out of the prerequisites of {', '.join(needing)} first")


async def list_versions(caller: Principal, flag_id: FlagId, *, before: int | None, limit: int) -> list[FlagVersion]:
    """List what a flag decided, newest first."""
    await get_flag(caller, flag_id)
    async with read() as db:
        return await store.list_versions(db, flag_id, before, limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What a flag decides for a context, and why."""

    value: Any
    variant: str
    reason: str
    rule: str | None
    """The name of the rule that decided."""
    because: list[str]
    version: int


async def explain_flag(caller: Principal, flag_id: FlagId, context: Context) -> Explained:
    """Say what a flag decides for a context as it stands now, rule by rule; a draft as if it were live."""
    flag = await get_flag(caller, flag_id)
    async with read() as db:
        others = await store.list_deciding(db, flag.org_id)
    known = {
        each.key: rules.compiled(
            replace(flag, key=each.key, definition=each.definition, experiments=[], state=each.state)
        )
        for each in others
        if each.state != "draft" and each.key != flag.key
    }
    deciding = rules.compiled(replace(flag, state="live") if flag.state == "draft" else flag)
    now_s = time()
    outcome = deciding.decide(context, now_s, known)
    stored: list[dict[str, Any]] = deciding.row.definition["rules"]
    because: list[str] = []
    if flag.state == "killed":
        because.append(f"the flag is killed: everybody gets {deciding.off}")
    elif flag.state == "archived":
        because.append("the flag is archived: nobody asks it")
    else:
        met = True
        for key, wanted in deciding.prerequisites:
            variant = known[key].decide(context, now_s, known).variant if key in known else None
            met = met and variant in wanted
            because.append(f"{key} decides {variant or 'nothing'}, and {' or '.join(sorted(wanted))} is needed")
        last = len(stored) - 1 if outcome.rule is None else outcome.rule
        for index in range(last + 1 if met else 0):
            name = stored[index]["name"] or f"rule {index + 1}"
            because.append(f"{name}: {deciding.rules[index].explain(context, now_s)}")
        if outcome.reason in ("DEFAULT", "STATIC"):
            because.append(f"no rule decides: {deciding.default} is the default")
    return Explained(
        value=deciding.variants[outcome.variant],
        variant=outcome.variant,
        reason=outcome.reason,
        rule=None if outcome.rule is None else stored[outcome.rule]["name"],
        because=because,
        version=flag.version,
    )


async def ensure_declared() -> None:
    """Store what services declare of their flags, where it is missing or another release said otherwise."""
    offered = {key: found for key, found in declared().items() if key not in _declared_here}
    if not offered:
        return
    # The request's Idempotency-Key is for what it asks, not for this.
    with idempotency.outside():
        await store_declared()
    _declared_here.update(offered)


async def store_declared() -> None:
    """Store what services declare of their flags; what operators decided stays."""
    async with read() as db:
        stored = {each.key: each for each in await store.list_declared(db, list(declared()))}
    wrong = [key for key, (_, flag) in declared().items() if key not in stored or _changes(stored[key], flag)]
    if not wrong:
        return
    async with write(platform("feature_flag")) as tx:
        for key in wrong:
            service, flag = declared()[key]
            seq = await store.update_head(tx)
            made = await store.insert_flag(
                tx,
                rules.declared_id(key),
                seq=seq,
                org_id=None,
                key=key,
                declared_by=service,
                title=flag.title,
                owner=flag.owner,
                owner_id=None,
                public=flag.public,
                state="live",
                definition=flag.definition(),
                expires_at=None,
            )
            if made is None:
                present = await _lock(tx, rules.declared_id(key))
                changes = _changes(present, flag)
                made = await store.update_flag(tx, present, changes, seq=seq) if changes else None
            if made is not None:
                await _tell(tx, made)


def _changes(stored: FlagEntry, flag: flags.Flag[Any]) -> dict[str, Any]:
    """Return what a release declares otherwise than it is stored."""
    offered = flag.definition()
    definition = {**stored.definition, **{name: offered[name] for name in ("type", "variants", "off_variant")}}
    if definition["default_variant"] not in flag.variants:
        definition["default_variant"] = flag.default
    wanted = {"title": flag.title, "owner": flag.owner, "public": flag.public, "definition": definition}
    return {name: value for name, value in wanted.items() if getattr(stored, name) != value}


def _check_count(count: FlagCount) -> None:
    if count.deciding >= rules.MOST_FLAGS:
        raise TooManyFlags(f"it has {rules.MOST_FLAGS} that are not archived: archive one first")
    if count.all >= rules.MOST_EVER:
        raise TooManyFlags(f"it had {rules.MOST_EVER}: change one instead")


async def _check_prerequisites(tx: Transaction, org_id: OrgId | None, key: str, definition: Mapping[str, Any]) -> None:
    others = {each.key: each.definition for each in await store.list_deciding(tx, org_id) if each.key != key}
    rules.check_prerequisites(key, definition, others)


async def _lock(tx: Transaction, flag_id: FlagId) -> FlagEntry:
    found = await store.lock_flag(tx, flag_id)
    if found is None:
        raise FlagNotFound
    return found


async def _tell(tx: Transaction, flag: FlagEntry) -> None:
    """Tell that a flag decides otherwise now: an event for the audit trail, a broadcast for every process."""
    if flag.org_id is None and tx.principal.kind == "person":
        await report_store.upsert_platform_staff(tx, tx.principal.person())
    emit(tx, FlagChanged(flag_id=flag.id, org_id=flag.org_id, state=flag.state), version=flag.version)
    flags.changed(tx)
