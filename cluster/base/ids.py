"""Identifiers: UUIDv7 (RFC 9562, section 5.7), so that ids sort by the time they were made."""

from typing import NewType
from uuid import UUID

from uuid_utils.compat import uuid7

OrgId = NewType("OrgId", UUID)
UserId = NewType("UserId", UUID)


def new_id() -> UUID:
    """Make a UUIDv7, increasing within this process."""
    return uuid7()
