"""Events, problems and values of feature_flag."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NewType
from uuid import UUID

from cluster.base.ids import OrgId, UserId
from cluster.base.problems import BadRequest, Conflict, Invalid, NotFound
from cluster.events import event
from cluster.jobs import job

FlagId = NewType("FlagId", UUID)
ExperimentId = NewType("ExperimentId", UUID)
ExperimentState = Literal["draft", "running", "stopped", "decided"]
Unit = Literal["person", "run", "organization"]
FlagState = Literal["draft", "live", "killed", "archived"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """An offer: what is counted of the events of a service, for experiments to compare.

    Of each unit the sum counts of what came after it was exposed; with `over` divided by the number of those events: a rate.
    """

    name: str
    """`<service>.<what is counted>`"""
    title: str
    event: type
    over: type | None = None
    value: str | None = None
    """The field of the event that is added up; None: events are counted."""
    better: Literal["more", "less"] = "more"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagEntry:
    """A flag as it is administrated."""

    id: FlagId
    org_id: OrgId | None
    key: str
    declared_by: str | None
    """The service that offers it."""
    title: str
    owner: str
    owner_id: UserId | None
    """The person who answers for it."""
    public: bool
    state: FlagState
    definition: dict[str, Any]
    experiments: list[dict[str, Any]]
    """Rules of running experiments, which stand before its own."""
    expires_at: datetime | None
    last_used_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


@event("flag.changed", subject="flag_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class FlagChanged:
    """What a flag decides has changed."""

    flag_id: FlagId
    org_id: OrgId | None
    state: FlagState


@event("flag.killed", subject="flag_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class FlagKilled:
    """A flag was killed: it decides its `off` variant for everybody."""

    flag_id: FlagId
    org_id: OrgId | None


@event("flag.kill_reported", subject="report_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class FlagKillReported:
    """It was found who answers for a flag that was killed, so that they are told."""

    flag_id: FlagId
    org_id: OrgId | None
    report_id: UUID
    """The same for each repetition of one report."""


@job("feature_flag.report_kill", lane="quick")
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportKill:
    """Find who answers for a killed flag, and have them told."""

    flag_id: FlagId
    version: int
    killed_by: UserId | None


@event("experiment.changed", subject="experiment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentChanged:
    """An experiment began, was stopped or was decided."""

    experiment_id: ExperimentId
    org_id: OrgId | None
    state: ExperimentState


@event("experiment.stopped", subject="experiment_id")
@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentStopped:
    """Nobody is exposed any more; by a guardrail when one was hurt."""

    experiment_id: ExperimentId
    org_id: OrgId | None
    by_guardrail: bool


class ExperimentNotFound(NotFound):
    title = "No such experiment"


class ExperimentStateConflict(Conflict):
    title = "The experiment is in another state"


class LayerTaken(Conflict):
    title = "Another experiment runs in this part of the layer"


class MetricUnknown(Invalid):
    title = "No service offers this metric"


class FlagUnknown(Invalid):
    title = "There is no such flag here"


class FlagNotFound(NotFound):
    title = "No such flag"


class FlagKeyTaken(Conflict):
    title = "There is a flag with this key"


class FlagIsDeclared(Conflict):
    title = "A service declares this flag"


class OwnerUnknown(Invalid):
    title = "This person cannot answer for the flag"


class FlagStateConflict(Conflict):
    title = "The flag is in another state"


class TooManyFlags(Conflict):
    title = "An organization keeps no more flags"


class FlagInUse(Conflict):
    title = "Other flags depend on this one"


class RulesTooDeep(Invalid):
    title = "The conditions nest too deep"


class RulesTooLarge(Invalid):
    title = "The rules are too large"


class UnknownVariant(Invalid):
    title = "The flag has no such variant"


class VariantTypeMismatch(Invalid):
    title = "A variant has another type"


class ConditionInvalid(Invalid):
    title = "A condition cannot be evaluated"


class RampInvalid(Invalid):
    title = "The steps of a rule are not in order"


class PrerequisiteUnknown(Invalid):
    title = "There is no such flag to depend on"


class PrerequisiteCycle(Invalid):
    title = "The flag would depend on itself"


class EvaluationFlagNotFound(NotFound):
    """OFREP's 404, in a problem document with OFREP's members."""

    title = "No such flag"


class ChannelNotFound(NotFound):
    """The address of a stream was not made here, or is over, or its session is."""

    title = "No such channel"


class EvaluationInvalid(BadRequest):
    """OFREP's 400, in a problem document with OFREP's members."""

    title = "The flag cannot be evaluated for this context"
