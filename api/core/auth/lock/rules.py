"""What whoever is locked out is told."""

from datetime import datetime

from api.core.auth.contract import AccountLocked


def locked(until: datetime | None) -> AccountLocked:
    return AccountLocked(
        "a moderator decided so; the letter about it has the reasons, and how to have somebody else look at it again",
        until=None if until is None else until.isoformat(),
    )
