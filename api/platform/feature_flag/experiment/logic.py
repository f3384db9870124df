"""Use cases of experiments. What changes whom a flag decides for takes the next number of flags first, as flags do."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from math import isfinite
from typing import Any

from api.platform.feature_flag.contract import (
    ExperimentChanged,
    ExperimentId,
    ExperimentNotFound,
    ExperimentState,
    ExperimentStateConflict,
    ExperimentStopped,
    FlagEntry,
    FlagId,
    FlagStateConflict,
    FlagUnknown,
    LayerTaken,
    Metric,
    MetricUnknown,
    UnknownVariant,
)
from api.platform.feature_flag.experiment import statistics, store
from api.platform.feature_flag.experiment.statistics import Effect, Moments
from api.platform.feature_flag.experiment.store import Experiment, Measured, MeasuredUnit
from api.platform.feature_flag.flag import logic as flag_logic
from api.platform.feature_flag.flag import store as flag_store
from cluster.base.ids import OrgId, new_id
from cluster.base.principal import Principal
from cluster.base.registry import offers
from cluster.data import Transaction, read, write
from cluster.events import emit
from cluster.people import flags
from cluster.people.access import named, permit, permitted, reach_of, within
from cluster.people.flags.compiled import TARGETING_KEY

log = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=90)
"""After the decision."""
_UNITS = {"person": TARGETING_KEY, "run": "run_id", "organization": "organization_id"}


@cache
def metrics() -> dict[str, Metric]:
    """Return every metric that a service offers, by its name."""
    return {each.name: each for each in offers(Metric)}


async def create_experiment(caller: Principal, org_id: OrgId | None, fields: Mapping[str, Any]) -> Experiment:
    """Draft an experiment on a flag of the same owner.

    Raises:
        FlagUnknown, UnknownVariant, MetricUnknown
    """
    await permit(caller, "experiment:edit", within(org_id=org_id))
    for name in ("metrics", "guardrails"):
        for index, metric in enumerate(fields[name]):
            if metric not in metrics():
                raise MetricUnknown(f"there are {', '.join(sorted(metrics()))}", pointer=f"/{name}/{index}")
    await flag_logic.ensure_declared()
    unknown = FlagUnknown("name a flag of the same owner", pointer="/flag_id")
    async with read() as db:
        found = await flag_store.find_flag(db, FlagId(fields["flag_id"]))
    flag = await named(caller, found, unknown=unknown, org_id=org_id)
    if flag.org_id != org_id:
        raise unknown
    for index, arm in enumerate(fields["arms"]):
        if arm["variant"] not in flag.definition["variants"]:
            known = ", ".join(flag.definition["variants"])
            raise UnknownVariant(f"the flag has {known}", pointer=f"/arms/{index}/variant")
    experiment_id = ExperimentId(new_id())
    async with write(caller, result=experiment_id, status=201) as tx:
        return await store.insert_experiment(tx, experiment_id, org_id=org_id, **fields)


async def get_experiment(caller: Principal, experiment_id: ExperimentId) -> Experiment:
    return await permitted(caller, "experiment:read", store.find_experiment, experiment_id, missing=ExperimentNotFound)


async def list_experiments(
    caller: Principal,
    *,
    org_id: OrgId | None,
    ids: list[ExperimentId] | None,
    states: list[ExperimentState] | None,
    before: ExperimentId | None,
    limit: int,
) -> list[Experiment]:
    """List the experiments that the caller may see, newest first."""
    reach = await reach_of(caller, "experiment:read")
    async with read() as db:
        return await store.list_experiments(
            db, reach, org_id=org_id, ids=ids, states=states, before=before, limit=limit
        )


async def start_experiment(caller: Principal, experiment_id: ExperimentId) -> Experiment:
    """Begin to expose units: its flag gives them a variant before its own rules do.

    Raises:
        ExperimentNotFound, ExperimentStateConflict, FlagStateConflict, LayerTaken
    """
    await permitted(caller, "experiment:edit", store.find_experiment, experiment_id, missing=ExperimentNotFound)
    async with write(caller, result=experiment_id) as tx:
        seq = await flag_store.update_head(tx)
        experiment = await _lock(tx, experiment_id, "draft")
        flag = await _flag(tx, experiment)
        if flag.state != "live":
            raise FlagStateConflict(f"its flag is {flag.state}: launch it first")
        for other in await store.list_running(tx):
            if _overlap(experiment, other):
                raise LayerTaken(
                    f"{other.id} has {other.first_share / 1000:g} to {other.last_share / 1000:g} % of it: choose another part"
                )
        await store.update_flag_rules(tx, flag.id, [*flag.experiments, _rule(experiment)], seq=seq)
        started = await store.update_state(tx, experiment_id, "running")
        _tell(tx, started)
    return started


async def stop_experiment(caller: Principal, experiment_id: ExperimentId, *, by_guardrail: bool = False) -> Experiment:
    """Expose nobody any more; the flag's own rules hold again.

    Raises:
        ExperimentNotFound, ExperimentStateConflict
    """
    await permitted(caller, "experiment:edit", store.find_experiment, experiment_id, missing=ExperimentNotFound)
    async with write(caller, result=experiment_id) as tx:
        seq = await flag_store.update_head(tx)
        experiment = await _lock(tx, experiment_id, "running")
        flag = await _flag(tx, experiment)
        rest = [rule for rule in flag.experiments if rule["experiment_id"] != str(experiment_id)]
        await store.update_flag_rules(tx, flag.id, rest, seq=seq)
        stopped = await store.update_state(tx, experiment_id, "stopped")
        _tell(tx, stopped)
        emit(
            tx,
            ExperimentStopped(experiment_id=experiment_id, org_id=stopped.org_id, by_guardrail=by_guardrail),
            version=stopped.version,
        )
    return stopped


async def decide_experiment(caller: Principal, experiment_id: ExperimentId, variant: str) -> Experiment:
    """Note which variant won; changing the flag accordingly is a change of the flag.

    Raises:
        ExperimentNotFound, ExperimentStateConflict, UnknownVariant
    """
    await permitted(caller, "experiment:edit", store.find_experiment, experiment_id, missing=ExperimentNotFound)
    async with write(caller, result=experiment_id) as tx:
        experiment = await _lock(tx, experiment_id, "stopped")
        if variant not in (arm["variant"] for arm in experiment.arms):
            raise UnknownVariant("decide for a variant of the experiment", pointer="/variant")
        decided = await store.update_state(tx, experiment_id, "decided", decision=variant)
        _tell(tx, decided)
    return decided


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One metric of one variant beside the control."""

    metric: str
    variant: str
    guardrail: bool
    difference: float
    low: float | None
    """None: nothing can be said yet."""
    high: float | None
    p: float
    p_adjusted: float
    """By Holm, over all metrics and variants."""
    method: str
    degrees: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What an experiment shows so far."""

    exposed: dict[str, int]
    sample_ratio_p: float
    trustworthy: bool
    """False: the units are not split as planned, so that nothing else here counts."""
    compared: list[Compared]


async def get_results(caller: Principal, experiment_id: ExperimentId) -> Results:
    """Compare what was measured so far: of people at any time; of classes it holds at one look, when it is stopped."""
    experiment = await get_experiment(caller, experiment_id)
    moments: dict[str, list[Measured]] = {}
    units: dict[str, list[MeasuredUnit]] = {}
    async with read() as db:
        exposed = await store.count_exposed(db, experiment_id)
        for name in dict.fromkeys([*experiment.metrics, *experiment.guardrails]):
            over = name in metrics() and metrics()[name].over is not None
            if experiment.unit == "person":
                moments[name] = await store.list_moments(db, experiment_id, name, over=over)
            else:
                units[name] = await store.list_units(db, experiment_id, name, over=over)
    # In a thread: scipy is imported by the first who asks.
    return await asyncio.to_thread(_analyse, experiment, exposed, moments, units)


def _analyse(
    experiment: Experiment,
    exposed: Mapping[str, int],
    moments: Mapping[str, Sequence[Measured]],
    units: Mapping[str, Sequence[MeasuredUnit]],
) -> Results:
    names = [arm["variant"] for arm in experiment.arms]
    ratio = statistics.sample_ratio_p(
        [exposed.get(name, 0) for name in names], [arm["weight"] for arm in experiment.arms]
    )
    effects: dict[tuple[str, str], Effect] = {}
    for metric, measured in moments.items():
        arms = {name: Moments(n=0, y=0.0, yy=0.0) for name in names}
        arms |= {
            each.variant: Moments(n=each.n, y=each.y, yy=each.yy, x=each.x, xx=each.xx, xy=each.xy)
            for each in measured
            if each.variant in arms
        }
        adjusted = statistics.adjusted(arms)
        for name in names[1:]:
            effects[metric, name] = statistics.always_valid(adjusted[names[0]], adjusted[name])
    for metric, found in units.items():
        by_arm = {name: [(each.y, each.x) for each in found if each.variant == name] for name in names}
        for name in names[1:]:
            effects[metric, name] = statistics.by_classes(by_arm[names[0]], by_arm[name])
    ps = statistics.holm({f"{metric} {name}": effect.p for (metric, name), effect in effects.items()})
    compared = [
        Compared(
            metric=metric,
            variant=name,
            guardrail=metric in experiment.guardrails,
            difference=effect.difference,
            low=effect.low if isfinite(effect.low) else None,
            high=effect.high if isfinite(effect.high) else None,
            p=effect.p,
            p_adjusted=ps[f"{metric} {name}"],
            method=effect.method,
            degrees=effect.degrees,
        )
        for (metric, name), effect in effects.items()
    ]
    return Results(
        exposed={name: exposed.get(name, 0) for name in names},
        sample_ratio_p=ratio,
        trustworthy=ratio >= statistics.SRM_P,
        compared=compared,
    )


async def guard(platform: Principal) -> None:
    """Stop experiments of people that hurt a guardrail, whose intervals hold at every look."""
    async with read() as db:
        running = await store.list_running(db)
    for experiment in running:
        if not experiment.guardrails or experiment.unit != "person":
            continue
        results = await get_results(platform, experiment.id)
        if any(_hurts(each) for each in results.compared if each.guardrail):
            log.warning("a guardrail is hurt: the experiment stops", extra={"experiment": str(experiment.id)})
            try:
                await stop_experiment(platform, experiment.id, by_guardrail=True)
            except ExperimentStateConflict:
                continue


def _hurts(compared: Compared) -> bool:
    metric = metrics().get(compared.metric)
    if metric is None or compared.low is None or compared.high is None:
        return False
    return compared.high < 0 if metric.better == "more" else compared.low > 0


async def purge(platform: Principal, limit: int) -> int:
    """Delete what was measured of experiments that were decided long ago; return how many rows."""
    async with write(platform) as tx:
        deleted = await store.delete_measurements(tx, tx.now - KEPT_FOR, limit)
        return deleted or await store.delete_exposures(tx, tx.now - KEPT_FOR, limit)


def _rule(experiment: Experiment) -> dict[str, Any]:
    """Return the rule that stands before the flag's own while the experiment runs."""
    return {
        "name": experiment.title,
        "by": _UNITS[experiment.unit],
        "slot": [experiment.first_share, experiment.last_share],
        "slot_seed": f"layer:{experiment.org_id or 'platform'}:{experiment.layer}",
        "seed": str(experiment.id),
        "serve": experiment.arms,
        "experiment_id": str(experiment.id),
    }


def _overlap(one: Experiment, other: Experiment) -> bool:
    same = (one.org_id, one.layer, one.unit) == (other.org_id, other.layer, other.unit)
    return same and one.first_share < other.last_share and other.first_share < one.last_share


async def _lock(tx: Transaction, experiment_id: ExperimentId, state: ExperimentState) -> Experiment:
    found = await store.lock_experiment(tx, experiment_id)
    if found is None:
        raise ExperimentNotFound
    if found.state != state:
        raise ExperimentStateConflict(f"it is {found.state}, and would have to be {state}")
    return found


async def _flag(tx: Transaction, experiment: Experiment) -> FlagEntry:
    flag = await flag_store.lock_flag(tx, experiment.flag_id)
    if flag is None:
        raise ExperimentNotFound
    return flag


def _tell(tx: Transaction, experiment: Experiment) -> None:
    changed = ExperimentChanged(experiment_id=experiment.id, org_id=experiment.org_id, state=experiment.state)
    emit(tx, changed, version=experiment.version)
    flags.changed(tx)
