"""Handlers of enrollment: a completion is noted, and the people that an organization shuts out are projected."""

from api.core.organization.contract import MemberUpdated, OrganizationUpdated
from api.learning.enrollment import logic, store
from api.learning.enrollment.contract import EnrollmentId
from api.learning.progress.contract import ProgressCompleted
from api.platform.moderation.contract import Decided
from cluster.data import Transaction
from cluster.events import Envelope, on
from cluster.signals import broadcast


@on(ProgressCompleted)
async def on_progress_completed(tx: Transaction, envelope: Envelope, event: ProgressCompleted) -> None:
    await logic.complete(tx, EnrollmentId(event.enrollment_id), event.revision)


@on(MemberUpdated, projects=True)
async def on_member_updated(tx: Transaction, envelope: Envelope, event: MemberUpdated) -> None:
    shut_out = event.state == "suspended" or (event.state == "left" and event.removed)
    if await store.upsert_member(tx, event.org_id, event.user_id, shut_out=shut_out, version=envelope.version):
        broadcast.announce(tx, "access", {"user_id": str(event.user_id)})


@on(Decided)
async def on_decided(tx: Transaction, envelope: Envelope, event: Decided) -> None:
    """Keep out whom moderators banned, members or not, and let them in when that is reversed."""
    if event.org_id is None or event.user_id is None:
        return
    if "ban" in event.actions:
        await store.upsert_banned(tx, event.decision_id, event.org_id, event.user_id, event.until_at)
    elif event.reverses_id is not None:
        await store.upsert_reversed(tx, event.reverses_id, event.org_id, event.user_id)
    else:
        return
    broadcast.announce(tx, "access", {"user_id": str(event.user_id)})


@on(OrganizationUpdated, projects=True)
async def on_organization_updated(tx: Transaction, envelope: Envelope, event: OrganizationUpdated) -> None:
    suspended = event.state == "suspended"
    if await store.upsert_organization(tx, event.org_id, suspended=suspended, version=envelope.version):
        broadcast.announce(tx, "access", {"org_id": str(event.org_id)})
