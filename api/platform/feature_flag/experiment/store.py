"""The SQL of experiments."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from api.platform.feature_flag.contract import ExperimentId, ExperimentState, FlagId, Unit
from cluster.base.ids import OrgId
from cluster.data import Connection, Transaction
from cluster.people.access import Guarded, Reach
from cluster.people.flags import Exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment on a flag."""

    id: ExperimentId
    org_id: OrgId | None
    flag_id: FlagId
    title: str
    unit: Unit
    layer: str
    first_share: int
    last_share: int
    arms: list[dict[str, Any]]
    """Variants with weights; the first is the control."""
    metrics: list[str]
    guardrails: list[str]
    state: ExperimentState
    decision: str | None
    started_at: datetime | None
    stopped_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


_COLUMNS = """id, org_id, flag_id, title, unit, layer, first_share, last_share, arms, metrics, guardrails, state, decision,
  started_at, stopped_at, version, created_at, updated_at"""

INSERT_EXPERIMENT = (
    """INSERT INTO feature_flag.experiments
      (id, org_id, flag_id, title, unit, layer, first_share, last_share, arms, metrics, guardrails, state, created_at, updated_at)
    VALUES ($experiment_id, $org_id, $flag_id, $title, $unit, $layer, $first_share, $last_share, $arms::jsonb, $metrics::text[],
      $guardrails::text[], 'draft', $now, $now) RETURNING """
    + _COLUMNS
)


async def insert_experiment(tx: Transaction, experiment_id: ExperimentId, **fields: Any) -> Experiment:
    return await tx.one(Experiment, INSERT_EXPERIMENT, experiment_id=experiment_id, **fields)


FIND_EXPERIMENT = "SELECT " + _COLUMNS + " FROM feature_flag.experiments WHERE id = $experiment_id"
LOCK_EXPERIMENT = FIND_EXPERIMENT + " FOR UPDATE"


async def find_experiment(db: Connection, experiment_id: ExperimentId) -> Guarded[Experiment] | None:
    found = await db.maybe(Experiment, FIND_EXPERIMENT, experiment_id=experiment_id)
    return None if found is None else Guarded(found, org_id=found.org_id, see="experiment:read")


async def lock_experiment(tx: Transaction, experiment_id: ExperimentId) -> Experiment | None:
    return await tx.maybe(Experiment, LOCK_EXPERIMENT, experiment_id=experiment_id)


LIST_EXPERIMENTS = (
    "SELECT "
    + _COLUMNS
    + """ FROM feature_flag.experiments
    WHERE ($everywhere OR org_id = ANY($org_ids::uuid[])) AND ($org_id::uuid IS NULL OR org_id = $org_id)
      AND ($ids::uuid[] IS NULL OR id = ANY($ids)) AND ($states::text[] IS NULL OR state = ANY($states))
      AND ($before::uuid IS NULL OR id < $before)
    ORDER BY id DESC LIMIT $limit"""
)


async def list_experiments(
    db: Connection,
    reach: Reach,
    *,
    org_id: OrgId | None,
    ids: list[ExperimentId] | None,
    states: list[ExperimentState] | None,
    before: ExperimentId | None,
    limit: int,
) -> list[Experiment]:
    """List experiments within reach, newest first."""
    return await db.all(
        Experiment, LIST_EXPERIMENTS, reach, org_id=org_id, ids=ids, states=states, before=before, limit=limit
    )


LIST_RUNNING = "SELECT " + _COLUMNS + " FROM feature_flag.experiments WHERE state = 'running' ORDER BY id LIMIT 1000"


async def list_running(db: Connection) -> list[Experiment]:
    return await db.all(Experiment, LIST_RUNNING)


UPDATE_STATE = (
    """UPDATE feature_flag.experiments SET state = $state, decision = $decision,
      started_at = CASE WHEN $state = 'running' THEN $now ELSE started_at END,
      stopped_at = CASE WHEN $state = 'stopped' THEN $now ELSE stopped_at END, version = version + 1, updated_at = $now
    WHERE id = $experiment_id RETURNING """
    + _COLUMNS
)


async def update_state(
    tx: Transaction, experiment_id: ExperimentId, state: ExperimentState, *, decision: str | None = None
) -> Experiment:
    return await tx.one(Experiment, UPDATE_STATE, experiment_id=experiment_id, state=state, decision=decision)


UPDATE_FLAG_RULES = """
UPDATE feature_flag.flags SET experiments = $rules::jsonb, seq = $seq WHERE id = $flag_id
"""


async def update_flag_rules(tx: Transaction, flag_id: FlagId, rules: list[dict[str, Any]], *, seq: int) -> None:
    """Set the rules of running experiments that stand before a flag's own."""
    await tx.run(UPDATE_FLAG_RULES, flag_id=flag_id, rules=rules, seq=seq)


# What has ended meanwhile takes no more exposures; the first variant that a unit was given stays.
INSERT_EXPOSURES = """
INSERT INTO feature_flag.exposures (experiment_id, unit_id, user_id, org_id, variant, exposed_at)
SELECT e.id, told.unit_id, CASE WHEN e.unit = 'person' THEN told.unit_id END, e.org_id, told.variant, least(told.at, $now)
FROM unnest($experiment_ids::uuid[], $unit_ids::uuid[], $variants::text[], $times::timestamptz[])
  AS told (experiment_id, unit_id, variant, at)
JOIN feature_flag.experiments AS e ON e.id = told.experiment_id AND e.state = 'running'
ORDER BY e.id, told.unit_id
ON CONFLICT DO NOTHING
"""


async def insert_exposures(tx: Transaction, exposures: list[Exposure]) -> None:
    await tx.run(
        INSERT_EXPOSURES,
        experiment_ids=[each.experiment_id for each in exposures],
        unit_ids=[each.unit_id for each in exposures],
        variants=[each.variant for each in exposures],
        times=[each.at for each in exposures],
    )


INSERT_MEASUREMENTS = """
INSERT INTO feature_flag.measurements (experiment_id, metric, event_id, part, unit_id, user_id, org_id, value, measured_at)
SELECT e.id, $metric, $event_id, $part, unit.id, CASE WHEN e.unit = 'person' THEN $user_id::uuid END, $org_id, $value, $measured_at
FROM feature_flag.experiments AS e
CROSS JOIN LATERAL (
    SELECT CASE e.unit WHEN 'person' THEN $user_id::uuid WHEN 'run' THEN $run_id::uuid ELSE $org_id::uuid END AS id
) AS unit
WHERE e.state = 'running' AND $metric = ANY (e.metrics || e.guardrails) AND unit.id IS NOT NULL
  AND (e.org_id IS NULL OR e.org_id = $org_id)
ON CONFLICT DO NOTHING
"""


async def insert_measurements(
    tx: Transaction,
    metric: str,
    part: Literal["value", "over"],
    *,
    event_id: UUID,
    user_id: UUID | None,
    run_id: UUID | None,
    org_id: UUID | None,
    value: float,
    measured_at: datetime,
) -> None:
    """Count an event for every experiment that runs and compares this metric."""
    await tx.run(
        INSERT_MEASUREMENTS,
        metric=metric,
        part=part,
        event_id=event_id,
        user_id=user_id,
        run_id=run_id,
        org_id=org_id,
        value=value,
        measured_at=measured_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Sums over the units of an arm."""

    variant: str
    n: int
    y: float
    yy: float
    x: float
    xx: float
    xy: float


# A rate counts what it is over whenever it came: a class is enrolled before it is exposed.
_UNITS = """
SELECT e.variant, e.unit_id,
  coalesce(sum(m.value) FILTER (WHERE m.part = 'value' AND m.measured_at >= e.exposed_at), 0)
    / CASE WHEN $over THEN nullif(coalesce(sum(m.value) FILTER (WHERE m.part = 'over'), 0), 0) ELSE 1 END AS y,
  coalesce(sum(m.value) FILTER (WHERE m.part = 'value' AND m.measured_at < e.exposed_at), 0)
    / CASE WHEN $over THEN nullif(coalesce(sum(m.value) FILTER (WHERE m.part = 'over'), 0), 0) ELSE 1 END AS x
FROM feature_flag.exposures AS e
LEFT JOIN feature_flag.measurements AS m
  ON m.experiment_id = e.experiment_id AND m.metric = $metric AND m.unit_id = e.unit_id
WHERE e.experiment_id = $experiment_id
GROUP BY e.variant, e.unit_id
"""

LIST_MOMENTS = (
    """SELECT variant, count(*) AS n, sum(y) AS y, sum(y * y) AS yy, sum(x) AS x, sum(x * x) AS xx, sum(x * y) AS xy
    FROM ("""
    + _UNITS
    + """) AS units WHERE y IS NOT NULL GROUP BY variant ORDER BY variant LIMIT 100"""
)


async def list_moments(db: Connection, experiment_id: ExperimentId, metric: str, *, over: bool) -> list[Measured]:
    """List the sums of a metric in each arm."""
    return await db.all(Measured, LIST_MOMENTS, experiment_id=experiment_id, metric=metric, over=over)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredUnit:
    """A unit of an experiment whose units are few."""

    variant: str
    y: float
    x: float


LIST_UNITS = "SELECT variant, y, x FROM (" + _UNITS + """) AS units WHERE y IS NOT NULL ORDER BY unit_id LIMIT 2000"""


async def list_units(db: Connection, experiment_id: ExperimentId, metric: str, *, over: bool) -> list[MeasuredUnit]:
    """List the metric of each unit, at most 2,000."""
    return await db.all(MeasuredUnit, LIST_UNITS, experiment_id=experiment_id, metric=metric, over=over)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """How many units were given a variant."""

    variant: str
    n: int


COUNT_EXPOSED = """
SELECT variant, count(*) AS n FROM feature_flag.exposures WHERE experiment_id = $experiment_id
GROUP BY variant ORDER BY variant LIMIT 100
"""


async def count_exposed(db: Connection, experiment_id: ExperimentId) -> dict[str, int]:
    return {each.variant: each.n for each in await db.all(Exposed, COUNT_EXPOSED, experiment_id=experiment_id)}


DELETE_MEASUREMENTS = """
DELETE FROM feature_flag.measurements WHERE (experiment_id, metric, unit_id, part, event_id) IN (
    SELECT m.experiment_id, m.metric, m.unit_id, m.part, m.event_id FROM feature_flag.experiments AS e
    JOIN feature_flag.measurements AS m ON m.experiment_id = e.id
    WHERE e.state = 'decided' AND e.updated_at < $before LIMIT $limit
)
"""


async def delete_measurements(tx: Transaction, before: datetime, limit: int) -> int:
    """Delete what was measured of experiments that were decided before a time; return how many rows."""
    return await tx.run(DELETE_MEASUREMENTS, before=before, limit=limit)


DELETE_EXPOSURES = """
DELETE FROM feature_flag.exposures WHERE (experiment_id, unit_id) IN (
    SELECT x.experiment_id, x.unit_id FROM feature_flag.experiments AS e
    JOIN feature_flag.exposures AS x ON x.experiment_id = e.id
    WHERE e.state = 'decided' AND e.updated_at < $before LIMIT $limit
)
"""


async def delete_exposures(tx: Transaction, before: datetime, limit: int) -> int:
    """Delete who was exposed in experiments that were decided before a time; return how many rows."""
    return await tx.run(DELETE_EXPOSURES, before=before, limit=limit)
