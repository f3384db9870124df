"""Use cases of maintenance: plan, move and end it, and tell when it begins and is over."""

from datetime import datetime, timedelta
from typing import Any

from api.core.gateway.contract import (
    MaintenanceChanged,
    MaintenanceEnded,
    MaintenanceEvent,
    MaintenanceHasBegun,
    MaintenanceOver,
    MaintenancePlanned,
    MaintenanceStarted,
    MaintenanceState,
    MaintenanceWindowId,
    MaintenanceWindowNotFound,
    TurnWindow,
)
from api.core.gateway.door import logic as doors
from api.core.gateway.maintenance import store
from api.core.gateway.maintenance.rules import state_of
from api.core.gateway.maintenance.store import MaintenanceWindow, NewWindow
from api.core.gateway.organizations import ensure_organization
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.base.problems import Invalid, Stale
from cluster.base.services import table
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.jobs import enqueue
from cluster.people.access import permit, permitted, within
from cluster.people.door import WindowMode, WindowScope

PLAN = "maintenance:plan"
_LONGEST = timedelta(days=7)


async def plan_window(
    caller: Principal,
    *,
    scope: WindowScope,
    service: str | None,
    org_id: OrgId | None,
    mode: WindowMode,
    starts_at: datetime | None,
    ends_at: datetime,
    reason: str,
) -> MaintenanceWindow:
    """Announce maintenance; without `starts_at` it begins now.

    Raises:
        Invalid: a time is past, it takes too long, or there is no such service.
        OrganizationUnknown
    """
    await permit(caller, PLAN, within())
    if service is not None and service not in table():
        raise Invalid("GET /v1/gateway/-/services lists the services", pointer="/service")
    if service == "gateway":
        raise Invalid("the gateway answers as long as anything does: plan for the platform", pointer="/service")
    await ensure_organization(org_id)
    id = MaintenanceWindowId(new_id())
    async with write(caller, result=id, status=201) as tx:
        begin = starts_at or tx.now
        _check_times(begin, ends_at, tx.now, earliest=tx.now if starts_at is None else None)
        new = NewWindow(
            id=id,
            scope=scope,
            service=service,
            org_id=org_id,
            mode=mode,
            starts_at=begin,
            ends_at=ends_at,
            reason=reason,
        )
        window = await store.insert_window(tx, new)
        _tell(tx, MaintenancePlanned, window)
        _turn_later(tx, window)
        await doors.changed(tx)
    return window


async def get_window(caller: Principal, maintenance_window_id: MaintenanceWindowId) -> MaintenanceWindow:
    return await permitted(caller, PLAN, store.find_window, maintenance_window_id, missing=MaintenanceWindowNotFound)


async def list_windows(
    caller: Principal, *, ids: list[MaintenanceWindowId] | None, before: MaintenanceWindowId | None, limit: int
) -> list[MaintenanceWindow]:
    """List windows, the last planned first."""
    await permit(caller, PLAN, within())
    async with read() as db:
        return await store.list_windows(db, ids=ids, before=before, limit=limit)


async def change_window(
    caller: Principal, maintenance_window_id: MaintenanceWindowId, changes: dict[str, Any], expected_version: int
) -> MaintenanceWindow:
    """Move when maintenance begins or ends.

    Raises:
        MaintenanceOver, MaintenanceHasBegun: it is too late for that.
        Stale, Invalid
    """
    await get_window(caller, maintenance_window_id)
    async with write(caller, result=maintenance_window_id) as tx:
        window = await _lock(tx, maintenance_window_id)
        if window.version != expected_version:
            raise Stale(window.version)
        starts_at, ends_at = changes.get("starts_at", window.starts_at), changes.get("ends_at", window.ends_at)
        if (starts_at, ends_at) == (window.starts_at, window.ends_at):
            return window
        state = state_of(window.starts_at, window.ends_at, tx.now)
        if state == "over":
            raise MaintenanceOver("plan another window")
        if state == "active" and starts_at != window.starts_at:
            raise MaintenanceHasBegun("only its end can be moved", pointer="/starts_at")
        _check_times(starts_at, ends_at, tx.now, earliest=window.starts_at if state == "active" else None)
        window = await store.update_window(
            tx, maintenance_window_id, starts_at=starts_at, ends_at=ends_at, told=window.told
        )
        _tell(tx, MaintenanceChanged, window)
        _turn_later(tx, window)
        await doors.changed(tx)
    return window


async def end_window(caller: Principal, maintenance_window_id: MaintenanceWindowId) -> MaintenanceWindow:
    """End maintenance now, or call it off. Over already: nothing changes."""
    await get_window(caller, maintenance_window_id)
    async with write(caller, result=maintenance_window_id) as tx:
        window = await _lock(tx, maintenance_window_id)
        if state_of(window.starts_at, window.ends_at, tx.now) != "over":
            window = await store.update_window(
                tx, maintenance_window_id, starts_at=min(window.starts_at, tx.now), ends_at=tx.now, told="over"
            )
            _tell(tx, MaintenanceEnded, window)
            await doors.changed(tx)
    return window


async def turn_window(platform: Principal, maintenance_window_id: MaintenanceWindowId, to: MaintenanceState) -> None:
    """Tell that maintenance has begun or is over by the clock, once; if it was moved or ended since, there is nothing to tell."""
    async with write(platform) as tx:
        window = await _lock(tx, maintenance_window_id)
        if to != window.told and to == state_of(window.starts_at, window.ends_at, tx.now):
            window = await store.update_window(
                tx, maintenance_window_id, starts_at=window.starts_at, ends_at=window.ends_at, told=to
            )
            _tell(tx, MaintenanceStarted if to == "active" else MaintenanceEnded, window)


def _check_times(starts_at: datetime, ends_at: datetime, now: datetime, *, earliest: datetime | None) -> None:
    if earliest is None and starts_at < now:
        raise Invalid("it begins in the future; leave it out to begin now", pointer="/starts_at")
    if ends_at <= max(starts_at, now):
        raise Invalid("it ends after it has begun, and in the future", pointer="/ends_at")
    if ends_at - starts_at > _LONGEST:
        raise Invalid(f"it takes {_LONGEST.days} days at most", pointer="/ends_at")


def _turn_later(tx: Transaction, window: MaintenanceWindow) -> None:
    turns: tuple[tuple[MaintenanceState, datetime], ...] = (("active", window.starts_at), ("over", window.ends_at))
    for to, at in turns:
        turn = TurnWindow(maintenance_window_id=window.id, to=to)
        if to == "over" or at >= tx.now:
            enqueue(tx, turn, at=at, dedupe=f"{to}:{window.id}", replace=True)


async def _lock(tx: Transaction, maintenance_window_id: MaintenanceWindowId) -> MaintenanceWindow:
    window = await store.lock_window(tx, maintenance_window_id)
    if window is None:
        raise MaintenanceWindowNotFound
    return window


def _tell(tx: Transaction, event: type[MaintenanceEvent], window: MaintenanceWindow) -> None:
    told = event(
        maintenance_window_id=window.id, org_id=window.org_id, starts_at=window.starts_at, ends_at=window.ends_at
    )
    emit(tx, told, version=window.version)
