"""Use cases of delivery, as jobs run them."""

from api.engagement.email.contract import DeliverBulk, DeliverPersonal, DeliverSecurity, Lane
from api.engagement.email.delivery import store
from api.engagement.email.delivery.pump import Pump
from api.engagement.email.delivery.transport import transport
from cluster.base.principal import Principal
from cluster.data import Transaction, write
from cluster.jobs import enqueue

JOBS: dict[Lane, type] = {"security": DeliverSecurity, "personal": DeliverPersonal, "bulk": DeliverBulk}
DEDUPE = "deliver"


def enqueue_delivery(tx: Transaction, lane: Lane) -> None:
    """Have what waits in a lane handed over."""
    enqueue(tx, JOBS[lane](), dedupe=DEDUPE)


async def deliver(caller: Principal, lane: Lane) -> None:
    """Hand over what is due, and come back for what is due later.

    Raises:
        RelayAway, Unavailable: no mail server takes letters now.
    """
    await Pump(caller, lane, transport()).run()
    await wake(caller, lane)


async def wake(caller: Principal, lane: Lane) -> None:
    """Enqueue the job that hands over what is due next."""
    async with write(caller) as tx:
        due_at = await store.find_next_due(tx, lane)
        if due_at is not None:
            enqueue(tx, JOBS[lane](), at=due_at, dedupe=DEDUPE)
