"""Rules of maintenance windows."""

from datetime import datetime

from api.core.gateway.contract import MaintenanceState


def state_of(starts_at: datetime, ends_at: datetime, now: datetime) -> MaintenanceState:
    """Tell what a window is at a time: the clock alone decides."""
    if now >= ends_at:
        return "over"
    return "active" if now >= starts_at else "planned"
