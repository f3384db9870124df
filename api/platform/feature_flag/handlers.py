"""What feature_flag hears: every event that an offer of a metric names, and who was given a role on the platform."""

from typing import Any, Literal

from api.core.rbac.contract import GrantCreated
from api.platform.feature_flag.contract import Metric
from api.platform.feature_flag.experiment import store
from api.platform.feature_flag.experiment.logic import metrics
from api.platform.feature_flag.report import store as report_store
from cluster.data import Transaction
from cluster.events import Envelope, on


async def on_measured(tx: Transaction, envelope: Envelope, event: Any) -> None:
    """Count it for the experiments that run."""
    for metric in metrics().values():
        if isinstance(event, metric.event):
            await _count(tx, envelope, event, metric, "value")
        if metric.over is not None and isinstance(event, metric.over):
            await _count(tx, envelope, event, metric, "over")


async def _count(
    tx: Transaction, envelope: Envelope, event: Any, metric: Metric, part: Literal["value", "over"]
) -> None:
    value = 1.0 if metric.value is None or part == "over" else float(getattr(event, metric.value))
    await store.insert_measurements(
        tx,
        metric.name,
        part,
        event_id=envelope.id,
        user_id=getattr(event, "user_id", None),
        run_id=getattr(event, "run_id", None),
        org_id=event.org_id,
        value=value,
        measured_at=envelope.time,
    )


@on(GrantCreated)
async def on_grant_created(tx: Transaction, envelope: Envelope, event: GrantCreated) -> None:
    """Remember who was given a role on the platform: they are told when a flag of it is killed that nobody else answers for."""
    if event.scope == "platform":
        await report_store.upsert_platform_staff(tx, event.user_id)


for _event in dict.fromkeys(
    each for metric in metrics().values() for each in (metric.event, metric.over) if each is not None
):
    on(_event)(on_measured)
