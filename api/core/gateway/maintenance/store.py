"""The SQL of maintenance windows."""

from dataclasses import dataclass
from datetime import datetime

from api.core.gateway.contract import MaintenanceState, MaintenanceWindowId
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded
from cluster.people.door import WindowMode, WindowScope


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWindow:
    id: MaintenanceWindowId
    scope: WindowScope
    service: str | None
    org_id: OrgId | None
    mode: WindowMode
    starts_at: datetime
    ends_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceWindow(NewWindow):
    """A maintenance window."""

    told: MaintenanceState
    """What its events said last; the clock may be ahead of them."""
    version: int
    created_at: datetime


_COLUMNS = "id, scope, service, org_id, mode, starts_at, ends_at, reason, told, version, created_at"

INSERT_WINDOW = (
    """INSERT INTO gateway.maintenance_windows (id, scope, service, org_id, mode, starts_at, ends_at, reason, created_at)
    VALUES ($id, $scope, $service, $org_id, $mode, $starts_at, $ends_at, $reason, $now) RETURNING """
    + _COLUMNS
)


async def insert_window(tx: Transaction, new: NewWindow) -> MaintenanceWindow:
    return await tx.one(MaintenanceWindow, INSERT_WINDOW, new)


FIND_WINDOW = "SELECT " + _COLUMNS + " FROM gateway.maintenance_windows WHERE id = $maintenance_window_id"


async def find_window(db: Connection, maintenance_window_id: MaintenanceWindowId) -> Guarded[MaintenanceWindow] | None:
    found = await db.maybe(MaintenanceWindow, FIND_WINDOW, maintenance_window_id=maintenance_window_id)
    return None if found is None else Guarded(found, see="maintenance:plan")


LOCK_WINDOW = FIND_WINDOW + " FOR UPDATE"


async def lock_window(tx: Transaction, maintenance_window_id: MaintenanceWindowId) -> MaintenanceWindow | None:
    return await tx.maybe(MaintenanceWindow, LOCK_WINDOW, maintenance_window_id=maintenance_window_id)


LIST_WINDOWS = (
    "SELECT "
    + _COLUMNS
    + """ FROM gateway.maintenance_windows
    WHERE ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_windows(
    db: Connection, *, ids: list[MaintenanceWindowId] | None, before: MaintenanceWindowId | None, limit: int
) -> list[MaintenanceWindow]:
    """List windows, the last planned first."""
    return await db.all(MaintenanceWindow, LIST_WINDOWS, ids=ids, before=before, limit=limit)


UPDATE_WINDOW = (
    """UPDATE gateway.maintenance_windows SET starts_at = $starts_at, ends_at = $ends_at, told = $told, version = version + 1
    WHERE id = $maintenance_window_id RETURNING """
    + _COLUMNS
)


async def update_window(
    tx: Transaction,
    maintenance_window_id: MaintenanceWindowId,
    *,
    starts_at: datetime,
    ends_at: datetime,
    told: MaintenanceState,
) -> MaintenanceWindow:
    """Move a window, or note what was told about it: every event of it has a version of its own."""
    return await tx.one(
        MaintenanceWindow,
        UPDATE_WINDOW,
        maintenance_window_id=maintenance_window_id,
        starts_at=starts_at,
        ends_at=ends_at,
        told=told,
    )
