"""The live inbox: hints that there is something new in the topic `inbox:<person>`."""

from cluster.base.ids import UserId
from cluster.data import Transaction
from cluster.signals.rooms import tell


def tell_inbox(tx: Transaction, user_id: UserId, seq: int) -> None:
    """Say that an inbox is this far."""
    tell(tx, "inbox", user_id, seq)
