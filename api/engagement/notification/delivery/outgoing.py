"""What is sent together, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from api.engagement.notification.contract import DeliveryState, DeviceId, Reason
from api.engagement.notification.delivery.store import Attempt, Waiting
from cluster.base.ids import UserId
from cluster.people.notices import NoticeText, Reader


@dataclass(frozen=True, slots=True)
class Item:
    """One notification, with the words as they are now."""

    waiting: Waiting
    text: NoticeText


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One letter or message to one person."""

    batch_id: UUID
    reader: Reader
    items: list[Item]
    courses: Mapping[UUID, str]
    """What the courses are called that it tells of."""

    @property
    def user_id(self) -> UserId:
        return self.reader.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`planned`: it is tried again, and not before `retry_after_s`."""

    outgoing: Outgoing
    state: DeliveryState
    reason: Reason | None = None
    retry_after_s: float | None = None
    counts: bool = True
    """An attempt was made; else nobody was asked, because the other side does not answer others."""
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    ended_devices: dict[DeviceId, str] = field(default_factory=dict[DeviceId, str])
    reached_devices: list[DeviceId] = field(default_factory=list[DeviceId])
