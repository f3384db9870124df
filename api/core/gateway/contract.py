"""What others may know of gateway: its events and problems. It answers only `DoorSource`, `UsageKeeper` and `TopicSource`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType
from uuid import UUID

from cluster.base.ids import OrgId
from cluster.base.problems import Conflict, Invalid, NotFound
from cluster.events import event
from cluster.jobs import job

RatePlanId = NewType("RatePlanId", UUID)
RateOverrideId = NewType("RateOverrideId", UUID)
MaintenanceWindowId = NewType("MaintenanceWindowId", UUID)
CorsOriginId = NewType("CorsOriginId", UUID)
KeyId = NewType("KeyId", UUID)
"""Of an API key or a service account."""
RatePlanState = Literal["draft", "active", "retired"]
MaintenanceState = Literal["planned", "active", "over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePlanEvent:
    rate_plan_id: RatePlanId
    number: int
    org_id: OrgId | None = None


@event("rate_plan.created", subject="rate_plan_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RatePlanCreated(RatePlanEvent):
    """A version of a rate plan was drafted."""


@event("rate_plan.updated", subject="rate_plan_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RatePlanUpdated(RatePlanEvent):
    """A draft has other limits."""


@event("rate_plan.activated", subject="rate_plan_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RatePlanActivated(RatePlanEvent):
    """A version of a rate plan holds from now on."""


@event("rate_plan.retired", subject="rate_plan_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RatePlanRetired(RatePlanEvent):
    """A version of a rate plan holds no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateOverrideEvent:
    rate_override_id: RateOverrideId
    key_id: KeyId | None
    org_id: OrgId | None


@event("rate_override.created", subject="rate_override_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RateOverrideCreated(RateOverrideEvent):
    """An organization or a key has another plan."""


@event("rate_override.ended", subject="rate_override_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class RateOverrideEnded(RateOverrideEvent):
    """It was ended before its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceEvent:
    maintenance_window_id: MaintenanceWindowId
    org_id: OrgId | None
    starts_at: datetime
    ends_at: datetime


@event("maintenance.planned", subject="maintenance_window_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenancePlanned(MaintenanceEvent):
    """Maintenance is announced."""


@event("maintenance.changed", subject="maintenance_window_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceChanged(MaintenanceEvent):
    """Maintenance begins or ends at another time."""


@event("maintenance.started", subject="maintenance_window_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceStarted(MaintenanceEvent):
    """Maintenance has begun."""


@event("maintenance.ended", subject="maintenance_window_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceEnded(MaintenanceEvent):
    """Maintenance is over, or was called off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsOriginEvent:
    cors_origin_id: CorsOriginId
    org_id: OrgId


@event("cors_origin.registered", subject="cors_origin_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CorsOriginRegistered(CorsOriginEvent):
    """Pages of an origin may ask."""


@event("cors_origin.removed", subject="cors_origin_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class CorsOriginRemoved(CorsOriginEvent):
    """They may not any more."""


@job("gateway.turn_window", attempts=20, timeout_s=30, lane="quick")
@dataclass(frozen=True, slots=True, kw_only=True)
class TurnWindow:
    """Tells that maintenance has begun or is over. Processes obey by their own clocks."""

    maintenance_window_id: MaintenanceWindowId
    to: MaintenanceState


class OperationNotFound(NotFound):
    title = "No such operation"


class TopicNotFound(NotFound):
    title = "No such topic"


class ProblemTypeNotFound(NotFound):
    title = "No such type of problem"


class PageNotFound(NotFound):
    title = "No such page"


class RatePlanNotFound(NotFound):
    title = "No such rate plan"


class RateOverrideNotFound(NotFound):
    title = "No such override"


class MaintenanceWindowNotFound(NotFound):
    title = "No such maintenance window"


class CorsOriginNotFound(NotFound):
    title = "No such origin"


class UsageNotFound(NotFound):
    title = "No such caller or organization"


class RouteNotFound(NotFound):
    title = "No such route"


class RatePlanNotDraft(Conflict):
    title = "Only a draft can be changed"


class RatePlanNotActive(Conflict):
    title = "Only an active plan can be retired"


class RatePlanInUse(Conflict):
    title = "Overrides name this plan"


class RatePlanUnknown(Invalid):
    title = "No plan of this slug is active"


class RouteUnknown(Invalid):
    title = "There is no such route"


class OrganizationUnknown(Invalid):
    title = "There is no such organization"


class MaintenanceOver(Conflict):
    title = "The maintenance is over"


class MaintenanceHasBegun(Conflict):
    title = "The maintenance has begun"


class CorsOriginTaken(Conflict):
    title = "This origin is registered"


class TooManyCorsOrigins(Conflict):
    title = "One organization registers no more origins"
